//! What is in Redis: Entando's keys and bytes, shared with `redis-cli` and the old plugin (G11), and what a framed
//! cache survives.

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, Reply, SentinelSet, Vedetta, wait};

const SWEPT_WITHIN: Duration = Duration::from_secs(10);
const PUSHED_WITHIN: Duration = Duration::from_secs(5);

/// What Spring stores for null, as the JDK serialises it.
const SPRING_NULL: &[u8] = b"\xAC\xED\x00\x05sr\x00\x2Borg.springframework.cache.support.NullValue\
\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00xp";

fn entando(variable: &str, value: &str) -> (Vedetta, Client) {
    let vedetta = Vedetta::start(&[], &[(variable, value), ("VEDETTA_PROFILE", "entando")]);
    let client = Client::connect(vedetta.api());
    (vedetta, client)
}

fn single() -> (Redis, Vedetta, Client) {
    let redis = Redis::start(&RedisOptions::default());
    let (vedetta, client) = entando("REDIS_ADDRESS", &redis.address().to_string());
    (redis, vedetta, client)
}

#[test]
fn with_sentinels_values_are_shared_byte_for_byte() {
    let set = SentinelSet::start();
    let master: SocketAddr = set.master_endpoint();
    let (_vedetta, client) = entando("REDIS_ADDRESSES", &set.sentinel_list());
    assert_eq!(
        client.put("Entando_ConfigManager", "k", "bare bytes"),
        Ok(())
    );
    assert_eq!(
        set.redis_cli(master, &["GET", "Entando_ConfigManager::k"]),
        "bare bytes"
    );
    set.redis_cli(
        master,
        &["SET", "Entando_ConfigManager::other", "from redis-cli"],
    );
    assert_eq!(
        client.text("Entando_ConfigManager", "other").as_deref(),
        Some("from redis-cli")
    );
    set.redis_cli(
        master,
        &["SET", "Entando_Cache::foreign", "into a framed cache"],
    );
    assert_eq!(
        client.text("Entando_Cache", "foreign").as_deref(),
        Some("into a framed cache")
    );
}

#[test]
fn tenants_nulls_and_times_to_live_are_entandos() {
    let (redis, _vedetta, mut client) = single();
    assert_eq!(client.put_null("Entando_RoleManager", "n"), Ok(()));
    let stored = redis.ask(&["GET", "Entando_RoleManager::n"]).expect("GET");
    assert_eq!(stored, Reply::Bytes(SPRING_NULL.to_vec()));
    redis
        .ask(&[b"SET", &b"Entando_Cache::foreign-null"[..], SPRING_NULL])
        .expect("SET");
    assert_eq!(client.get("Entando_Cache", "foreign-null"), Ok(Some(None)));

    client.tenant = "t1".to_owned();
    assert_eq!(client.put("Entando_RoleManager", "k", "of t1"), Ok(()));
    assert_eq!(redis.cli(&["GET", "t1_Entando_RoleManager::k"]), "of t1");
    client.tenant.clear();
    assert_eq!(client.get("Entando_RoleManager", "k"), Ok(None));

    assert_eq!(client.put("Entando_Cache", "k", "v"), Ok(()));
    let ttl: i64 = redis
        .cli(&["PTTL", "Entando_Cache::k"])
        .parse()
        .expect("PTTL");
    let four_hours = 4 * 3600 * 1000;
    assert!((four_hours - 60_000..=four_hours).contains(&ttl), "{ttl}");
    assert_eq!(redis.cli(&["PTTL", "Entando_RoleManager::n"]), "-1");
}

#[test]
fn a_clear_of_a_framed_cache_takes_foreign_entries_with_it() {
    let (redis, _vedetta, client) = single();
    redis.cli(&["SET", "Entando_Cache::foreign", "old"]);
    redis.cli(&["SET", "Entando_CacheOther::k", "of another cache"]);
    redis.cli(&["SET", "unrelated", "of another application"]);
    assert_eq!(client.put("Entando_Cache", "k", "v"), Ok(()));
    assert_eq!(
        client.text("Entando_Cache", "foreign").as_deref(),
        Some("old")
    );

    assert_eq!(client.clear("Entando_Cache"), Ok(None));
    assert_eq!(client.get("Entando_Cache", "foreign"), Ok(None));
    assert_eq!(client.get("Entando_Cache", "k"), Ok(None));
    wait::until("the foreign entry is removed", SWEPT_WITHIN, || match redis
        .cli(&["EXISTS", "Entando_Cache::foreign"])
        .as_str()
    {
        "0" => Ok(()),
        _ => Err("it is still there".to_owned()),
    });
    wait::until("foreign entries are seen again", SWEPT_WITHIN, || {
        redis.cli(&["SET", "Entando_Cache::new", "new"]);
        client
            .text("Entando_Cache", "new")
            .ok_or_else(|| "still hidden".to_owned())
    });
    assert_eq!(
        redis.cli(&["GET", "Entando_CacheOther::k"]),
        "of another cache"
    );
    assert_eq!(redis.cli(&["GET", "unrelated"]), "of another application");
}

#[test]
fn a_clear_of_a_raw_cache_removes_its_keys_and_no_other() {
    let (redis, _vedetta, client) = single();
    for number in 0..2_000 {
        redis.cli(&["SET", &format!("Entando_RoleManager::{number}"), "x"]);
    }
    redis.cli(&["SET", "Entando_RoleManagerX::k", "stays"]);
    redis.cli(&["SET", "t1_Entando_RoleManager::k", "stays"]);
    assert_eq!(client.clear("Entando_RoleManager"), Ok(Some(2_000)));
    assert_eq!(redis.cli(&["KEYS", "Entando_RoleManager::*"]), "");
    assert_eq!(redis.cli(&["GET", "Entando_RoleManagerX::k"]), "stays");
    assert_eq!(redis.cli(&["GET", "t1_Entando_RoleManager::k"]), "stays");
}

/// What somebody else does is seen as soon as its push has arrived.
fn becomes_a_miss(client: &Client, why: &str) {
    wait::until(why, PUSHED_WITHIN, || {
        match client.get("Entando_Cache", "k") {
            Ok(None) => Ok(()),
            other => Err(format!("it is {other:?}")),
        }
    });
}

/// Eviction, FLUSHALL and a script cache that is gone are ordinary events.
#[test]
fn whatever_redis_loses_can_only_make_misses() {
    let (redis, _vedetta, client) = single();
    let stamps = || redis.cli(&["KEYS", "vedetta:stamp:*"]);
    assert_eq!(client.put("Entando_Cache", "k", "v1"), Ok(()));
    redis.cli(&["DEL", &stamps()]);
    becomes_a_miss(&client, "without its stamp an entry is dead");
    assert_eq!(client.put("Entando_Cache", "k", "v2"), Ok(()));
    assert_eq!(client.text("Entando_Cache", "k").as_deref(), Some("v2"));
    redis.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(client.put("Entando_Cache", "k", "v3"), Ok(()));
    assert_eq!(client.text("Entando_Cache", "k").as_deref(), Some("v3"));
    redis.cli(&["FLUSHALL"]);
    becomes_a_miss(&client, "after FLUSHALL nothing is there");
    assert_eq!(client.put("Entando_Cache", "k", "v4"), Ok(()));
    assert_eq!(client.text("Entando_Cache", "k").as_deref(), Some("v4"));
}

#[test]
fn a_key_of_another_type_is_a_miss_and_can_be_replaced() {
    let (redis, _vedetta, client) = single();
    for cache in ["Entando_Cache", "Entando_RoleManager"] {
        redis.cli(&["HSET", &format!("{cache}::h"), "field", "value"]);
        assert_eq!(client.get(cache, "h"), Ok(None), "{cache}");
        assert_eq!(client.put(cache, "h", "v"), Ok(()), "{cache}");
        assert_eq!(client.text(cache, "h").as_deref(), Some("v"), "{cache}");
    }
}

/// `Entando_Cache` of the primary tenant and `Cache` of a tenant called Entando have the same keys in Redis.
#[test]
fn a_cache_that_would_share_the_keys_of_another_is_refused() {
    let (_redis, _vedetta, mut client) = single();
    client.tenant = "Entando".to_owned();
    let failure = client.put("Cache", "k", "v").expect_err("shared keys");
    assert_eq!(failure.reason, "INVALID_REQUEST");
    assert!(failure.message.contains("Entando_Cache"), "{failure:?}");
}
