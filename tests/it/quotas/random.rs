//! What is counted is what is there, whatever several vedettas do to the same entries at the same time.
//!
//! Rounds of random calls of two tenants to two caches each, all at once, and an audit after each round. Times to live are
//! so many that the fields of a record have to be widened. The seed is printed if it fails; `VEDETTA_SEED` runs it again,
//! as far as the order of calls that run at once can be had again.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::Status;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::expiry::When;
use vedetta::proto::v1::{put_many_request, put_request};

use super::audit::audit;
use super::{ALL, connect};
use crate::support::{Redis, RedisOptions, Vedetta, seed, wait};

const TENANTS: [&str; 2] = ["", "shop"];
const CACHES: [&str; 2] = ["one", "two"];
const KEYS: u32 = 60;
const ROUNDS: usize = 12;
const CALLS: usize = 60;
const QUIET_WITHIN: Duration = Duration::from_secs(10);

type Client = CacheClient<Channel>;

/// Where a call goes.
struct Spot {
    cache: String,
    tenant: String,
    key: Bytes,
}

fn spot(rng: &mut StdRng) -> Spot {
    Spot {
        cache: CACHES[rng.random_range(0..CACHES.len())].to_owned(),
        tenant: TENANTS[rng.random_range(0..TENANTS.len())].to_owned(),
        key: format!("k{}", rng.random_range(0..KEYS)).into(),
    }
}

fn expiry(rng: &mut StdRng) -> Option<v1::Expiry> {
    let when = match rng.random_range(0..8) {
        0 => When::None(v1::NoExpiry {}),
        1 => When::Keep(v1::expiry::Keep {}),
        2 => When::Deadline(prost_types::Timestamp::default()),
        _ => {
            let minutes = rng.random_range(60..1_000_000);
            let ttl = Duration::from_secs(60 * minutes) + Duration::from_millis(minutes % 1000);
            When::Ttl(ttl.try_into().expect("a duration"))
        }
    };
    Some(v1::Expiry { when: Some(when) })
}

fn groups(rng: &mut StdRng) -> Vec<String> {
    let count = rng.random_range(0..3);
    (0..count)
        .map(|_| format!("g{}", rng.random_range(0..4)))
        .collect()
}

fn value(rng: &mut StdRng) -> Bytes {
    match rng.random_range(0..4) {
        0 => "7".into(),
        1 => "\n\u{1}a".into(),
        _ => vec![b'x'; rng.random_range(0..300)].into(),
    }
}

async fn call(client: &mut Client, rng: &mut StdRng) -> Result<(), Status> {
    let Spot { cache, tenant, key } = spot(rng);
    match rng.random_range(0..100) {
        0..35 => {
            let put = v1::PutRequest {
                cache,
                tenant,
                key,
                content: Some(put_request::Content::Value(value(rng))),
                expiry: expiry(rng),
                groups: groups(rng),
                ..v1::PutRequest::default()
            };
            client.put(put).await.map(|_| ())
        }
        35..45 => client.put_many(batch(rng, cache, tenant)).await.map(|_| ()),
        45..55 => {
            let evict = v1::EvictManyRequest {
                cache,
                tenant,
                keys: vec![key, spot(rng).key],
                ..v1::EvictManyRequest::default()
            };
            client.evict_many(evict).await.map(|_| ())
        }
        55..65 => {
            let expiry = expiry(rng);
            let touch = v1::TouchRequest {
                cache,
                tenant,
                key,
                expiry,
            };
            client.touch(touch).await.map(|_| ())
        }
        _ => rarer(client, rng, Spot { cache, tenant, key }).await,
    }
}

fn batch(rng: &mut StdRng, cache: String, tenant: String) -> v1::PutManyRequest {
    let mut item = || put_many_request::Item {
        key: spot(rng).key,
        content: Some(put_many_request::item::Content::Value(value(rng))),
        expiry: expiry(rng),
        groups: groups(rng),
        ..put_many_request::Item::default()
    };
    v1::PutManyRequest {
        cache,
        tenant,
        items: (0..5).map(|_| item()).collect(),
        ..v1::PutManyRequest::default()
    }
}

async fn rarer(client: &mut Client, rng: &mut StdRng, spot: Spot) -> Result<(), Status> {
    let Spot { cache, tenant, key } = spot;
    match rng.random_range(0..36) {
        0..10 => {
            let request = v1::IncrementRequest {
                cache,
                tenant,
                key,
                delta: rng.random_range(-20..20),
                ..v1::IncrementRequest::default()
            };
            client.increment(request).await.map(|_| ())
        }
        10..20 => {
            let request = v1::ListEditRequest {
                cache,
                tenant,
                key,
                add: vec![value(rng)],
                ..v1::ListEditRequest::default()
            };
            client.list_edit(request).await.map(|_| ())
        }
        20..28 => {
            let request = v1::AddToGroupsRequest {
                cache,
                tenant,
                key,
                groups: vec![format!("g{}", rng.random_range(0..4))],
            };
            client.add_to_groups(request).await.map(|_| ())
        }
        28..33 => {
            let deadline = prost_types::Timestamp {
                seconds: 4_000_000_000 + rng.random_range(0..1_000_000),
                nanos: 5_000_000,
            };
            let request = v1::SetDeadlineRequest {
                cache,
                tenant,
                key,
                deadline: Some(deadline),
            };
            client.set_deadline(request).await.map(|_| ())
        }
        _ => whole(client, rng, cache, tenant).await,
    }
}

/// Calls about a whole cache.
async fn whole(
    client: &mut Client,
    rng: &mut StdRng,
    cache: String,
    tenant: String,
) -> Result<(), Status> {
    match rng.random_range(0..3) {
        0 | 1 => {
            let request = v1::FlushGroupsRequest {
                cache,
                tenant,
                groups: vec!["g0".to_owned()],
                ..v1::FlushGroupsRequest::default()
            };
            client.flush_groups(request).await.map(|_| ())
        }
        _ => {
            let request = v1::ClearRequest {
                cache,
                tenant,
                ..v1::ClearRequest::default()
            };
            client.clear(request).await.map(|_| ())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_is_there() {
    let seed = seed::draw();
    let mut rng = StdRng::seed_from_u64(seed);
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [ALL, ("REDIS_ADDRESS", address.as_str())];
    let pods: Vec<Vedetta> = (0..2).map(|_| Vedetta::start(&[], &environment)).collect();
    let mut widest = 0;
    for round in 0..ROUNDS {
        let calls = (0..CALLS).map(|place| {
            let (mut client, mut rng) = (
                connect(&pods[place % pods.len()]),
                StdRng::seed_from_u64(rng.random()),
            );
            async move {
                for _ in 0..5 {
                    // Counters that are none and lists that are none are refused, which changes nothing.
                    let _ = call(&mut client, &mut rng).await;
                }
            }
        });
        join_all(calls).await;
        let mut connection = redis.connect().expect("a connection");
        for tenant in TENANTS {
            // A sweep after a clear or a flush may be at work.
            let what = format!("VEDETTA_SEED={seed}, round {round}, tenant {tenant:?}: counted");
            let (entries, _) = wait::until(&what, QUIET_WITHIN, || {
                audit(&mut connection, tenant, &CACHES)
            });
            assert!(entries > 0 || round < 2, "{what}: nothing is there");
            let width = redis.cli(&[
                "HGET",
                &format!("vedetta:usage-of-tenant::{tenant}"),
                "width",
            ]);
            widest = widest.max(width.parse().unwrap_or(0));
        }
    }
    assert!(widest > 1000, "no record had to be widened");
}
