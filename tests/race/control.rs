//! The control: the same program on the client-side cache of redis-rs (`cache-aio`), which inserts what a read found
//! although an invalidation has overtaken it. If the program finds nothing stuck there, it finds nothing anywhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::caching::CacheConfig;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, ProtocolVersion};
use tokio_util::sync::CancellationToken;
use vedetta::model::Moment;

use crate::field::Spot;
use crate::foreign::{self, Foreign, connect};
use crate::mix::Plan;
use crate::program::Program;
use crate::side::{From, Seen, Side};
use crate::sidecar::Upstream;
use crate::support::{Redis, RedisOptions};

/// Stuck entries are expected long before.
const ROUNDS: u64 = 40;

/// A caching connection, and one without a cache.
struct Plain {
    caching: MultiplexedConnection,
    direct: MultiplexedConnection,
}

impl Plain {
    async fn start(redis: &Redis) -> Arc<Self> {
        let url = format!("redis://{}/?protocol=resp3", redis.address());
        let client = Client::open(url).expect("an address");
        let protocol = client.get_connection_info().redis_settings().protocol();
        assert_eq!(protocol, ProtocolVersion::RESP3);
        let configuration = AsyncConnectionConfig::new().set_cache_config(CacheConfig::new());
        let caching = client
            .get_multiplexed_async_connection_with_config(&configuration)
            .await
            .expect("a caching connection");
        let direct = connect(redis.address()).await.expect("a connection");
        Arc::new(Self { caching, direct })
    }
}

/// One command, among others on the same connection.
async fn call<T: FromRedisValue>(
    connection: &MultiplexedConnection,
    words: &[&[u8]],
) -> Result<T, String> {
    foreign::call(&mut connection.clone(), words).await
}

impl Side for Plain {
    async fn get(&self, spot: &Spot) -> Result<Seen, String> {
        let value: Option<Vec<u8>> = call(&self.caching, &[b"GET", spot.redis.as_bytes()]).await?;
        Ok(Seen {
            value: value.map(Bytes::from),
            from: From::Unknown,
            ttl: None,
        })
    }

    async fn master(&self, spot: &Spot) -> Result<Option<Bytes>, String> {
        let value: Option<Vec<u8>> = call(&self.direct, &[b"GET", spot.redis.as_bytes()]).await?;
        Ok(value.map(Bytes::from))
    }

    async fn put(&self, spot: &Spot, value: Bytes, ttl: Option<Duration>) -> Result<(), String> {
        let (key, ms) = (
            spot.redis.as_bytes(),
            ttl.map(|ttl| ttl.as_millis().to_string()),
        );
        match &ms {
            None => call(&self.caching, &[b"SET", key, &value]).await,
            Some(ms) => call(&self.caching, &[b"SET", key, &value, b"PX", ms.as_bytes()]).await,
        }
    }

    async fn evict(&self, spot: &Spot) -> Result<(), String> {
        let removed = call(&self.caching, &[b"DEL", spot.redis.as_bytes()]).await;
        removed.map(|_: u64| ())
    }

    async fn clear(&self, spot: &Spot) -> Result<(), String> {
        self.evict(spot).await
    }

    /// The push for a write is in the stream at the end of the turn of the event loop that answered it, hence before
    /// the answer to a second question.
    async fn settle(&self, _: Moment) {
        for _ in 0..2 {
            let pong: Result<String, String> = call(&self.caching, &[b"PING"]).await;
            pong.expect("PONG");
        }
    }

    fn rejected(&self) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_sees_the_bug_of_a_cache_without_fill_tokens() {
    let redis = Redis::start(&RedisOptions::default());
    let sides = [Plain::start(&redis).await, Plain::start(&redis).await];
    let plan = Plan {
        framed: false,
        // It would cover up what is looked for.
        expiring: 0,
        ..Plan::new("control, redis-rs cache-aio", u64::MAX)
    };
    let program = Program::new(plan, sides, Foreign::new(Upstream::Redis(redis.address())));
    for _ in 0..ROUNDS {
        let enough = CancellationToken::new();
        program.round(enough, std::future::ready(())).await;
        if program.tally().stuck.get() > 0 {
            break;
        }
    }
    program.print();
    assert!(
        program.tally().stuck.get() > 0,
        "the program is blind: nothing was stuck"
    );
}
