//! After the last write: does every answer agree with the server?
//!
//! A difference counts when it is still there at a second look, after a further proof: an entry that expires or is
//! evicted between the two questions is not stuck.
//!
//! Not here: stopping the writers (`program`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vedetta::clock;

use crate::field::{Home, Spot, number};
use crate::program::Shared;
use crate::side::{From, Seen, Side};
use crate::trouble::eventually;

const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// The times of Redis are whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

/// Compares every spot on every side.
pub(crate) async fn compare<S: Side>(shared: &Shared<S>) {
    shared.foreign.start_over().await;
    for (place, side) in shared.sides.iter().enumerate() {
        for spot in &shared.field.spots {
            let tally = &shared.tally;
            let (first, truth) = look(shared, side, spot).await;
            tally.compared.up();
            if first.value.is_some() {
                tally.present.up();
            }
            if matches!(first.from, From::Near(_)) {
                tally.kept.up();
            }
            if first.value == truth {
                continue;
            }
            // The master may be another one by now.
            shared.foreign.start_over().await;
            side.settle(clock::now()).await;
            let (second, truth) = look(shared, side, spot).await;
            if second.value == truth {
                tally.moved.up();
                continue;
            }
            tally.stuck.up();
            let [first, then, truth] = [&first.value, &second.value, &truth].map(named);
            println!(
                "{}: STUCK on side {place}: {} is {first} at first and {then} ({:?}) later, but the server says {truth}",
                shared.plan.name, spot.redis, second.from
            );
        }
    }
}

/// A value by its number.
fn named(value: &Option<Bytes>) -> String {
    match value.as_deref().map(number) {
        None => "absent".to_owned(),
        Some(Some(number)) => format!("#{number}"),
        Some(None) => "something else".to_owned(),
    }
}

/// An answer, and after it what the server says.
async fn look<S: Side>(shared: &Shared<S>, side: &Arc<S>, spot: &Spot) -> (Seen, Option<Bytes>) {
    let key = spot.redis.as_bytes();
    let foreign = &shared.foreign;
    let before: i64 = eventually("PTTL", ANSWERED_WITHIN, async || {
        foreign.call(&[b"PTTL", key]).await
    })
    .await;
    let seen = eventually("an answer", ANSWERED_WITHIN, async || side.get(spot).await).await;
    let truth = eventually("the answer of the server", ANSWERED_WITHIN, async || {
        side.master(spot).await
    })
    .await;
    let bytes: Option<Vec<u8>> = eventually("GET", ANSWERED_WITHIN, async || {
        foreign.call(&[b"GET", key]).await
    })
    .await;
    let bytes = bytes.map(Bytes::from);
    // Asked again by somebody who knows nothing of sides and frames.
    let truth = match (spot.home, bytes) {
        (Home::Raw, bytes) => bytes,
        (_, Some(bytes)) => truth.filter(|truth| bytes.ends_with(truth)),
        (_, None) => None,
    };
    if outlives(&seen, before) && seen.value == truth {
        shared.tally.outliving.up();
        let name = &spot.redis;
        println!("{}: {name}: {seen:?}, PTTL was {before}", shared.plan.name);
    }
    (seen, truth)
}

/// Whether a copy claims more time than the entry had on the server, asked before it.
fn outlives(seen: &Seen, pttl: i64) -> bool {
    match (u64::try_from(pttl), seen.from) {
        (Ok(pttl), From::Near(_)) if seen.value.is_some() => seen
            .ttl
            .is_none_or(|ttl| ttl > Duration::from_millis(pttl) + ROUNDING),
        _ => false,
    }
}
