//! Copies of a session that is over are confirmed by the next one instead of being sent again.

use std::time::Duration;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, Vedetta, wait};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_copy_is_confirmed_by_the_next_session() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(
        &["--near-audit-every", "0"],
        &[("REDIS_ADDRESS", &address), ("VEDETTA_CACHES", "raw*:raw")],
    );
    let client = Client::connect(vedetta.api());
    // Large enough that asking is cheaper than sending.
    let value = "v".repeat(1000);
    for cache in ["framed", "raw", "foreign"] {
        if cache == "foreign" {
            redis.cli(&["SET", "foreign::k", &value]);
        } else {
            assert_eq!(client.put(cache, "k", &value), Ok(()));
        }
        assert_eq!(client.text(cache, "k").as_deref(), Some(value.as_str()));
        let confirmed = vedetta.count("vedetta_near_confirmed_total");
        let sessions = vedetta.count("vedetta_redis_sessions_total");
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        wait::until("the next session", PATIENCE, || {
            match vedetta.count("vedetta_redis_sessions_total") {
                count if count > sessions => Ok(()),
                count => Err(format!("{count} sessions")),
            }
        });
        assert_eq!(
            client.text(cache, "k").as_deref(),
            Some(value.as_str()),
            "{cache}"
        );
        assert_eq!(
            vedetta.count("vedetta_near_confirmed_total"),
            confirmed + 1,
            "{cache}"
        );
        // What changed meanwhile is sent.
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        redis.cli(&["SET", &format!("{cache}::k"), "other"]);
        wait::until("the change", PATIENCE, || {
            match client.text(cache, "k").as_deref() {
                Some("other") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}
