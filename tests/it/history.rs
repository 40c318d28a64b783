//! Three vedettas on a Sentinel set, an application that reads and writes, and a random mix of faults. Every call is
//! written down, and the whole is held against the guarantees afterwards.
//!
//! `VEDETTA_LONG` sets the length: unset for 20 s, `1` for 60 s, or a number of seconds. `VEDETTA_SEED` repeats the
//! choice of faults and of calls; threads and processes still meet as they like, so a seed makes a failure likely to
//! come back, not certain.
//!
//! Asserted: no violation (`check` says what is one and why it cannot be a false alarm), that the checks had something
//! to bite on, and that every near cache agrees with the master once all is quiet.
//!
//! Not here: how long an outage lasts, or what is lost; both are printed only.

mod census;
mod check;
mod check_tests;
mod faults;
mod index;
mod load;
mod record;
mod reign;
mod report;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use vedetta::proto::v1::Freshness;

use crate::near;
use crate::support::{seed, wait};
use check::{Verdict, check};
use faults::{BOUNDS, Stage};
use load::{KEYS, Load, connect};
use record::{Answer, History};

const DEFAULT: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);
const WARM: Duration = Duration::from_secs(1);
const QUIET_WITHIN: Duration = Duration::from_secs(15);

fn length() -> Duration {
    let Some(text) = std::env::var_os("VEDETTA_LONG") else {
        return DEFAULT;
    };
    match text.to_str().and_then(|text| text.parse().ok()) {
        Some(1) => LONG,
        Some(seconds) => Duration::from_secs(seconds),
        None => panic!("VEDETTA_LONG is not a number: {text:?}"),
    }
}

#[test]
fn no_answer_is_called_fresh_that_is_not_whatever_breaks() {
    let seed = seed::draw();
    let mut stage = Stage::start(StdRng::seed_from_u64(seed));
    let (apis, start) = (stage.apis(), stage.beginning());
    let asked = stage.asked();
    let names: Vec<SocketAddr> = asked.nodes.iter().map(|(name, _)| *name).collect();
    let census = census::Census::start(&asked, start);
    let load = Load::start(&apis, &names, seed, start);
    wait::pace(WARM);
    stage.break_things(length());
    let (writes, reads) = load.stop();
    let like = wait_until_like_the_master(&apis, start);
    let answers = census.stop();
    let (reigns, losses) = reign::derive(&answers.samples, &answers.namings, &stage.flushes);
    let history = History {
        writes,
        reads,
        seen: answers.seen,
        losses,
        reigns,
        bounds: BOUNDS.to_vec(),
    };
    let verdict = check(&history);
    print!("{}", report::report(&history, &verdict, &stage.log, seed));
    assert_eq!(
        verdict.violations.len(),
        0,
        "see above; VEDETTA_SEED={seed}"
    );
    assert_eq!(like, Ok(()), "VEDETTA_SEED={seed}");
    assert_not_vacuous(&history, &verdict);
}

/// A run in which nothing could have failed has shown nothing.
fn assert_not_vacuous(history: &History, verdict: &Verdict) {
    let acknowledged = history.writes.iter().filter(|write| write.node.is_some());
    assert!(acknowledged.count() > 200, "hardly anything was written");
    let fresh = verdict.fresh;
    assert!(
        verdict.tried * 4 > fresh.reads,
        "{} of {} were put to the test",
        verdict.tried,
        fresh.reads
    );
    // A short run may have met other faults only.
    assert!(!history.losses.is_empty() || length() < LONG, "no loss");
    if near::LANDED {
        assert!(fresh.near * 5 > fresh.reads, "L1 hardly took part");
    }
}

/// Once nothing changes any more, an answer of L1 is the answer of the master: an entry that is stuck differs for ever.
fn wait_until_like_the_master(apis: &[SocketAddr], start: Instant) -> Result<(), String> {
    let clients: Vec<_> = apis.iter().map(|api| connect(*api)).collect();
    for (pod, client) in clients.iter().enumerate() {
        wait::until("a pod serves fresh answers again", QUIET_WITHIN, || {
            let mut reads = (0..KEYS).map(|key| load::read(client, pod, key, start).answer);
            let unfit = reads.find(|answer| {
                let fresh = matches!(answer, Answer::Value { freshness, .. } if *freshness == Freshness::Fresh);
                !fresh && *answer != Answer::Miss
            });
            unfit.map_or(Ok(()), |answer| Err(format!("{answer:?}")))
        });
    }
    wait::try_until(QUIET_WITHIN, || {
        let mut unlike = Vec::new();
        for (pod, client) in clients.iter().enumerate() {
            for key in 0..KEYS {
                let (cache, name) = load::address(key);
                let near = load::read(client, pod, key, start).answer;
                let master = load::answer(key, client.look_at_master(cache, &name));
                if content(&near) != content(&master) {
                    unlike.push(format!("pod {pod}, key {key}: {near:?}, but {master:?}"));
                }
            }
        }
        if unlike.is_empty() {
            Ok(())
        } else {
            Err(unlike.join("\n"))
        }
    })
}

/// The answer without where it came from.
fn content(answer: &Answer) -> Result<Option<u64>, &Answer> {
    match answer {
        Answer::Value { number, .. } => Ok(Some(*number)),
        Answer::Miss => Ok(None),
        Answer::Alien(_) | Answer::Failed(_) => Err(answer),
    }
}
