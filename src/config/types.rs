//! What the rest of vedetta reads: settings as types with units.
//!
//! Invariants: a value that came out of `load` keeps every bound that `setting` documents. `Debug` prints no
//! password, because `SecretString` does not.
//!
//! Not here: the rules of the caches (`caches`) and quotas (`quotas`); how text becomes these types (`server`, `store`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::caches::CacheRules;
use super::quotas::Quotas;
use crate::model::Endpoint;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which set of built-in cache rules applies.
    pub profile: Profile,
    /// The gRPC API.
    pub api: Api,
    /// The admin HTTP server.
    pub admin: Admin,
    /// Where the entries are.
    pub store: StoreConfig,
    /// The near cache.
    pub near: NearConfig,
    /// When writes are held back.
    pub fence: FenceConfig,
    /// Encoding and lifetime per cache.
    pub caches: CacheRules,
    /// How much a cache or a tenant may hold, and how often it may be called.
    pub quotas: Quotas,
    /// HTTP sessions.
    pub sessions: SessionsConfig,
    /// Messages between pods.
    pub events: EventsConfig,
    /// What a call may ask for.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

/// A named set of built-in cache rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Every cache is framed and without expiry.
    Default,
    /// Shares its caches with Entando's own Redis plugin.
    Entando,
}

/// Where the gRPC API listens. At least one of socket and TCP address is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket; absolute.
    pub socket: Option<PathBuf>,
    /// Whether the socket was asked for by somebody, so that failing to bind it is fatal.
    pub socket_required: bool,
    /// The TCP address; always loopback.
    pub listen: Option<SocketAddr>,
    /// Threads that serve calls.
    pub workers: usize,
    /// How long calls in flight may still run after SIGTERM.
    pub drain: Duration,
}

/// Where the admin HTTP server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The TCP address.
    pub listen: SocketAddr,
}

/// Which store serves the entries.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// This process's own memory.
    Embedded {
        /// The most that entries may weigh, in bytes.
        capacity: u64,
    },
    /// One Redis at a known endpoint.
    Redis(RedisConfig),
    /// The master that the Sentinels name; the `RedisConfig` has no endpoint.
    Sentinel(RedisConfig, Box<SentinelConfig>),
}

/// How to reach and use a Redis node.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is; `None` when Sentinels say so.
    pub endpoint: Option<Endpoint>,
    /// Stands before every key, separated by `:`; empty for none.
    pub prefix: String,
    /// Who we are to Redis.
    pub credentials: Credentials,
    /// Present if the link is encrypted.
    pub tls: Option<Tls>,
    /// How long a connection may take to be ready.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
}

/// How to reach and use the Sentinels.
#[derive(Clone, Debug)]
pub struct SentinelConfig {
    /// The ones that are known from the start: 1 to 16, without duplicates.
    pub endpoints: Vec<Endpoint>,
    /// The name under which they monitor the master.
    pub master_name: String,
    /// Who we are to the Sentinels, which is separate from who we are to Redis.
    pub credentials: Credentials,
    /// Present if the links are encrypted.
    pub tls: Option<Tls>,
    /// Whether to subscribe to their events as hints to poll at once.
    pub events: bool,
    /// How often each of them is asked.
    pub poll_interval: Duration,
    /// How many of them must agree.
    pub policy: SentinelPolicy,
    /// Whether those are asked that only others know of. They count in either case.
    pub discovery: bool,
}

/// How many Sentinels it takes to name a master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentinelPolicy {
    /// A majority of those that are listed or known.
    #[default]
    Majority,
    /// One, and the node itself must say that it is a master: all that a single Sentinel can give. With several of
    /// them it is weaker than a majority, because one that is cut off with the old master is believed.
    FirstAndRole,
}

/// User and password; both absent where none is asked for.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The ACL user; `None` is Redis's `default`.
    pub username: Option<String>,
    /// The password; `Debug` hides it.
    pub password: Option<SecretString>,
    /// Where the password was read from, and will be read again; `None` if it was given as text.
    pub password_file: Option<PathBuf>,
}

/// How to check the other side's certificate, and what to show of our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of authorities; `None` trusts those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate; `None` where nobody asks for one.
    pub client: Option<ClientCertificate>,
    /// The name that the other side's certificate must be for; `None` is the host that is dialled.
    pub server_name: Option<String>,
}

/// Where our own certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file of the certificate and of those between it and its authority.
    pub cert_file: PathBuf,
    /// A PEM file of its private key.
    pub key_file: PathBuf,
}

/// The copies that this process keeps of entries in Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearConfig {
    /// The staleness bound: how old a proof may be that an answer is called FRESH with.
    pub staleness: Duration,
    /// The most that copies may weigh, in bytes; 0 keeps none.
    pub capacity: u64,
    /// Of so many answers one is compared with the master; 0 compares none.
    pub audit_every: usize,
}

/// When writes are held back although there is a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceConfig {
    /// What becomes of them.
    pub mode: FenceMode,
    /// How old the word of a majority may be.
    pub period: Duration,
    /// Whether writes with durability ALL are allowed without a majority.
    pub all_unconfirmed: bool,
}

/// What becomes of a write while the master is being replaced, or in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceMode {
    /// It waits within its deadline.
    Hold,
    /// It is refused at once.
    Fail,
    /// It is sent, and may be lost.
    Off,
}

/// HTTP sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionsConfig {
    /// Whether they are served.
    pub active: bool,
    /// How long one lives without being used, where its creator does not say.
    pub max_inactive: Duration,
}

/// What a call may ask for, and how many may ask at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes.
    pub key: u64,
    /// The largest value, in bytes.
    pub value: u64,
    /// The most items in one batch.
    pub batch_items: usize,
    /// The most payload in one batch, in bytes; at least `value`.
    pub batch_bytes: u64,
    /// The most calls being served at once.
    pub inflight_calls: usize,
    /// How long a call waits for a master.
    pub wait: Duration,
    /// The most calls that wait for a master.
    pub waiting_calls: usize,
    /// The most payload of those, in bytes.
    pub waiting_bytes: u64,
    /// The most streams of Watch.
    pub subscribers: usize,
    /// The most events that are kept for subscribers who lag or resume.
    pub replay_events: usize,
    /// The most attributes of one session.
    pub session_attributes: usize,
    /// The largest attribute of a session, in bytes.
    pub session_attribute: u64,
    /// The largest session, as the names and values of its attributes, in bytes.
    pub session: u64,
    /// The most sessions that a search answers with.
    pub sessions_found: usize,
}

/// What messages of channels may be, and what is kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// The largest message, in bytes.
    pub message: u64,
    /// The most messages that the log of a channel keeps.
    pub log: usize,
    /// How long a log is kept after its last message.
    pub idle: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter in the syntax of tracing's `EnvFilter`.
    pub level: String,
    /// The shape of a line.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
    /// Text on a terminal, JSON elsewhere.
    Auto,
}
