//! Which store serves, and how to reach it.
//!
//! Invariants: Sentinels win over a single address of the same precedence; what lost or has no effect is named
//! in a notice; every setting is checked, used or not, but what lost is not.
//!
//! Not here: the syntax of addresses (`address`); passwords and TLS (`credentials`).

use std::time::Duration;

use super::address::{address, sentinels};
use super::credentials::{credentials, tls};
use super::draft::Draft;
use super::mistake::quoted;
use super::origin::Origin;
use super::setting::settings;
use super::types::{RedisConfig, SentinelConfig, SentinelPolicy, StoreConfig};
use super::units::{duration, size, switch};
use crate::model::Endpoint;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;
const REDIS_PORT: u16 = 6379;
const PREFIX_BYTES: usize = 64;

type ReadSecret<'a> = &'a dyn Fn(&str) -> Result<String, String>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Embedded,
    Redis,
    Sentinel,
}

/// The store, or `None` if a mistake was noted.
pub(super) fn store(draft: &mut Draft, read_secret: ReadSecret<'_>) -> Option<StoreConfig> {
    let mode = mode(draft);
    notice_idle(draft, mode);
    let capacity = draft.read("embedded.capacity", size(MIB..=65_536 * MIB));
    let sentinel = sentinel(draft, mode == Mode::Sentinel, read_secret);
    let redis = redis(draft, mode, read_secret);
    match mode {
        Mode::Embedded => {
            redis?;
            sentinel?;
            Some(StoreConfig::Embedded {
                capacity: capacity?,
            })
        }
        Mode::Redis => Some(StoreConfig::Redis(redis?)),
        Mode::Sentinel => {
            let (redis, sentinel) = (redis?, sentinel?);
            if sentinel.tls.is_some() && redis.tls.is_none() {
                draft.notice(
                    "the links to the Sentinels are encrypted and those to Redis are not, \
                     because redis.tls is false",
                );
            }
            Some(StoreConfig::Sentinel(redis, Box::new(sentinel)))
        }
    }
}

/// Decides which store serves, and unsets the address that lost.
fn mode(draft: &mut Draft) -> Mode {
    let (one, many) = ("redis.address", "sentinel.addresses");
    let (single, set) = (draft.origin(one), draft.origin(many));
    match (single.is_explicit(), set.is_explicit()) {
        (false, false) if draft.redis_active => {
            let address = format!("localhost:{REDIS_PORT}");
            draft.set(one, &address, Origin::Alias("REDIS_ACTIVE"));
            Mode::Redis
        }
        (false, false) => Mode::Embedded,
        (true, false) => Mode::Redis,
        (false, true) => Mode::Sentinel,
        (true, true) if single.level() > set.level() => {
            draft.notice(format!(
                "{many} ({set}) is not used, because {one} ({single}) wins"
            ));
            draft.clear(many);
            Mode::Redis
        }
        (true, true) => {
            draft.notice(format!(
                "{one} ({single}) is not used, because {many} ({set}) wins"
            ));
            draft.clear(one);
            Mode::Sentinel
        }
    }
}

/// Tells of settings that somebody made for a store that does not serve.
fn notice_idle(draft: &mut Draft, mode: Mode) {
    let idle: &[&str] = match mode {
        Mode::Embedded => &["redis.", "sentinel."],
        Mode::Redis => &["sentinel.", "embedded."],
        Mode::Sentinel => &["embedded."],
    };
    let set = settings().iter().filter(|setting| {
        let of_idle = idle.iter().any(|section| setting.key.starts_with(section));
        of_idle && draft.is_explicit(setting.key)
    });
    let keys: Vec<&str> = set.map(|setting| setting.key).collect();
    if !keys.is_empty() {
        let serving = match mode {
            Mode::Embedded => {
                "the embedded store serves: there is no address of Redis or Sentinels"
            }
            Mode::Redis => "one Redis serves: there are no addresses of Sentinels",
            Mode::Sentinel => "Redis behind Sentinels serves",
        };
        draft.notice(format!(
            "without effect, because {serving}: {}",
            keys.join(", ")
        ));
    }
}

fn redis(draft: &mut Draft, mode: Mode, read_secret: ReadSecret<'_>) -> Option<RedisConfig> {
    let used = mode != Mode::Embedded;
    let endpoint = endpoint(draft);
    let prefix = draft.read("redis.prefix", prefix);
    let credentials = credentials(draft, "redis", used, read_secret);
    let tls = tls(draft, "redis", used, "redis.address", read_secret);
    let connect_timeout = draft.read(
        "redis.connect_timeout",
        duration(10 * MILLISECOND..=30 * SECOND),
    );
    let command_timeout = draft.read(
        "redis.command_timeout",
        duration(10 * MILLISECOND..=60 * SECOND),
    );
    Some(RedisConfig {
        endpoint: endpoint?,
        prefix: prefix?,
        credentials: credentials?,
        tls: tls?,
        connect_timeout: connect_timeout?,
        command_timeout: command_timeout?,
    })
}

/// The one endpoint. Credentials in its address become those of the settings that are unset, and leave the
/// text, which is shown.
fn endpoint(draft: &mut Draft) -> Option<Option<Endpoint>> {
    let key = "redis.address";
    let Some(found) = draft.read_optional(key, |text| address(text, REDIS_PORT))? else {
        return Some(None);
    };
    let origin = draft.origin(key);
    draft.set(key, &found.shown(), origin.clone());
    if let Some(username) = &found.username
        && draft.text("redis.username").is_empty()
    {
        draft.set("redis.username", username, origin.clone());
    }
    if let Some(password) = &found.password
        && draft.text("redis.password").is_empty()
        && draft.text("redis.password_file").is_empty()
    {
        draft.set("redis.password", password, origin);
    }
    Some(Some(found.endpoint))
}

fn prefix(text: &str) -> Result<String, String> {
    if text == "vedetta" {
        return Err("is the name that vedetta keeps for itself; choose another".to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() > PREFIX_BYTES || !text.chars().all(legal) {
        let remedy = "write at most 64 letters, digits, dots, underscores or hyphens";
        return Err(format!("is {}; {remedy}", quoted(text)));
    }
    Ok(text.to_owned())
}

fn sentinel(draft: &mut Draft, used: bool, read_secret: ReadSecret<'_>) -> Option<SentinelConfig> {
    let endpoints = endpoints(draft);
    let master_name = draft.read("sentinel.master_name", master_name);
    let credentials = credentials(draft, "sentinel", used, read_secret);
    let tls = tls(draft, "sentinel", used, "sentinel.addresses", read_secret);
    let events = draft.read("sentinel.events", switch);
    let poll_interval = draft.read(
        "sentinel.poll_interval",
        duration(50 * MILLISECOND..=SECOND),
    );
    let policy = draft.read("sentinel.policy", policy);
    let discovery = draft.read("sentinel.discovery", switch);
    Some(SentinelConfig {
        endpoints: endpoints?,
        master_name: master_name?,
        credentials: credentials?,
        tls: tls?,
        events: events?,
        poll_interval: poll_interval?,
        policy: policy?,
        discovery: discovery?,
    })
}

fn policy(text: &str) -> Result<SentinelPolicy, String> {
    match text {
        "majority" => Ok(SentinelPolicy::Majority),
        "first+role" => Ok(SentinelPolicy::FirstAndRole),
        _ => Err(format!("is {}; write majority or first+role", quoted(text))),
    }
}

/// The Sentinels; none if they are unset.
fn endpoints(draft: &mut Draft) -> Option<Vec<Endpoint>> {
    let text = draft.text("sentinel.addresses");
    let found = if text.is_empty() {
        Ok(Vec::new())
    } else {
        sentinels(text)
    };
    found
        .map_err(|problems| {
            for problem in problems {
                draft.mistake("sentinel.addresses", problem);
            }
        })
        .ok()
}

fn master_name(text: &str) -> Result<String, String> {
    // What Sentinel itself accepts in `sentinel monitor`.
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || !text.chars().all(legal) {
        let remedy =
            "write the name that the Sentinels monitor, of letters, digits, `.`, `_` or `-`";
        return Err(format!("is {}; {remedy}", quoted(text)));
    }
    Ok(text.to_owned())
}
