//! Quotas across vedettas: what one has stored counts for all of them, exactly; how often each is called is its own.
//!
//! Not here: which calls are refused, which is data (`tests/behaviour/quotas.json`); buckets of tokens by value (`src/cache/rate.rs`).

pub(crate) mod audit;
mod random;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::support::{Redis, RedisOptions, Vedetta, wait};
use audit::audit;

/// Everything is counted, and nothing is refused.
pub(crate) const ALL: (&str, &str) = (
    "VEDETTA_QUOTAS",
    "cache=* entries=1000000 bytes=1GiB,tenant=* entries=1000000 bytes=1GiB",
);

const WITHIN: Duration = Duration::from_secs(10);

fn connect(vedetta: &Vedetta) -> CacheClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", vedetta.api()));
    CacheClient::new(channel.expect("an address").connect_lazy())
}

fn put(cache: &str, key: &str) -> v1::PutRequest {
    v1::PutRequest {
        cache: cache.to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        content: Some(v1::put_request::Content::Value("v".into())),
        ..v1::PutRequest::default()
    }
}

fn is_quota(status: &Status) -> bool {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    status.code() == Code::ResourceExhausted && reason.as_deref() == Some("QUOTA")
}

/// Callers of three vedettas at once find exactly as much room as there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_of_the_whole_fleet_and_exact() {
    const MOST: usize = 50;
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("VEDETTA_QUOTAS", "tenant=* entries=50"),
        ("REDIS_ADDRESS", address.as_str()),
    ];
    let pods: Vec<Vedetta> = (0..3).map(|_| Vedetta::start(&[], &environment)).collect();
    let calls = (0..2 * MOST).map(|number| {
        let mut client = connect(&pods[number % pods.len()]);
        let cache = ["one", "two"][number % 2];
        async move { client.put(put(cache, &format!("k{number}"))).await }
    });
    let answers = join_all(calls).await;
    let (stored, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((stored.len(), refused.len()), (MOST, MOST));
    for status in refused.into_iter().filter_map(Result::err) {
        assert!(is_quota(&status), "{status:?}");
        let says = "the primary tenant holds 50 entries, and the write would exceed its quota `tenant=* entries=50`";
        assert!(status.message().starts_with(says), "{status:?}");
    }
    let counted: u64 = pods
        .iter()
        .map(|pod| pod.count("vedetta_quota_refusals_total{quota=\"entries\"}"))
        .sum();
    assert_eq!(counted, MOST as u64);
}

/// What a record has lost is let in again, and never refused for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_record_begins_at_nothing_and_no_number_falls_below_it() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("VEDETTA_QUOTAS", "cache=c entries=2"),
        ("REDIS_ADDRESS", address.as_str()),
    ];
    let pod = Vedetta::start(&[], &environment);
    let stored = async |key: &str| connect(&pod).put(put("c", key)).await.map(|_| ());
    let evict = async |key: &str| {
        let evict = v1::EvictRequest {
            cache: "c".to_owned(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            ..v1::EvictRequest::default()
        };
        connect(&pod).evict(evict).await.expect("never refused");
    };
    let large = v1::PutRequest {
        content: Some(v1::put_request::Content::Value(vec![0; 1000].into())),
        ..put("c", "large")
    };
    connect(&pod).put(large).await.expect("the first");
    assert!(stored("a").await.is_ok());
    assert!(stored("b").await.is_err_and(|status| is_quota(&status)));
    redis.cli(&["DEL", "vedetta:usage:::c"]);
    assert!(stored("b").await.is_ok() && stored("c").await.is_ok());
    // One that is not counted, and larger than the others together.
    evict("large").await;
    assert_eq!(redis.cli(&["HGET", "vedetta:usage:::c", "never"]), "1 0");
    assert!(stored("d").await.is_ok());
    assert!(stored("e").await.is_err_and(|status| is_quota(&status)));
    for key in ["a", "b", "c", "d"] {
        evict(key).await;
    }
    assert_eq!(redis.cli(&["EXISTS", "vedetta:usage:::c"]), "0");
    assert!(stored("f").await.is_ok());
}

/// Removals of which no call tells: what a flush made dead is swept, and then counts no more.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_swept_counts_no_more() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let pod = Vedetta::start(&[], &[ALL, ("REDIS_ADDRESS", &address)]);
    let mut client = connect(&pod);
    for number in 0..20 {
        let mut put = put("c", &format!("k{number}"));
        put.groups = vec![format!("g{}", number % 2)];
        client.put(put).await.expect("stored");
    }
    let mut connection = redis.connect().expect("a connection");
    assert!(audit(&mut connection, "", &["c"]).is_ok_and(|(entries, _)| entries == 20));
    let flush = v1::FlushGroupsRequest {
        cache: "c".to_owned(),
        groups: vec!["g0".to_owned()],
        ..v1::FlushGroupsRequest::default()
    };
    client.flush_groups(flush).await.expect("flushed");
    wait::until(
        "the members have gone, and are not counted",
        WITHIN,
        || match audit(&mut connection, "", &["c"])? {
            (10, _) => Ok(()),
            (entries, _) => Err(format!("{entries} entries")),
        },
    );
}

/// A refused call says when to call again; another vedetta has a bucket of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_of_each_vedetta_and_tells_when_to_call_again() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("VEDETTA_QUOTAS", "cache=c* rate=1/s"),
        ("REDIS_ADDRESS", address.as_str()),
    ];
    let pods = [
        Vedetta::start(&[], &environment),
        Vedetta::start(&[], &environment),
    ];
    let (mut first, mut second) = (connect(&pods[0]), connect(&pods[1]));
    let request = v1::GetManyRequest {
        cache: "c1".to_owned(),
        keys: (0..1000)
            .map(|number| format!("k{number}").into())
            .collect(),
        ..v1::GetManyRequest::default()
    };
    first.get_many(request).await.expect("the first batch");
    let refused = first.put(put("c1", "k")).await.expect_err("a debt");
    assert!(is_quota(&refused), "{refused:?}");
    let retry = refused
        .get_error_details()
        .retry_info()
        .and_then(|info| info.retry_delay);
    // 999 seconds of debt, less what the test has taken so far.
    let retry = retry.expect("when to call again");
    assert!(
        retry > Duration::from_secs(500) && retry <= Duration::from_secs(1000),
        "{retry:?}"
    );
    assert_eq!(
        pods[0].count("vedetta_quota_refusals_total{quota=\"rate\"}"),
        1
    );
    second.put(put("c1", "k")).await.expect("another vedetta");
    first.put(put("c2", "k")).await.expect("another cache");
}
