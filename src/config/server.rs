//! The settings of the process itself: listeners, limits, logs, and the sum of all.
//!
//! Invariants: the API listens on a Unix socket or on loopback, never on the pod's address, since it has no
//! authentication; every part is read even after a mistake in another, so that one load reports all.
//!
//! Not here: the store (`store`); cache rules (`rules`) and quotas (`quota_rules`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::draft::Draft;
use super::mistake::quoted;
use super::origin::Origin;
use super::quota_rules;
use super::rules;
use super::store;
use super::types::{
    Admin, Api, Config, EventsConfig, FenceConfig, FenceMode, Limits, Log, LogFormat, NearConfig,
    Profile, SessionsConfig,
};
use super::units::{duration, number, size, switch};

/// The length of `sun_path` on Linux without its terminating zero.
const SOCKET_BYTES: usize = 107;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1 << 20;

/// A poll and its answer must fit in, on a machine that is busy.
const SHORTEST_FENCE: Duration = Duration::from_millis(300);

/// Two heartbeats, a poll and their answers must fit in, on a machine that is busy.
const SHORTEST_BOUND: Duration = Duration::from_millis(300);

/// Everything, or `None` if a mistake was noted.
pub(super) fn config(
    draft: &mut Draft,
    read_secret: &dyn Fn(&str) -> Result<String, String>,
) -> Option<Config> {
    let profile = draft.read("profile", profile);
    let api = api(draft);
    let admin = admin(draft);
    let store = store::store(draft, read_secret);
    let near = near(draft);
    let fence = fence(draft);
    let sessions = sessions(draft, profile);
    let events = events(draft);
    let limits = limits(draft);
    let log = log(draft);
    let caches = rules::rules(draft, profile.unwrap_or(Profile::Default));
    let quotas = quota_rules::quotas(draft, &caches);
    check_ports(draft, api.as_ref(), admin.as_ref());
    Some(Config {
        profile: profile?,
        api: api?,
        admin: admin?,
        store: store?,
        near: near?,
        fence: fence?,
        caches,
        quotas,
        sessions: sessions?,
        events: events?,
        limits: limits?,
        log: log?,
    })
}

fn profile(text: &str) -> Result<Profile, String> {
    match text {
        "default" => Ok(Profile::Default),
        "entando" => Ok(Profile::Entando),
        _ => Err(format!("is {}; write default or entando", quoted(text))),
    }
}

fn api(draft: &mut Draft) -> Option<Api> {
    let socket = draft.read("api.socket", socket);
    let listen = draft.read("api.listen", loopback);
    let workers = draft.read("api.workers", number(1..=64));
    let drain = draft.read("api.drain", duration(Duration::ZERO..=60 * SECOND));
    if let (Some(None), Some(None)) = (&socket, &listen) {
        draft.mistake(
            "api.listen",
            "and api.socket are both disabled; give the API one of the two",
        );
    }
    let socket = socket?;
    Some(Api {
        socket_required: socket.is_some() && draft.is_explicit("api.socket"),
        socket,
        listen: listen?,
        workers: workers?,
        drain: drain?,
    })
}

fn socket(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() || text == "none" {
        return Ok(None);
    }
    let shown = quoted(text);
    if !text.starts_with('/') || text.contains('\0') {
        return Err(format!("is {shown}; write an absolute path, or none"));
    }
    if text.len() > SOCKET_BYTES {
        let bytes = text.len();
        return Err(format!(
            "is {shown}, {bytes} bytes long; write a path of at most {SOCKET_BYTES} bytes"
        ));
    }
    Ok(Some(PathBuf::from(text)))
}

fn loopback(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    let remedy = "write a loopback IP:port such as 127.0.0.1:17070, or none";
    let shown = quoted(text);
    let address: SocketAddr = text.parse().map_err(|_| format!("is {shown}; {remedy}"))?;
    if address.ip().is_loopback() {
        return Ok(Some(address));
    }
    Err(format!(
        "is {shown}, which other pods could reach; {remedy}"
    ))
}

fn admin(draft: &mut Draft) -> Option<Admin> {
    let listen = draft.read("admin.listen", |text| {
        let remedy = "write IP:port such as 0.0.0.0:17071";
        text.parse::<SocketAddr>()
            .map_err(|_| format!("is {}; {remedy}", quoted(text)))
    });
    Some(Admin { listen: listen? })
}

/// Two listeners on one port would fail to bind in an order that nobody can predict.
fn check_ports(draft: &mut Draft, api: Option<&Api>, admin: Option<&Admin>) {
    let (Some(api), Some(admin)) = (api.and_then(|api| api.listen), admin) else {
        return;
    };
    let admin = admin.listen;
    let overlap = admin.ip().is_unspecified() || admin.ip() == api.ip();
    if api.port() == admin.port() && api.port() != 0 && overlap {
        draft.mistake(
            "admin.listen",
            "has the port of api.listen; choose another port",
        );
    }
}

fn near(draft: &mut Draft) -> Option<NearConfig> {
    let staleness = draft.read("near.staleness", duration(SHORTEST_BOUND..=5 * SECOND));
    let capacity = draft.read("near.capacity", size(0..=65_536 * MIB));
    let audit_every = draft.read("near.audit_every", number(0..=1_000_000_000));
    Some(NearConfig {
        staleness: staleness?,
        capacity: capacity?,
        audit_every: audit_every?,
    })
}

fn fence(draft: &mut Draft) -> Option<FenceConfig> {
    let mode = draft.read("fence.mode", |text| match text {
        "hold" => Ok(FenceMode::Hold),
        "fail" => Ok(FenceMode::Fail),
        "off" => Ok(FenceMode::Off),
        _ => Err(format!("is {}; write hold, fail or off", quoted(text))),
    });
    let period = draft.read("fence.period", duration(SHORTEST_FENCE..=10 * SECOND));
    let all_unconfirmed = draft.read("fence.unconfirmed", |text| match text {
        "refuse" => Ok(false),
        "all" => Ok(true),
        _ => Err(format!("is {}; write refuse or all", quoted(text))),
    });
    Some(FenceConfig {
        mode: mode?,
        period: period?,
        all_unconfirmed: all_unconfirmed?,
    })
}

/// Of the App Engine, sessions are in Redis only where `REDIS_SESSION_ACTIVE` says so.
fn sessions(draft: &mut Draft, profile: Option<Profile>) -> Option<SessionsConfig> {
    if profile == Some(Profile::Entando) && !draft.is_explicit("sessions.active") {
        draft.set("sessions.active", "false", Origin::Profile("entando"));
    }
    let active = draft.read("sessions.active", switch);
    let max_inactive = draft.read("sessions.max_inactive", duration(SECOND..=366 * DAY));
    Some(SessionsConfig {
        active: active?,
        max_inactive: max_inactive?,
    })
}

fn events(draft: &mut Draft) -> Option<EventsConfig> {
    let message = draft.read("events.message", size(1..=MIB));
    let log = draft.read("events.log", number(1..=1_000_000));
    let idle = draft.read("events.idle", duration(60 * SECOND..=365 * DAY));
    Some(EventsConfig {
        message: message?,
        log: log?,
        idle: idle?,
    })
}

fn limits(draft: &mut Draft) -> Option<Limits> {
    let key = draft.read("limits.key", size(1..=MIB));
    let value = draft.read("limits.value", size(1..=256 * MIB));
    let batch_items = draft.read("limits.batch_items", number(1..=100_000));
    let batch_bytes = draft.read("limits.batch_bytes", size(1..=1024 * MIB));
    let inflight_calls = draft.read("limits.inflight_calls", number(1..=1_000_000));
    let wait = draft.read("limits.wait", duration(Duration::ZERO..=600 * SECOND));
    let waiting_calls = draft.read("limits.waiting_calls", number(1..=1_000_000));
    let waiting_bytes = draft.read("limits.waiting_bytes", size(1024..=4096 * MIB));
    let subscribers = draft.read("limits.subscribers", number(1..=100_000));
    let replay_events = draft.read("limits.replay_events", number(1..=10_000_000));
    let session_attributes = draft.read("limits.session_attributes", number(1..=10_000));
    let session_attribute = draft.read("limits.session_attribute", size(1..=16 * MIB));
    let session = draft.read("limits.session", size(1..=64 * MIB));
    let sessions_found = draft.read("limits.sessions_found", number(1..=100_000));
    if let (Some(value), Some(batch)) = (value, batch_bytes)
        && batch < value
    {
        let (batch, value) = (draft.text("limits.batch_bytes"), draft.text("limits.value"));
        let problem =
            format!("is {batch}, too little for one value of limits.value; write {value} or more");
        draft.mistake("limits.batch_bytes", problem);
    }
    Some(Limits {
        key: key?,
        value: value?,
        batch_items: batch_items?,
        batch_bytes: batch_bytes?,
        inflight_calls: inflight_calls?,
        wait: wait?,
        waiting_calls: waiting_calls?,
        waiting_bytes: waiting_bytes?,
        subscribers: subscribers?,
        replay_events: replay_events?,
        session_attributes: session_attributes?,
        session_attribute: session_attribute?,
        session: session?,
        sessions_found: sessions_found?,
    })
}

fn log(draft: &mut Draft) -> Option<Log> {
    let level = draft.read("log.level", |text| {
        // The characters of EnvFilter; whether it can read the whole is for it to say.
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-:=,.[]{}\"*/ ".contains(c);
        if !text.is_empty() && text.chars().all(legal) {
            return Ok(text.to_owned());
        }
        let remedy = "write a level such as info, or info,vedetta=debug";
        Err(format!("is {}; {remedy}", quoted(text)))
    });
    let format = draft.read("log.format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "auto" => Ok(LogFormat::Auto),
        _ => Err(format!("is {}; write text, json or auto", quoted(text))),
    });
    Some(Log {
        level: level?,
        format: format?,
    })
}
