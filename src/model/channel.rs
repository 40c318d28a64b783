//! How a channel of messages is addressed: tenant and name.
//!
//! Invariants: a name keeps the rules of the names of caches (`address`).
//!
//! Not here: where its log is (`events`).

use super::address::{CacheName, NameError, Tenant};

/// The name of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(CacheName);

impl ChannelName {
    /// Accepts a legal name.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        CacheName::new(name).map(Self)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// One channel of one tenant: the unit in which messages have an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId {
    /// Whose channel it is.
    pub tenant: Tenant,
    /// Which of the tenant's channels.
    pub name: ChannelName,
}
