//! The consistency levels while the server does not answer: STALE_OK answers with its age, FRESH waits.

use std::time::Duration;

use tokio::time::Instant;
use vedetta::model::{Consistency, Freshness, Lookup, Source};

use crate::field::{Home, Spot};
use crate::side::{From, Side};
use crate::sidecar::{Sidecar, Upstream};
use crate::support::{Redis, RedisOptions};
use crate::trouble::eventually;

const BOUND: Duration = Duration::from_millis(300);
const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_ok_is_answered_from_copies_up_to_its_age() {
    const OLDEST: Duration = Duration::from_millis(1800);
    let mut redis = Redis::start(&RedisOptions::default());
    let sidecar = Sidecar::start(&Upstream::Redis(redis.address()), BOUND).await;
    let spot = Spot::new(Home::Kept, 0, false);
    sidecar.put(&spot, "v".into(), None).await.expect("a put");
    eventually("a copy", WITHIN, async || {
        match sidecar.get(&spot).await?.from {
            From::Near(_) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    redis.pause();
    let paused = Instant::now();
    let (mut stale, mut oldest) = (0, Duration::ZERO);
    let refused = loop {
        let consistency = Consistency::StaleOk(OLDEST);
        match sidecar
            .read(&spot, consistency, Duration::from_secs(1))
            .await
        {
            Ok(Lookup::Hit(hit)) => {
                let evidence = hit.evidence;
                assert_eq!(evidence.source, Source::L1, "{hit:?}");
                match evidence.freshness {
                    Freshness::Fresh => assert!(evidence.age_bound <= BOUND, "{hit:?}"),
                    Freshness::Stale => {
                        assert!(evidence.age_bound >= oldest, "{hit:?} after {oldest:?}");
                        assert!(evidence.age_bound <= OLDEST, "{hit:?}");
                        (stale, oldest) = (stale + 1, evidence.age_bound);
                    }
                    Freshness::Unverified => panic!("{hit:?}"),
                }
            }
            Ok(Lookup::Miss(_)) => panic!("a miss while the server is paused"),
            Err(fault) => break fault,
        }
        assert!(paused.elapsed() < WITHIN, "it never ends");
        tokio::task::yield_now().await;
    };
    println!(
        "STALE_OK({OLDEST:?}) of a paused server: {stale} stale answers, the oldest of {oldest:?}, then {:?}",
        refused.cause
    );
    assert!(
        stale > 20 && oldest > BOUND,
        "{stale} answers up to {oldest:?}"
    );
    redis.resume();
    let again = sidecar.read(&spot, Consistency::Fresh(None), WITHIN).await;
    assert!(matches!(again, Ok(Lookup::Hit(_))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_waits_for_a_server_that_is_down() {
    let mut redis = Redis::start(&RedisOptions::default());
    let sidecar = Sidecar::start(&Upstream::Redis(redis.address()), BOUND).await;
    redis.kill9();
    let spot = Spot::new(Home::Raw, 0, false);
    let short = Duration::from_millis(700);
    let asked = Instant::now();
    let refused = sidecar.read(&spot, Consistency::Fresh(None), short).await;
    println!(
        "FRESH of a dead server within {short:?}: {:?} after {:?}",
        refused,
        asked.elapsed()
    );
    assert!(refused.is_err(), "{refused:?}");
    assert!(
        asked.elapsed() >= short - Duration::from_millis(50),
        "it did not wait"
    );

    let waiting = {
        let sidecar = sidecar.clone();
        let mut read = tokio::task::JoinSet::new();
        read.spawn(async move {
            sidecar
                .read(&spot, Consistency::Fresh(None), WITHIN / 2)
                .await
        });
        read
    };
    redis.start_again();
    let restarted = Instant::now();
    let answers = waiting.join_all().await;
    println!(
        "FRESH of a server that comes back: answered {:?} after it",
        restarted.elapsed()
    );
    assert!(
        matches!(answers.as_slice(), [Ok(Lookup::Miss(_))]),
        "{answers:?}"
    );
}
