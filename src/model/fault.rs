//! What can go wrong with a call that was well-formed: a closed list of causes.
//!
//! Invariants: a fault always says whose it is, whether the operation was applied, and whether to retry.
//!
//! Not here: the gRPC status it becomes (`grpc::status`); malformed requests (`grpc::check`).

use std::time::Duration;

/// Why a call, or the session behind it, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Not connected to a master yet.
    NoSession,
    /// A configured host name does not resolve.
    AddressNotResolvable,
    /// The node refuses the connection or does not answer.
    RedisUnreachable,
    /// Redis rejects user or password, or asks for one.
    RedisAuthFailed,
    /// The ACL user may not run a command that vedetta needs.
    RedisPermissionDenied,
    /// The TLS handshake failed.
    TlsFailed,
    /// The node is a replica.
    NotAMaster,
    /// The node is loading its data set, or is a replica without its master.
    RedisLoading,
    /// A script blocks the node.
    RedisBusy,
    /// `min-replicas-to-write` is not met.
    TooFewReplicas,
    /// Redis is at `maxmemory` and may not evict.
    RedisOutOfMemory,
    /// Redis answered with an error that vedetta does not expect.
    RedisRefused,
    /// No Sentinel answers.
    SentinelsUnreachable,
    /// The Sentinels reject or miss the password.
    SentinelAuthFailed,
    /// The Sentinels do not monitor that name.
    MasterNameUnknown,
    /// No majority of the Sentinels agrees on one master.
    NoMajority,
    /// Writes are held back: the master is being replaced, or no majority has confirmed it lately.
    Fenced,
    /// The write is on the master, but not on as many replicas as were asked for.
    AppliedUnreplicated,
    /// The link broke or timed out while a write was in flight.
    OutcomeUnknown,
    /// The caller's deadline passed.
    Deadline,
    /// Too many calls are in flight in this vedetta.
    Overloaded,
    /// The values asked for are more than one answer may hold.
    AnswerTooLarge,
    /// The value does not fit the embedded store.
    StoreFull,
    /// The cache or its tenant holds as much, or is called as often, as its quota allows.
    Quota,
    /// The entry is not a decimal number of 64 bits, or would not fit into them.
    NotANumber,
    /// The entry is not a list, or the member of one is broken.
    NotAList,
    /// The list would have more members or bytes than it may.
    ListTooLarge,
    /// The counter may have lost increments, or is gone: it must be told its floor first.
    FloorRequired,
    /// The session would be larger than sessions may be.
    SessionTooLarge,
    /// Sessions are switched off here.
    SessionsInactive,
    /// The entry would be in more groups than an entry may have.
    TooManyGroups,
    /// Others changed the groups of the entry as often as it was looked at.
    Contended,
    /// This build does not do that yet.
    CapabilityMissing,
    /// The history that a token belongs to has ended.
    LineageChanged,
    /// A load was overtaken by a clear, or by a change of history.
    LoadLost,
    /// Another load of the cache has been running for as long as one waits.
    LoadRunning,
    /// As many loads as allowed are running here.
    TooManyLoads,
    /// A load that replaces has more entries than can be told from the others.
    LoadTooLarge,
    /// As many subscribers as allowed are watching.
    TooManySubscribers,
    /// A subscriber did not take its events in time.
    SubscriberTooSlow,
    /// Invalidations have stopped to arrive although the link works.
    PushesStopped,
    /// This vedetta is stopping.
    ShuttingDown,
    /// A defect of vedetta.
    Internal,
}

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Who called.
    Caller,
    /// This process.
    Vedetta,
    /// The data node, or the way to it.
    Redis,
    /// The Sentinels, or the way to them.
    Sentinel,
}

/// Whether a failed operation took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did not; a retry is safe.
    No,
    /// Nobody can tell.
    Unknown,
    /// It did, but less was promised for it than was asked for.
    Yes,
}

impl Cause {
    /// The stable name that programs match on (`ErrorInfo.reason`).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoSession => "NO_SESSION",
            Self::AddressNotResolvable => "ADDRESS_NOT_RESOLVABLE",
            Self::RedisUnreachable => "REDIS_UNREACHABLE",
            Self::RedisAuthFailed => "REDIS_AUTH_FAILED",
            Self::RedisPermissionDenied => "REDIS_PERMISSION_DENIED",
            Self::TlsFailed => "TLS_FAILED",
            Self::NotAMaster => "NOT_A_MASTER",
            Self::RedisLoading => "REDIS_LOADING",
            Self::RedisBusy => "REDIS_BUSY",
            Self::TooFewReplicas => "TOO_FEW_REPLICAS",
            Self::RedisOutOfMemory => "REDIS_OUT_OF_MEMORY",
            Self::RedisRefused => "REDIS_REFUSED",
            Self::SentinelsUnreachable => "SENTINELS_UNREACHABLE",
            Self::SentinelAuthFailed => "SENTINEL_AUTH_FAILED",
            Self::MasterNameUnknown => "MASTER_NAME_UNKNOWN",
            Self::NoMajority => "NO_MAJORITY",
            Self::Fenced => "FENCED",
            Self::AppliedUnreplicated => "APPLIED_UNREPLICATED",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::Deadline => "DEADLINE",
            Self::Overloaded => "OVERLOADED",
            Self::AnswerTooLarge => "ANSWER_TOO_LARGE",
            Self::StoreFull => "STORE_FULL",
            Self::Quota => "QUOTA",
            Self::NotANumber => "NOT_A_NUMBER",
            Self::NotAList => "NOT_A_LIST",
            Self::ListTooLarge => "LIST_TOO_LARGE",
            Self::FloorRequired => "FLOOR_REQUIRED",
            Self::SessionTooLarge => "SESSION_TOO_LARGE",
            Self::SessionsInactive => "SESSIONS_INACTIVE",
            Self::TooManyGroups => "TOO_MANY_GROUPS",
            Self::Contended => "CONTENDED",
            Self::CapabilityMissing => "CAPABILITY_MISSING",
            Self::LineageChanged => "LINEAGE_CHANGED",
            Self::LoadLost => "LOAD_LOST",
            Self::LoadRunning => "LOAD_RUNNING",
            Self::TooManyLoads => "TOO_MANY_LOADS",
            Self::LoadTooLarge => "LOAD_TOO_LARGE",
            Self::TooManySubscribers => "TOO_MANY_SUBSCRIBERS",
            Self::SubscriberTooSlow => "SUBSCRIBER_TOO_SLOW",
            Self::PushesStopped => "PUSHES_STOPPED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whose fault it is.
    pub const fn owner(self) -> Owner {
        match self {
            Self::Deadline
            | Self::AnswerTooLarge
            | Self::Quota
            | Self::NotANumber
            | Self::NotAList
            | Self::ListTooLarge
            | Self::SessionTooLarge
            | Self::SessionsInactive
            | Self::TooManyGroups
            | Self::Contended
            | Self::CapabilityMissing
            | Self::LoadTooLarge
            | Self::SubscriberTooSlow => Owner::Caller,
            Self::NoSession
            | Self::Overloaded
            | Self::TooManySubscribers
            | Self::LoadRunning
            | Self::TooManyLoads
            | Self::StoreFull
            | Self::ShuttingDown
            | Self::Internal => Owner::Vedetta,
            Self::SentinelsUnreachable
            | Self::SentinelAuthFailed
            | Self::MasterNameUnknown
            | Self::NoMajority
            | Self::Fenced => Owner::Sentinel,
            Self::AddressNotResolvable
            | Self::RedisUnreachable
            | Self::RedisAuthFailed
            | Self::RedisPermissionDenied
            | Self::TlsFailed
            | Self::NotAMaster
            | Self::RedisLoading
            | Self::RedisBusy
            | Self::TooFewReplicas
            | Self::RedisOutOfMemory
            | Self::RedisRefused
            | Self::LineageChanged
            | Self::FloorRequired
            | Self::LoadLost
            | Self::PushesStopped
            | Self::AppliedUnreplicated
            | Self::OutcomeUnknown => Owner::Redis,
        }
    }

    /// How long to wait before a retry can help; `None` where waiting does not, or the fault says for itself how long.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::NoSession
            | Self::Overloaded
            | Self::Contended
            | Self::PushesStopped
            | Self::RedisUnreachable
            | Self::NotAMaster
            | Self::RedisLoading
            | Self::RedisBusy
            | Self::TooFewReplicas
            | Self::SentinelsUnreachable
            | Self::NoMajority
            | Self::Fenced => Some(Duration::from_millis(250)),
            // These wait for a person.
            Self::AddressNotResolvable
            | Self::RedisAuthFailed
            | Self::RedisPermissionDenied
            | Self::TlsFailed
            | Self::SentinelAuthFailed
            | Self::MasterNameUnknown => Some(Duration::from_secs(5)),
            Self::ShuttingDown
            | Self::TooManySubscribers
            | Self::LoadRunning
            | Self::TooManyLoads => Some(Duration::from_secs(1)),
            Self::SubscriberTooSlow => Some(Duration::ZERO),
            Self::RedisOutOfMemory
            | Self::RedisRefused
            | Self::OutcomeUnknown
            | Self::AppliedUnreplicated
            | Self::Deadline
            | Self::AnswerTooLarge
            | Self::StoreFull
            | Self::Quota
            | Self::NotANumber
            | Self::NotAList
            | Self::ListTooLarge
            | Self::FloorRequired
            | Self::SessionTooLarge
            | Self::SessionsInactive
            | Self::TooManyGroups
            | Self::CapabilityMissing
            | Self::LineageChanged
            | Self::LoadLost
            | Self::LoadTooLarge
            | Self::Internal => None,
        }
    }
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// Why.
    pub cause: Cause,
    /// Whether it took effect.
    pub applied: Applied,
    /// One sentence for a person; never holds a key, a value or a secret.
    pub detail: String,
    /// How long to wait before a retry can help, where that is known better than by the cause.
    pub wait: Option<Duration>,
}

impl Fault {
    /// A fault of an operation that was not applied.
    pub fn not_applied(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            applied: Applied::No,
            detail: detail.into(),
            wait: None,
        }
    }

    /// The same, which a retry after that long can help.
    pub fn retry_in(self, wait: Duration) -> Self {
        Self {
            wait: Some(wait),
            ..self
        }
    }

    /// How long to wait before a retry can help; `None` where waiting does not.
    pub fn retry_after(&self) -> Option<Duration> {
        self.wait.or_else(|| self.cause.retry_after())
    }

    /// The words of a server, without the arguments that it repeats for a command that it does not know: those are
    /// keys and values.
    pub fn without_arguments(words: &str) -> &str {
        words
            .split_once(", with args beginning")
            .map_or(words, |(before, _)| before)
    }

    /// A fault of an operation that may have been applied.
    pub fn unknown(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            applied: Applied::Unknown,
            detail: detail.into(),
            wait: None,
        }
    }
}
