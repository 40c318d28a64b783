//! Who else hears of keys: other rooms whose keys are read on the tracked session.
//!
//! Not here: what they do with it (`events`, `cache::lease`).

use std::fmt::Debug;

/// Hears of the keys that begin as it asked for. Told inline in the driver of the connection: it must neither wait nor
/// panic.
pub trait Listener: Debug + Send + Sync + 'static {
    /// This key changed.
    fn changed(&self, key: &[u8]);

    /// The cache whose keys are named so was cleared, and with it whatever is bound to its stamp.
    fn cleared(&self, cache: &[u8]);

    /// Any key may have changed, and changes may have been missed: a session began or ended, or everything was flushed.
    fn unsettled(&self);
}
