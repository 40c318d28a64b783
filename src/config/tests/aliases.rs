//! `REDIS_*` variables mean what they mean to Entando.

use super::store::{password, redis, sentinel};
use super::{Given, given};
use crate::config::StoreConfig;

#[test]
fn every_alias_sets_its_setting() {
    let g = given()
        .env("REDIS_ADDRESSES", "a:1,b:2,c:3")
        .env("REDIS_MASTER_NAME", "entando")
        .env("REDIS_PASSWORD", "p")
        .env("REDIS_USE_SENTINEL_EVENTS", "false");
    let (config, sentinel) = sentinel(&g);
    assert_eq!(sentinel.endpoints.len(), 3);
    assert_eq!(
        (sentinel.master_name.as_str(), sentinel.events),
        ("entando", false)
    );
    assert_eq!(password(&config.credentials), Some("p"));
    // The password is the one of the data nodes.
    assert_eq!(password(&sentinel.credentials), None);
    let one = redis(&given().env("REDIS_ADDRESS", "redis://localhost:6380"));
    assert_eq!(
        one.endpoint.expect("an endpoint").to_string(),
        "localhost:6380"
    );
}

#[test]
fn redis_active_true_means_redis_on_localhost_unless_an_address_says_more() {
    let active = given().env("REDIS_ACTIVE", "true");
    let endpoint = redis(&active).endpoint.expect("an endpoint");
    assert_eq!(endpoint.to_string(), "localhost:6379");
    assert_eq!(active.effective("redis.address").1, "REDIS_ACTIVE");
    assert_eq!(active.notices(), "");
    let other = redis(&active.clone().env("REDIS_ADDRESS", "other"));
    assert_eq!(other.endpoint.expect("an endpoint").host, "other");
    let other = redis(&active.clone().file("redis.address = 'other'"));
    assert_eq!(other.endpoint.expect("an endpoint").host, "other");
    let many = active.clone().env("REDIS_ADDRESSES", "s1");
    sentinel(&many);
    assert_eq!(many.notices(), "");
}

#[test]
fn redis_active_otherwise_silences_the_aliases_only() {
    for value in ["false", "TRUE", "1", "yes"] {
        let g = given()
            .env("REDIS_ACTIVE", value)
            .env("REDIS_ADDRESS", "a")
            .env("REDIS_ADDRESSES", "b")
            .env("REDIS_PASSWORD", "p")
            .env("REDIS_MASTER_NAME", "not a name")
            .env("REDIS_FEC_CHECK_DELAY_SEC", "x");
        assert!(
            matches!(g.config().store, StoreConfig::Embedded { .. }),
            "{value}"
        );
        let expected =
            format!("REDIS_ACTIVE is {value:?} and not true, so the REDIS_* variables are ignored");
        assert_eq!(g.notices(), expected);
        let own = redis(&g.env("VEDETTA_REDIS_ADDRESS", "own"));
        assert_eq!(own.endpoint.expect("an endpoint").host, "own");
        assert_eq!(password(&own.credentials), None);
    }
}

#[test]
fn blank_aliases_are_absent() {
    let mut g = given().env("REDIS_ADDRESS", "a");
    for name in [
        "REDIS_ACTIVE",
        "REDIS_ADDRESSES",
        "REDIS_MASTER_NAME",
        "REDIS_PASSWORD",
        "REDIS_USE_SENTINEL_EVENTS",
        "REDIS_SESSION_ACTIVE",
        "REDIS_FEC_CHECK_DELAY_SEC",
        "REDIS_IO_THREAD_POOL_SIZE",
    ] {
        g = g.env(name, " ");
    }
    assert_eq!(password(&redis(&g).credentials), None);
    assert_eq!(g.notices(), "");
}

#[test]
fn what_has_no_effect_here_is_checked_and_noticed() {
    for name in ["REDIS_FEC_CHECK_DELAY_SEC", "REDIS_IO_THREAD_POOL_SIZE"] {
        let notices = given().env(name, "30").notices();
        assert!(
            notices.starts_with(&format!("{name} has no effect, because")),
            "{notices}"
        );
        for odd in ["30s", "1.5", "-1", "x"] {
            let mistake = given().env(name, odd).mistake();
            let expected = format!("{name} is {odd:?}; write a whole number or remove it");
            assert_eq!(mistake, expected);
        }
    }
}

/// As for the App Engine: sessions are in Redis only where that is asked for, and only where Redis is.
#[test]
fn sessions_are_served_to_an_app_engine_that_asks_for_them() {
    let active = |given: &Given| given.config().sessions.active;
    assert!(active(&given()));
    assert!(!active(&given().env("REDIS_SESSION_ACTIVE", "false")));
    let entando = || given().env("VEDETTA_PROFILE", "entando");
    assert!(!active(&entando()));
    assert!(active(&entando().env("REDIS_SESSION_ACTIVE", "true")));
    let off = entando().env("REDIS_SESSION_ACTIVE", "true");
    assert!(!active(&off.env("REDIS_ACTIVE", "false")));
    assert!(active(&entando().env("VEDETTA_SESSIONS_ACTIVE", "true")));
    let mistake = given().env("REDIS_SESSION_ACTIVE", "yes").mistake();
    assert_eq!(
        mistake,
        "sessions.active (from REDIS_SESSION_ACTIVE) is \"yes\"; write true or false"
    );
}
