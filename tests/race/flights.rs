//! One read for all who want the same, what those get who come later, and copies that outlive their session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use vedetta::invalidation::{Delivery, Event, Reason, Scope, Subscription};
use vedetta::model::{Consistency, Lookup, Source};

use crate::field::{Home, Spot, number};
use crate::foreign::Foreign;
use crate::side::{From, Side};
use crate::sidecar::{Sidecar, Upstream, calls};
use crate::support::{Redis, RedisOptions};
use crate::trouble::eventually;

/// Long, so that nothing here depends on the speed of the machine.
const BOUND: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(20);

async fn set(foreign: &Foreign, spot: &Spot, value: &[u8]) {
    let done: Result<String, String> = foreign.call(&[b"SET", spot.redis.as_bytes(), value]).await;
    assert_eq!(done.as_deref(), Ok("OK"));
}

async fn start() -> (Redis, Foreign, Arc<Sidecar>) {
    let redis = Redis::start(&RedisOptions::default());
    let upstream = Upstream::Redis(redis.address());
    let sidecar = Sidecar::start(&upstream, BOUND).await;
    let foreign = Foreign::new(upstream);
    (redis, foreign, sidecar)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cold_gets_cost_one_read() {
    let (redis, foreign, sidecar) = start().await;
    for round in 0..10 {
        let spot = Arc::new(Spot::new(Home::Raw, round, false));
        set(&foreign, &spot, b"hot").await;
        let before = calls(&redis, "mget");
        let mut gets = JoinSet::new();
        for _ in 0..1000 {
            let (sidecar, spot) = (sidecar.clone(), spot.clone());
            gets.spawn(async move { sidecar.get(&spot).await });
        }
        while let Some(seen) = gets.join_next().await {
            let seen = seen.expect("a get panicked").expect("an answer");
            assert_eq!(seen.value.as_deref(), Some(&b"hot"[..]));
        }
        assert_eq!(calls(&redis, "mget") - before, 1, "reads of the server");
    }
    let joined = sidecar.metric("vedetta_near_joined_total");
    println!("10 x 1000 cold gets of one key: 10 reads of the server, {joined} waited for one");
    sidecar.check_tasks();
}

/// Waits for the event that the key of the spot has changed.
async fn changed(subscription: &mut Subscription, spot: &Spot) {
    loop {
        let next = tokio::time::timeout(WITHIN, subscription.next()).await;
        match next.expect("an event in time").expect("an open stream") {
            Delivery::Event(_, Event::Invalidated { keys, .. })
                if keys.contains(&spot.address.key) =>
            {
                return;
            }
            Delivery::Event(_, Event::Discontinuity(Reason::Started)) | Delivery::Proven(..) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_after_an_invalidation_does_not_join_the_read_before_it() {
    const ROUNDS: u64 = 1000;
    let (_redis, foreign, sidecar) = start().await;
    let spot = Arc::new(Spot::new(Home::Raw, 0, false));
    let scope = Scope {
        tenant: spot.address.cache.tenant.clone(),
        caches: Vec::new(),
        keys: Vec::new(),
        groups: Vec::new(),
    };
    let mut subscription = sidecar.hub.subscribe(scope, None).expect("a seat");
    let mut crowd = JoinSet::new();
    for value in 1..=ROUNDS {
        // Now the server tracks the key for this session, so that the write causes an event.
        sidecar.get(&spot).await.expect("an answer");
        for _ in 0..8 {
            let (sidecar, spot) = (sidecar.clone(), spot.clone());
            crowd.spawn(async move { sidecar.get(&spot).await });
        }
        set(&foreign, &spot, value.to_string().as_bytes()).await;
        changed(&mut subscription, &spot).await;
        let seen = sidecar.get(&spot).await.expect("an answer");
        assert_eq!(seen.value.as_deref().and_then(number), Some(value));
        while let Some(seen) = crowd.join_next().await {
            seen.expect("a get panicked").expect("an answer");
        }
    }
    let joined = sidecar.metric("vedetta_near_joined_total");
    let rejected = sidecar.rejected();
    println!("{ROUNDS} writes under reads: {joined} joined, {rejected} overtaken, 0 old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_an_older_session_are_confirmed_rather_than_fetched() {
    const SPOTS: usize = 40;
    let (redis, foreign, sidecar) = start().await;
    let home = |at: usize| [Home::Raw, Home::Kept][at % 2];
    let spots: Vec<Spot> = (0..SPOTS)
        .map(|at| Spot::new(home(at), at, false))
        .collect();
    let long = |text: &str| Bytes::from(text.repeat(1000));
    for spot in &spots {
        sidecar.put(spot, long("a"), None).await.expect("a put");
        sidecar.get(spot).await.expect("an answer");
    }
    let near = sidecar.get(&spots[0]).await.expect("an answer");
    assert!(matches!(near.from, From::Near(_)), "{near:?}");

    let generation = sidecar.generation();
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    // Nobody tells the sidecar.
    set(&foreign, &spots[0], &long("b")).await;
    eventually("another session", WITHIN, async || {
        sidecar.serves()?;
        match sidecar.generation() {
            now if now > generation => Ok(()),
            now => Err(format!("generation {now}")),
        }
    })
    .await;
    let (fetched, sent) = (calls(&redis, "mget"), bytes_sent(&redis));
    for (at, spot) in spots.iter().enumerate() {
        let answer = sidecar.read(spot, Consistency::Fresh(None), WITHIN).await;
        let Ok(Lookup::Hit(hit)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(
            hit.evidence.source,
            Source::Master,
            "an old copy was served"
        );
        let expected = if at == 0 { "b" } else { "a" };
        assert_eq!(hit.value, vedetta::model::Value::Data(long(expected)));
    }
    let confirmed = sidecar.metric("vedetta_near_confirmed_total");
    let (fetched, sent) = (calls(&redis, "mget") - fetched, bytes_sent(&redis) - sent);
    println!(
        "{SPOTS} copies of 1000 B after CLIENT KILL: {confirmed} confirmed, {fetched} fetched, {sent} B sent"
    );
    assert_eq!((confirmed, fetched), (SPOTS as u64 - 1, 0));
    for spot in &spots {
        let seen = sidecar.get(spot).await.expect("an answer");
        assert!(matches!(seen.from, From::Near(_)), "{seen:?}");
    }
}

/// What the server has sent to anybody, in bytes.
fn bytes_sent(redis: &Redis) -> u64 {
    let info = redis.cli(&["INFO", "stats"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
