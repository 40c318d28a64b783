//! The consistency levels on a server that is well: MASTER and AT_LEAST.
//!
//! Not here: a server that is down (`levels_down`).

use std::sync::Arc;
use std::time::Duration;

use vedetta::model::{Cause, Consistency, Expiry, Hit, Lookup, Source, Token, Value};

use crate::field::{Home, Spot, number};
use crate::mix::pairs;
use crate::sidecar::{Sidecar, Upstream, calls};
use crate::support::{Redis, RedisOptions, wait};
use crate::trouble::eventually;

const BOUND: Duration = Duration::from_millis(500);
const WITHIN: Duration = Duration::from_secs(20);

async fn hit(sidecar: &Sidecar, spot: &Spot, consistency: Consistency) -> Hit {
    match sidecar.read(spot, consistency, WITHIN).await {
        Ok(Lookup::Hit(hit)) => hit,
        other => panic!("{}: {other:?}", spot.redis),
    }
}

/// The number that was written as this value.
fn number_of(hit: &Hit) -> u64 {
    match &hit.value {
        Value::Data(data) => number(data).expect("a number"),
        Value::Null => panic!("a null that nobody wrote"),
    }
}

async fn put(sidecar: &Sidecar, spot: &Spot, value: u64) -> Token {
    let written = sidecar
        .write(spot, value.to_string().into(), Expiry::Never)
        .await;
    written.expect("a put").expect("a token")
}

async fn two(redis: &Redis) -> (Arc<Sidecar>, Arc<Sidecar>) {
    let upstream = Upstream::Redis(redis.address());
    (
        Sidecar::start(&upstream, BOUND).await,
        Sidecar::start(&upstream, BOUND).await,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn master_goes_past_the_copies() {
    let redis = Redis::start(&RedisOptions::default());
    let (sidecar, _) = two(&redis).await;
    // Of a raw cache a Put has it looked for deadlines behind its back.
    let spot = Spot::new(Home::Kept, 0, false);
    put(&sidecar, &spot, 1).await;
    eventually("a copy", WITHIN, async || {
        let hit = hit(&sidecar, &spot, Consistency::Fresh(None)).await;
        if hit.evidence.source == Source::L1 {
            Ok(())
        } else {
            Err(format!("{hit:?}"))
        }
    })
    .await;
    let before = calls(&redis, "mget");
    for _ in 0..200 {
        let hit = hit(&sidecar, &spot, Consistency::Master).await;
        assert_eq!((hit.evidence.source, number_of(&hit)), (Source::Master, 1));
    }
    assert_eq!(calls(&redis, "mget") - before, 200);
}

/// Reads through the other sidecar with the token of each write, at once and again when the lease has come to cover it.
async fn at_least(redis: &Redis, writes: u64) -> (u64, u64) {
    const SPOTS: u64 = 400;
    const LATER: usize = 200;
    let (writer, reader) = two(redis).await;
    let spots: Vec<Spot> = (0..SPOTS as usize)
        .map(|at| Spot::new([Home::Raw, Home::Kept][at % 2], at, false))
        .collect();
    let (mut near, mut asked) = (0, 0);
    let mut tokens: Vec<(usize, u64, Token)> = Vec::new();
    for value in 1..=writes {
        let at = (value % SPOTS) as usize;
        // A copy that the write makes old.
        hit_or_miss(&reader, &spots[at]).await;
        let token = put(&writer, &spots[at], value).await;
        tokens.push((at, value, token));
        let later = tokens.len().checked_sub(LATER).map(|past| tokens[past]);
        for (at, least, token) in std::iter::once((at, value, token))
            .chain(later)
            .chain(later)
        {
            let hit = hit(&reader, &spots[at], Consistency::AtLeast(token)).await;
            let found = number_of(&hit);
            assert!(found >= least, "{found} is older than {least}: {hit:?}");
            asked += 1;
            near += u64::from(hit.evidence.source == Source::L1);
        }
    }
    (asked, near)
}

async fn hit_or_miss(sidecar: &Sidecar, spot: &Spot) {
    let answer = sidecar.read(spot, Consistency::Fresh(None), WITHIN).await;
    answer.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_least_is_never_older_than_its_token() {
    let redis = Redis::start(&RedisOptions::default());
    let replica = Redis::start(&RedisOptions {
        replica_of: Some(redis.address()),
        ..RedisOptions::default()
    });
    wait::until("a replica", WITHIN, || replica.replica_in_step());
    let (asked, near) = at_least(&redis, pairs(2000, 30_000)).await;
    println!("AT_LEAST with a replica: {asked} reads, 0 older, {near} from copies");
    assert!(near > 0, "no copy was ever proven to cover a token");
}

/// A master without replicas does not count its writes, so no copy can be shown to cover one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_least_without_replicas_asks_the_master() {
    let redis = Redis::start(&RedisOptions::default());
    let (asked, near) = at_least(&redis, pairs(500, 10_000)).await;
    println!("AT_LEAST without replicas: {asked} reads, 0 older, {near} from copies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_history_is_refused() {
    let mut redis = Redis::start(&RedisOptions::default());
    let (writer, reader) = two(&redis).await;
    let spot = Spot::new(Home::Raw, 0, false);
    let token = put(&writer, &spot, 1).await;
    assert_eq!(
        number_of(&hit(&reader, &spot, Consistency::AtLeast(token)).await),
        1
    );
    let generation = reader.generation();
    redis.start_again();
    eventually("another session", WITHIN, async || {
        reader.serves()?;
        match reader.generation() {
            now if now > generation => Ok(()),
            now => Err(format!("generation {now}")),
        }
    })
    .await;
    let refused = reader
        .read(&spot, Consistency::AtLeast(token), WITHIN)
        .await;
    let cause = refused.map_err(|fault| fault.cause);
    assert_eq!(cause, Err(Cause::LineageChanged));
}
