//! Who notices that the master is in trouble, or is another one.
//!
//! Not here: what follows from it (`sentinel` asks at once, `failover` counts which of them was first).

/// What the node, or the link to it, says by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// It refuses writes as a replica does (READONLY), or answers ROLE as one.
    ReadOnly,
    /// It loads its data or has lost its own master (LOADING, MASTERDOWN).
    Loading,
    /// It refuses writes for want of replicas (NOREPLICAS).
    TooFewReplicas,
    /// A heartbeat was not answered in time.
    MissedHeartbeat,
    /// The canary was not written in time.
    SlowCanary,
    /// The link broke, or could not be made.
    LinkLost,
}

/// What made us look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Detector {
    /// An event of a Sentinel.
    Event,
    /// The interval between two polls.
    Poll,
    /// A signal of the node itself.
    Signal(Signal),
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 6] = [
        Self::ReadOnly,
        Self::Loading,
        Self::TooFewReplicas,
        Self::MissedHeartbeat,
        Self::SlowCanary,
        Self::LinkLost,
    ];
}

impl Detector {
    /// The stable name, as metrics and reports show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Poll => "poll",
            Self::Signal(Signal::ReadOnly) => "read_only",
            Self::Signal(Signal::Loading) => "loading",
            Self::Signal(Signal::TooFewReplicas) => "too_few_replicas",
            Self::Signal(Signal::MissedHeartbeat) => "missed_heartbeat",
            Self::Signal(Signal::SlowCanary) => "slow_canary",
            Self::Signal(Signal::LinkLost) => "link_lost",
        }
    }

    /// Every detector.
    pub fn all() -> impl Iterator<Item = Self> {
        let signals = Signal::ALL.into_iter().map(Self::Signal);
        [Self::Event, Self::Poll].into_iter().chain(signals)
    }
}
