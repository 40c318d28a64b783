//! Whatever Redis loses of what a lease is bound to, by eviction or by a foreign hand, can only refuse what was loaded.
//!
//! Not here: what is lost with a master (`leases`).

use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::put_response::Result as Stored;

use super::waiting::{lease, pod};
use super::{CACHE, put};
use crate::client::callers;
use crate::support::{Redis, RedisOptions, Vedetta};

const GROUP: &str = "g";

fn flush(vedetta: &Vedetta, group: &'static str) {
    let request = v1::FlushGroupsRequest {
        cache: CACHE.to_owned(),
        groups: vec![group.to_owned()],
        ..v1::FlushGroupsRequest::default()
    };
    let flushed = callers::call(vedetta.api(), move |channel, callers| {
        callers.spawn(async move {
            let flushed = CacheClient::new(channel).flush_groups(request).await;
            flushed.expect("flushed");
        });
    });
    flushed.join().expect("the caller");
}

/// Stores under a lease into the group; whether it was stored.
fn fill(vedetta: &Vedetta, key: &str, lease: bytes::Bytes) -> bool {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut request = put(key, "page".to_owned(), lease);
    request.groups = vec![GROUP.to_owned()];
    let filled = callers::call(vedetta.api(), move |channel, callers| {
        callers.spawn(async move {
            let stored = CacheClient::new(channel).put(request).await;
            let stored = stored.expect("an answer").into_inner().result;
            sender
                .send(matches!(stored, Some(Stored::Stored(_))))
                .expect("sent");
        });
    });
    filled.join().expect("the caller");
    receiver.recv().expect("an answer")
}

#[test]
fn what_redis_loses_of_a_lease_only_refuses_what_was_loaded() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis, &[]);
    flush(&vedetta, GROUP);
    let lose = |key: &str| assert_eq!(redis.cli(&["UNLINK", key]).trim(), "1", "{key}");
    for (at, key) in [
        "vedetta:lease:::pages:0",
        "vedetta:stamp:::pages",
        "vedetta:flushes:::pages",
    ]
    .iter()
    .enumerate()
    {
        let page = at.to_string();
        let held = lease(&vedetta, &page);
        lose(key);
        assert!(!fill(&vedetta, &page, held), "{key}");
        let next = lease(&vedetta, &page);
        assert!(fill(&vedetta, &page, next), "{key}");
    }
    let stamp = "vedetta:group:::pages:g";
    let held = lease(&vedetta, "unflushed");
    lose(stamp);
    assert!(fill(&vedetta, "unflushed", held));
    let held = lease(&vedetta, "flushed");
    flush(&vedetta, GROUP);
    lose(stamp);
    assert!(!fill(&vedetta, "flushed", held));
    let next = lease(&vedetta, "flushed");
    flush(&vedetta, "other");
    assert!(fill(&vedetta, "flushed", next));
}
