//! What the simulation may break, one mechanism at a time, to show that it would notice.
//!
//! Invariants: outside tests nothing is ever broken, and the compiler removes the question.

/// A mechanism that is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A fill inserts whether or not its token lives.
    NoToken,
    /// The token is taken when the reply has arrived.
    LateToken,
    /// The base of the link lease is the time at which the answer arrived.
    BaseIsReceiveTime,
    /// A heartbeat proves what was executed before itself.
    ThisHeartbeat,
    /// The majority lease is not looked at.
    NoMajority,
    /// A fill of a session that has ended is inserted as if it were of the current one.
    OldGenerationFill,
    /// A flush of the whole database is not noticed.
    NullPushIgnored,
    /// Expiry is counted from the arrival of the reply.
    TtlFromReceiveTime,
    /// A reconnect leaves the entries servable.
    KeepOnReconnect,
    /// A push removes the entry, but not the token of a fill.
    RetainTokens,
    /// The push of a stamp is not noticed.
    StampPushIgnored,
    /// The push of the stamp of a group is not noticed.
    GroupPushIgnored,
    /// An own write does not remove the entry before it is answered.
    OwnWriteKeeps,
    /// The hub does not tell subscribers that a session ended.
    SilentReconnect,
    /// A subscriber that lags behind the replay buffer goes on where the buffer begins.
    GapUntold,
}

impl Mutant {
    /// Every one of them.
    pub const ALL: [Self; 15] = [
        Self::NoToken,
        Self::LateToken,
        Self::BaseIsReceiveTime,
        Self::ThisHeartbeat,
        Self::NoMajority,
        Self::OldGenerationFill,
        Self::NullPushIgnored,
        Self::TtlFromReceiveTime,
        Self::KeepOnReconnect,
        Self::RetainTokens,
        Self::StampPushIgnored,
        Self::GroupPushIgnored,
        Self::OwnWriteKeeps,
        Self::SilentReconnect,
        Self::GapUntold,
    ];
}

/// Whether `mutant` is what this run breaks.
pub(crate) fn breaks(broken: Option<Mutant>, mutant: Mutant) -> bool {
    cfg!(test) && broken == Some(mutant)
}
