//! The table, the defaults, and each bound.

use std::collections::BTreeSet;
use std::time::Duration;

use super::given;
use crate::config::{LogFormat, Profile, StoreConfig, settings};

#[test]
fn names_in_the_table_are_unique_and_alike() {
    let mut names = BTreeSet::new();
    for setting in settings() {
        assert!(names.insert(setting.key), "{}", setting.key);
        assert!(names.insert(setting.env), "{}", setting.env);
        assert!(setting.env.starts_with("VEDETTA_"), "{}", setting.env);
        assert!(
            !setting.doc.is_empty() && !setting.doc.ends_with('.'),
            "{}",
            setting.key
        );
        assert_eq!(
            setting.secret,
            setting.key.ends_with(".password"),
            "{}",
            setting.key
        );
        if let Some(alias) = setting.alias {
            assert!(
                names.insert(alias) && alias.starts_with("REDIS_"),
                "{alias}"
            );
        }
    }
    let flag = |key: &str| settings().iter().find(|s| s.key == key).expect(key).flag();
    assert_eq!(flag("api.listen"), "listen");
    assert_eq!(flag("redis.password_file"), "redis-password-file");
}

#[test]
fn nothing_configured_is_the_embedded_store_on_loopback() {
    let loaded = given().loaded();
    assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
    let config = loaded.config;
    assert_eq!(config.profile, Profile::Default);
    let socket = config.api.socket.expect("a socket");
    assert_eq!(socket.to_str(), Some("/run/vedetta/vedetta.sock"));
    assert!(!config.api.socket_required);
    assert_eq!(
        config.api.listen.expect("a listener").to_string(),
        "127.0.0.1:17070"
    );
    assert_eq!(
        (config.api.workers, config.api.drain),
        (1, Duration::from_secs(5))
    );
    assert_eq!(config.admin.listen.to_string(), "0.0.0.0:17071");
    assert!(matches!(config.store, StoreConfig::Embedded { capacity } if capacity == 64 << 20));
    assert!(config.caches.rules().is_empty());
    let limits = config.limits;
    assert_eq!(
        (limits.key, limits.value, limits.batch_bytes),
        (64 << 10, 16 << 20, 32 << 20)
    );
    assert_eq!((limits.batch_items, limits.inflight_calls), (1000, 4096));
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("info", LogFormat::Auto)
    );
}

/// A key, texts that it takes and texts that it refuses; `{n}` stands for n letters.
const BOUNDS: &[(&str, &[&str], &[&str])] = &[
    ("profile", &["default", "entando"], &["", "Entando"]),
    (
        "api.socket",
        &["", "none", "/s", "/{106}"],
        &["s", "./s", "/{107}", "/a\0b"],
    ),
    (
        "api.listen",
        &["none", "127.0.0.1:0", "[::1]:1", "127.9.9.9:65535"],
        &[
            "0.0.0.0:1",
            "10.0.0.1:1",
            "[::]:1",
            "localhost:1",
            "127.0.0.1",
            ":1",
        ],
    ),
    ("api.workers", &["1", "64"], &["0", "65", "-1", "two"]),
    ("api.drain", &["0s", "60s", "1m"], &["61s", "0", "5", "x"]),
    (
        "admin.listen",
        &["0.0.0.0:0", "[::]:1"],
        &["", "none", "17071", "localhost:1"],
    ),
    (
        "redis.prefix",
        &["", "a.b_c-D9", "{64}"],
        &["vedetta", "a:b", "{65}", "à"],
    ),
    ("redis.tls", &["true", "false"], &["", "1", "TRUE"]),
    (
        "redis.connect_timeout",
        &["10ms", "30s"],
        &["9ms", "30001ms", "1"],
    ),
    (
        "redis.command_timeout",
        &["10ms", "60s"],
        &["9ms", "60001ms", "1"],
    ),
    (
        "sentinel.addresses",
        &["a", "a,b"],
        &["a,a", "a:0", "a,rediss://b"],
    ),
    (
        "sentinel.master_name",
        &["m", "a.b_c-D9"],
        &["", "a b", "a:b"],
    ),
    ("sentinel.tls", &["true", "false"], &["yes"]),
    ("sentinel.events", &["true", "false"], &["on"]),
    (
        "sentinel.poll_interval",
        &["50ms", "1s"],
        &["49ms", "1001ms", "200"],
    ),
    (
        "sentinel.policy",
        &["majority", "first+role"],
        &["", "first", "Majority"],
    ),
    (
        "embedded.capacity",
        &["1MiB", "64GiB"],
        &["1048575B", "65GiB", "1048576"],
    ),
    ("events.message", &["1B", "1MiB"], &["0B", "1025KiB", "64"]),
    ("events.log", &["1", "1000000"], &["0", "1000001"]),
    ("events.idle", &["1m", "365d"], &["59s", "366d", "7"]),
    ("limits.key", &["1B", "1MiB"], &["0B", "1025KiB", "64"]),
    ("limits.value", &["1B", "32MiB"], &["0B", "257MiB", "33MiB"]),
    ("limits.batch_items", &["1", "100000"], &["0", "100001"]),
    (
        "limits.batch_bytes",
        &["16MiB", "1GiB"],
        &["16777215B", "1025MiB", "1B"],
    ),
    ("sessions.max_inactive", &["1s", "366d"], &["999ms", "367d"]),
    (
        "limits.session_attributes",
        &["1", "10000"],
        &["0", "10001"],
    ),
    (
        "limits.session_attribute",
        &["1B", "16MiB"],
        &["0B", "17MiB"],
    ),
    ("limits.session", &["1B", "64MiB"], &["0B", "65MiB"]),
    ("limits.sessions_found", &["1", "100000"], &["0", "100001"]),
    (
        "limits.inflight_calls",
        &["1", "1000000"],
        &["0", "1000001"],
    ),
    (
        "log.level",
        &["warn", "info,vedetta::cache=trace,h2[{x=\"y\"}]=off"],
        &["", "in;fo", "ì"],
    ),
    ("log.format", &["text", "json", "auto"], &["", "xml"]),
    (
        "redis.address",
        &["h", "redis://:p@h"],
        &["h:0", "redis://h/1", "redis://p@h"],
    ),
];

#[test]
fn each_setting_keeps_its_bounds() {
    let expand = |text: &str| {
        [64, 65, 106, 107]
            .into_iter()
            .fold(text.to_owned(), |text, count| {
                text.replace(&format!("{{{count}}}"), &"x".repeat(count))
            })
    };
    for (key, good, bad) in BOUNDS {
        for value in *good {
            given().flag(key, &expand(value)).loaded();
        }
        for value in *bad {
            let mistakes = given().flag(key, &expand(value)).load().unwrap_err();
            // Too large a value is reported where the batch is configured, which it no longer fits.
            let moved = (*key, *value) == ("limits.value", "33MiB");
            let field = if moved { "limits.batch_bytes" } else { key };
            assert_eq!(mistakes.0.len(), 1, "{key} = {value}: {mistakes}");
            assert_eq!(mistakes.0[0].field, field, "{key} = {value}");
            assert!(mistakes.0[0].problem.contains("; "), "{mistakes}");
        }
    }
}

#[test]
fn a_socket_that_somebody_asked_for_is_required() {
    assert!(
        given()
            .env("VEDETTA_SOCKET", "/run/vedetta/vedetta.sock")
            .config()
            .api
            .socket_required
    );
    for none in ["", "none"] {
        let api = given().env("VEDETTA_SOCKET", none).config().api;
        assert_eq!((api.socket, api.socket_required), (None, false));
    }
}

#[test]
fn rules_between_settings_hold() {
    let mistake = given()
        .env("VEDETTA_SOCKET", "none")
        .env("VEDETTA_LISTEN", "none")
        .mistake();
    assert!(
        mistake.ends_with("are both disabled; give the API one of the two"),
        "{mistake}"
    );
    let mistake = given().env("VEDETTA_LIMITS_BATCH_BYTES", "1MiB").mistake();
    assert_eq!(
        mistake,
        "limits.batch_bytes (from VEDETTA_LIMITS_BATCH_BYTES) is 1MiB, too little for one value \
         of limits.value; write 16MiB or more"
    );
    let one_port = given().env("VEDETTA_ADMIN_LISTEN", "0.0.0.0:17070");
    assert!(
        one_port
            .mistake()
            .ends_with("has the port of api.listen; choose another port")
    );
    one_port.env("VEDETTA_LISTEN", "none").loaded();
    given()
        .env("VEDETTA_ADMIN_LISTEN", "127.0.0.2:17070")
        .loaded();
    given()
        .env("VEDETTA_ADMIN_LISTEN", "0.0.0.0:0")
        .env("VEDETTA_LISTEN", "127.0.0.1:0")
        .loaded();
}
