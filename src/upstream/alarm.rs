//! Tells that the node, or the link to it, is in trouble: whoever asks the Sentinels then asks at once.
//!
//! Invariants: raising it neither waits nor fails.

use std::fmt;
use std::sync::Arc;

use crate::model::{Cause, Signal};

/// Raised by sessions.
#[derive(Clone)]
pub struct Alarm(Arc<dyn Fn(Signal) + Send + Sync>);

impl Alarm {
    /// Calls this, in the task that noticed: it must not block.
    pub fn new(raise: impl Fn(Signal) + Send + Sync + 'static) -> Self {
        Self(Arc::new(raise))
    }

    /// Nobody listens.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Tells.
    pub fn raise(&self, signal: Signal) {
        (self.0)(signal);
    }

    /// Tells what a fault of the node says about it, if it says anything.
    pub(super) fn fault(&self, cause: Cause) {
        let signal = match cause {
            Cause::NotAMaster => Signal::ReadOnly,
            Cause::RedisLoading => Signal::Loading,
            Cause::TooFewReplicas => Signal::TooFewReplicas,
            Cause::RedisUnreachable => Signal::LinkLost,
            _ => return,
        };
        self.raise(signal);
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}
