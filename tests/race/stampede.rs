//! Fifty sidecars of one machine lose their master together: what arrives at the next one is bounded.
//!
//! Connections: each sidecar has one dial on its way at a time, so it makes its session and its canary, and another
//! few if the first attempts fail. Reads: of all callers who want a key, one asks.
//!
//! Invariants: what is counted is what the new master counted (INFO stats, commandstats).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::{JoinSet, block_in_place};
use tokio_util::sync::CancellationToken;
use vedetta::model::{Consistency, Expiry};

use crate::failovers::{Kind, fail_over};
use crate::field::{Home, Spot};
use crate::side::{From, Seen, Side};
use crate::sidecar::{Sidecar, Upstream};
use crate::support::SentinelSet;
use crate::trouble::until;

const SIDECARS: usize = 50;
const KEYS: usize = 20;
const READERS: usize = 4;

/// Long enough that fifty processes' worth of heartbeats fit on one core.
const BOUND: Duration = Duration::from_secs(2);
const WITHIN: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(15);

/// Per sidecar: session, canary, and as many attempts that were too early.
const CONNECTIONS: u64 = 4;

/// Per sidecar and key: one read, and another where a push overtook it.
const READS: u64 = 2;

fn count(set: &SentinelSet, node: SocketAddr, section: &str, field: &str) -> u64 {
    let info = set.redis_cli(node, &["INFO", section]);
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    let digits: String = line
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

/// Reads of entries that the node has executed.
fn reads(set: &SentinelSet, node: SocketAddr) -> u64 {
    count(set, node, "commandstats", "cmdstat_mget:calls=")
        + count(set, node, "commandstats", "cmdstat_evalsha:calls=")
        + count(set, node, "commandstats", "cmdstat_eval:calls=")
}

/// Reads until the copy here is provably fresh.
async fn until_near(sidecar: &Sidecar, spot: &Spot) {
    let began = Instant::now();
    loop {
        match sidecar.get(spot).await {
            Ok(Seen {
                from: From::Near(_),
                ..
            }) => return,
            other => assert!(began.elapsed() < WITHIN, "no copy is fresh: {other:?}"),
        }
    }
}

/// Callers of each sidecar; each tells how many of its reads failed.
fn start_readers(
    sidecars: &[Arc<Sidecar>],
    spots: &[Arc<Spot>],
    stop: &CancellationToken,
) -> JoinSet<u64> {
    let mut readers = JoinSet::new();
    for sidecar in sidecars {
        for reader in 0..READERS {
            let (sidecar, spots, stop) = (sidecar.clone(), spots.to_vec(), stop.clone());
            readers.spawn(async move {
                let mut failed = 0_u64;
                let mut number = reader;
                while !stop.is_cancelled() {
                    number += 1;
                    let spot = &spots[number % KEYS];
                    let read = sidecar.read(spot, Consistency::Fresh(None), PATIENCE);
                    failed += u64::from(read.await.is_err());
                    // A page is rendered between two reads.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                failed
            });
        }
    }
    readers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sidecars_do_not_stampede() {
    let mut set = block_in_place(SentinelSet::start);
    let upstream = Upstream::Sentinels(set.sentinel_addresses());
    let mut sidecars: Vec<Arc<Sidecar>> = Vec::new();
    for _ in 0..SIDECARS {
        sidecars.push(Sidecar::start(&upstream, BOUND).await);
    }
    let spots: Vec<Arc<Spot>> = (0..KEYS)
        .map(|number| Arc::new(Spot::new(Home::Raw, number, true)))
        .collect();
    for spot in &spots {
        let value = Bytes::from_static(b"value");
        let written = sidecars[0].write(spot, value, Expiry::Never).await;
        written.expect("a master");
    }
    let stop = CancellationToken::new();
    let readers = start_readers(&sidecars, &spots, &stop);
    let old = set.master_endpoint();
    let before: Vec<(SocketAddr, u64, u64)> = set
        .redis_addresses()
        .into_iter()
        .map(|(node, _)| {
            let connections = count(&set, node, "stats", "total_connections_received:");
            (node, connections, reads(&set, node))
        })
        .collect();
    block_in_place(|| fail_over(&mut set, Kind::Kill9));
    let new = set.master_endpoint();
    assert_ne!(old, new);
    until("everybody is there again", WITHIN, || {
        let found: Vec<u64> = sidecars.iter().map(|one| one.generation()).collect();
        let all = found.iter().all(|found| *found >= 2);
        all.then_some(()).ok_or_else(|| format!("{found:?}"))
    })
    .await;
    for sidecar in &sidecars {
        for spot in &spots {
            until_near(sidecar, spot).await;
        }
    }
    stop.cancel();
    let failed: u64 = readers.join_all().await.into_iter().sum();
    let (_, connections, read) = before
        .into_iter()
        .find(|(node, ..)| *node == new)
        .expect("it was there before");
    // The observations themselves connect too, a few times.
    let connections = count(&set, new, "stats", "total_connections_received:") - connections;
    let read = reads(&set, new) - read;
    println!(
        "{SIDECARS} sidecars, {READERS} readers of {KEYS} keys each: {connections} connections and {read} reads at \
         the new master, {failed} reads failed"
    );
    assert_eq!(failed, 0, "reads failed");
    let most = SIDECARS as u64 * CONNECTIONS;
    assert!(connections <= most, "{connections} connections");
    let most = SIDECARS as u64 * KEYS as u64 * READS;
    assert!(read <= most, "{read} reads");
    for sidecar in sidecars {
        sidecar.check_tasks();
    }
}
