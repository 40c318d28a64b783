//! The table of settings: name, variable, default, meaning. Everything else in this room follows it.
//!
//! Invariants: keys, variables and aliases are unique; every default passes its own check; a setting that has
//! no default is unset. `tests` holds all three.
//!
//! Not here: the bounds, which stand beside the parsing (`server`, `store`) and are repeated in `doc` for the
//! reader; `REDIS_*` variables that are not another name of a setting (`alias`).

/// The TOML type in which a setting is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Text such as `250ms`.
    Duration,
    /// Text such as `64KiB`.
    Size,
    /// Text with commas, or an array of text.
    List,
    /// `[[cache]]` tables in the file, one text elsewhere.
    Rules,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The dotted key, as in the file.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The variable that means the same to Entando.
    pub alias: Option<&'static str>,
    /// The default as text; empty for unset.
    pub default: &'static str,
    /// One sentence, with the unit and the bounds.
    pub doc: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// How it is written.
    pub kind: Kind,
}

impl Setting {
    /// The long command line flag, without dashes: `VEDETTA_ADMIN_LISTEN` is `admin-listen`.
    pub fn flag(&self) -> String {
        let name = self.env.strip_prefix("VEDETTA_").unwrap_or(self.env);
        name.to_ascii_lowercase().replace('_', "-")
    }

    /// Whether blank text means that the source says nothing, as templates produce it. Elsewhere blank text
    /// is a value: it disables the socket, empties the prefix, and is a mistake for the rest.
    pub(super) fn blank_is_unset(&self) -> bool {
        self.default.is_empty() && self.key != "redis.prefix"
    }

    const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

const fn setting(
    kind: Kind,
    key: &'static str,
    env: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        key,
        env,
        alias: None,
        default,
        doc,
        secret: false,
        kind,
    }
}

/// Every setting, in the order in which documents list them.
pub fn settings() -> &'static [Setting] {
    SETTINGS
}

/// The setting with that key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

#[rustfmt::skip] // One setting a paragraph: name, default, meaning.
const SETTINGS: &[Setting] = &[
    setting(Kind::Text, "profile", "VEDETTA_PROFILE", "default",
        "Built-in cache rules: `default` or `entando`"),

    setting(Kind::Text, "api.socket", "VEDETTA_SOCKET", "/run/vedetta/vedetta.sock",
        "Unix socket of the API: an absolute path of at most 107 bytes, or `none`"),
    setting(Kind::Text, "api.listen", "VEDETTA_LISTEN", "127.0.0.1:17070",
        "TCP address of the API: a loopback IP:port, or `none`; port 0 takes a free one"),
    setting(Kind::Integer, "api.workers", "VEDETTA_WORKERS", "1",
        "Threads that serve calls, 1 to 64; one serves some ten thousand calls in a second"),
    setting(Kind::Duration, "api.drain", "VEDETTA_DRAIN", "5s",
        "How long calls in flight may still run after SIGTERM, 0s to 60s"),

    setting(Kind::Text, "admin.listen", "VEDETTA_ADMIN_LISTEN", "0.0.0.0:17071",
        "TCP address of metrics and probes, IP:port"),

    setting(Kind::Text, "redis.address", "VEDETTA_REDIS_ADDRESS", "",
        "One Redis: `host`, `host:port`, `redis://[user:password@]host[:port]`, or `rediss://` for TLS")
        .alias("REDIS_ADDRESS"),
    setting(Kind::Text, "redis.username", "VEDETTA_REDIS_USERNAME", "",
        "ACL user of Redis; unset means Redis's `default`"),
    setting(Kind::Text, "redis.password", "VEDETTA_REDIS_PASSWORD", "",
        "Password of Redis; prefer the file")
        .alias("REDIS_PASSWORD").secret(),
    setting(Kind::Text, "redis.password_file", "VEDETTA_REDIS_PASSWORD_FILE", "",
        "File that holds the password of Redis"),
    setting(Kind::Text, "redis.prefix", "VEDETTA_REDIS_PREFIX", "",
        "Stands before every key, at most 64 letters, digits, `.`, `_` or `-`; empty for none"),
    setting(Kind::Boolean, "redis.tls", "VEDETTA_REDIS_TLS", "false",
        "Whether links to Redis are encrypted; `rediss://` sets it"),
    setting(Kind::Text, "redis.tls_ca_file", "VEDETTA_REDIS_TLS_CA_FILE", "",
        "PEM file of the authorities that Redis certificates need; unset trusts the system's"),
    setting(Kind::Text, "redis.tls_cert_file", "VEDETTA_REDIS_TLS_CERT_FILE", "",
        "PEM file of the certificate that vedetta shows to Redis, with those between it and its authority"),
    setting(Kind::Text, "redis.tls_key_file", "VEDETTA_REDIS_TLS_KEY_FILE", "",
        "PEM file of the private key of that certificate"),
    setting(Kind::Text, "redis.tls_server_name", "VEDETTA_REDIS_TLS_SERVER_NAME", "",
        "Name or IP that the certificates of Redis must be for; unset means the host that is dialled"),
    setting(Kind::Duration, "redis.connect_timeout", "VEDETTA_REDIS_CONNECT_TIMEOUT", "1s",
        "How long a connection to Redis may take to be ready, 10ms to 30s"),
    setting(Kind::Duration, "redis.command_timeout", "VEDETTA_REDIS_COMMAND_TIMEOUT", "1s",
        "How long a command may take, 10ms to 60s"),

    setting(Kind::List, "sentinel.addresses", "VEDETTA_SENTINEL_ADDRESSES", "",
        "Sentinels, 1 to 16 of `host[:port]` with commas between; `rediss://` in front for TLS")
        .alias("REDIS_ADDRESSES"),
    setting(Kind::Text, "sentinel.master_name", "VEDETTA_SENTINEL_MASTER_NAME", "mymaster",
        "Name under which the Sentinels monitor the master: letters, digits, `.`, `_` or `-`")
        .alias("REDIS_MASTER_NAME"),
    setting(Kind::Text, "sentinel.username", "VEDETTA_SENTINEL_USERNAME", "",
        "ACL user of the Sentinels; unset means their `default`"),
    setting(Kind::Text, "sentinel.password", "VEDETTA_SENTINEL_PASSWORD", "",
        "Password of the Sentinels, not of Redis; prefer the file")
        .secret(),
    setting(Kind::Text, "sentinel.password_file", "VEDETTA_SENTINEL_PASSWORD_FILE", "",
        "File that holds the password of the Sentinels"),
    setting(Kind::Boolean, "sentinel.tls", "VEDETTA_SENTINEL_TLS", "false",
        "Whether links to the Sentinels are encrypted; `rediss://` sets it"),
    setting(Kind::Text, "sentinel.tls_ca_file", "VEDETTA_SENTINEL_TLS_CA_FILE", "",
        "PEM file of the authorities that Sentinel certificates need; unset trusts the system's"),
    setting(Kind::Text, "sentinel.tls_cert_file", "VEDETTA_SENTINEL_TLS_CERT_FILE", "",
        "PEM file of the certificate that vedetta shows to the Sentinels, with those between it and its authority"),
    setting(Kind::Text, "sentinel.tls_key_file", "VEDETTA_SENTINEL_TLS_KEY_FILE", "",
        "PEM file of the private key of that certificate"),
    setting(Kind::Text, "sentinel.tls_server_name", "VEDETTA_SENTINEL_TLS_SERVER_NAME", "",
        "Name or IP that the certificates of the Sentinels must be for; unset means the host that is dialled"),
    setting(Kind::Boolean, "sentinel.events", "VEDETTA_SENTINEL_EVENTS", "true",
        "Whether to listen to the Sentinels' events; `false` only polls")
        .alias("REDIS_USE_SENTINEL_EVENTS"),
    setting(Kind::Duration, "sentinel.poll_interval", "VEDETTA_SENTINEL_POLL_INTERVAL", "200ms",
        "How often each Sentinel is asked, 50ms to 1s"),
    setting(Kind::Text, "sentinel.policy", "VEDETTA_SENTINEL_POLICY", "majority",
        "Whose word elects a master: `majority`, or `first+role` for a single Sentinel, which is weaker"),
    setting(Kind::Boolean, "sentinel.discovery", "VEDETTA_SENTINEL_DISCOVERY", "true",
        "Whether Sentinels are asked that only other Sentinels know of; `false` where their addresses lead nowhere from here"),

    setting(Kind::Size, "embedded.capacity", "VEDETTA_EMBEDDED_CAPACITY", "64MiB",
        "Memory of the embedded store, which serves when no Redis is configured, 1MiB to 64GiB"),

    setting(Kind::Duration, "near.staleness", "VEDETTA_NEAR_STALENESS", "1s",
        "Staleness bound: a FRESH answer reflects every write acknowledged that long before it, 300ms to 5s"),
    setting(Kind::Size, "near.capacity", "VEDETTA_NEAR_CAPACITY", "64MiB",
        "Memory of the near cache in front of Redis, 0B to 64GiB; 0B keeps no copies"),
    setting(Kind::Integer, "near.audit_every", "VEDETTA_NEAR_AUDIT_EVERY", "1000",
        "Of so many answers of the near cache one is compared with the master; 0 compares none"),

    setting(Kind::Text, "fence.mode", "VEDETTA_FENCE_MODE", "hold",
        "What becomes of writes while the master is being replaced or in doubt: `hold`, `fail` at once, or `off`"),
    setting(Kind::Duration, "fence.period", "VEDETTA_FENCE_PERIOD", "1s",
        "How old the word of a majority of Sentinels for the master may be for writes, 300ms to 10s; never above \
         down-after-milliseconds less 1 s"),
    setting(Kind::Text, "fence.unconfirmed", "VEDETTA_FENCE_UNCONFIRMED", "refuse",
        "What becomes of writes when no majority answers but the link to the master works: `refuse`, or `all` to allow \
         those with durability ALL"),

    setting(Kind::Boolean, "sessions.active", "VEDETTA_SESSIONS_ACTIVE", "true",
        "Whether HTTP sessions are served; the `entando` profile makes the default `false`")
        .alias("REDIS_SESSION_ACTIVE"),
    setting(Kind::Duration, "sessions.max_inactive", "VEDETTA_SESSIONS_MAX_INACTIVE", "30m",
        "How long a session lives without being used where its creator does not say, 1s to 366d"),
    setting(Kind::Size, "events.message", "VEDETTA_EVENTS_MESSAGE", "64KiB",
        "Largest message that can be published, 1B to 1MiB"),
    setting(Kind::Integer, "events.log", "VEDETTA_EVENTS_LOG", "10000",
        "Most messages that the log of a channel keeps for subscribers that resume, 1 to 1000000"),
    setting(Kind::Duration, "events.idle", "VEDETTA_EVENTS_IDLE", "7d",
        "How long the log of a channel is kept after its last message, 1m to 365d"),

    setting(Kind::Duration, "limits.wait", "VEDETTA_LIMITS_WAIT", "15s",
        "How long a call waits for a master, if its own deadline is not earlier, 0s to 10m"),
    setting(Kind::Integer, "limits.waiting_calls", "VEDETTA_LIMITS_WAITING_CALLS", "1024",
        "Most calls that wait for a master at once, 1 to 1000000"),
    setting(Kind::Size, "limits.waiting_bytes", "VEDETTA_LIMITS_WAITING_BYTES", "32MiB",
        "Most payload of the calls that wait for a master, 1KiB to 4GiB"),
    setting(Kind::Size, "limits.key", "VEDETTA_LIMITS_KEY", "64KiB",
        "Longest key, 1B to 1MiB"),
    setting(Kind::Size, "limits.value", "VEDETTA_LIMITS_VALUE", "16MiB",
        "Largest value, 1B to 256MiB"),
    setting(Kind::Integer, "limits.batch_items", "VEDETTA_LIMITS_BATCH_ITEMS", "1000",
        "Most items in one batch, 1 to 100000"),
    setting(Kind::Size, "limits.batch_bytes", "VEDETTA_LIMITS_BATCH_BYTES", "32MiB",
        "Most payload in one batch, 1B to 1GiB and at least limits.value"),
    setting(Kind::Integer, "limits.inflight_calls", "VEDETTA_LIMITS_INFLIGHT_CALLS", "4096",
        "Most calls being served at once, of which half may wait for leases, 1 to 1000000"),
    setting(Kind::Integer, "limits.subscribers", "VEDETTA_LIMITS_SUBSCRIBERS", "1024",
        "Most streams of Watch, and as many of Subscribe, 1 to 100000"),
    setting(Kind::Integer, "limits.replay_events", "VEDETTA_LIMITS_REPLAY_EVENTS", "65536",
        "Most events kept for subscribers that lag or resume, 1 to 10000000; 16 MiB of keys at most"),

    setting(Kind::Integer, "limits.session_attributes", "VEDETTA_LIMITS_SESSION_ATTRIBUTES", "256",
        "Most attributes of one session, 1 to 10000"),
    setting(Kind::Size, "limits.session_attribute", "VEDETTA_LIMITS_SESSION_ATTRIBUTE", "1MiB",
        "Largest attribute of a session, 1B to 16MiB"),
    setting(Kind::Size, "limits.session", "VEDETTA_LIMITS_SESSION", "4MiB",
        "Largest session, as the names and values of its attributes, 1B to 64MiB"),
    setting(Kind::Integer, "limits.sessions_found", "VEDETTA_LIMITS_SESSIONS_FOUND", "1000",
        "Most sessions that FindByPrincipal answers with, 1 to 100000"),

    setting(Kind::Text, "log.level", "VEDETTA_LOG", "info",
        "Log filter: a level, or `target=level` with commas between"),
    setting(Kind::Text, "log.format", "VEDETTA_LOG_FORMAT", "auto",
        "Shape of a log line: `text`, `json`, or `auto` for text on a terminal only"),

    setting(Kind::Rules, "caches", "VEDETTA_CACHES", "",
        "Rules `pattern:encoding[:ttl[:jitter]]` with commas between, encoding `framed` or `raw`, jitter `0%` to `50%`; \
         `[[cache]]` tables with name, encoding, ttl and jitter in the file"),
    setting(Kind::List, "quotas", "VEDETTA_QUOTAS", "",
        "Rules such as `cache=orders* tenant=shop entries=1000 bytes=64MiB rate=100/s` with commas between: for each cache, or \
         without `cache` for all caches of a tenant together"),
];
