//! A fleet of any size before one Redis: who reads, who writes, who holds what, and what Redis has to do.
//!
//! Reads and writes come at random times (Poisson), for keys by Zipf's law, which is the same for both. A read of what its
//! sidecar does not hold is a miss; a write takes the key from all who hold it and tells them. Time and room are not what
//! entries are lost by: they do not expire and are not evicted.
//!
//! Invariants: pure; the same seed gives the same outcome.
//!
//! Not here: how Redis works them off (`turns`), what each costs (`costs`), which fleets are looked at (`scale`).

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::costs::Costs;
use crate::turns::{Command, Turns};

/// The heartbeats of a sidecar in a second.
pub(crate) const HEARTBEATS: f64 = 10.0;

/// What a fleet does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) pods: usize,
    pub(crate) keys: usize,
    /// The exponent of Zipf's law; 0 reads all keys alike.
    pub(crate) zipf: f64,
    /// Of each pod, in a second.
    pub(crate) reads: f64,
    /// Of the whole fleet, in a second.
    pub(crate) writes: f64,
}

/// How its sidecars are connected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Whether every session is told of every write, at these costs in place of those of the tracking table.
    pub(crate) broadcast: Option<(f64, f64)>,
    /// Heartbeats, as a part of those that there are today.
    pub(crate) heartbeats: f64,
    /// Polls of the Sentinels, likewise.
    pub(crate) polls: f64,
    /// Pods that share a session: one, or those of a node behind a relay.
    pub(crate) pods_per_session: usize,
}

/// Who holds what at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nobody holds anything.
    Cold,
    /// As after a long time.
    Settled,
}

/// For how long, in seconds; the first part does not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) warm: f64,
    pub(crate) counted: f64,
}

/// What came of it: in a second, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    /// The part of a processor that Redis uses; 1 is all that it can use.
    pub(crate) busy: f64,
    pub(crate) misses: f64,
    /// Invalidations, one for each holder.
    pub(crate) pushes: f64,
    pub(crate) hit_ratio: f64,
    pub(crate) bytes: f64,
    /// Milliseconds: from the arrival of a command to its answer, and until all of a turn's holders are told.
    pub(crate) answered_p99: f64,
    pub(crate) told_p99: f64,
    pub(crate) connections: f64,
    /// Bytes, with every key held as it was at the end.
    pub(crate) table: f64,
    /// For one Sentinel: commands, and the part of a processor.
    pub(crate) sentinel_commands: f64,
    pub(crate) sentinel_busy: f64,
}

struct Fleet {
    sessions: usize,
    words: usize,
    /// The sum of the parts of the keys up to each.
    zipf: Vec<f64>,
    /// A bit for each session that holds the key.
    held: Vec<u64>,
    all: Vec<u64>,
}

impl Fleet {
    fn new(workload: &Workload, sessions: usize) -> Self {
        let words = sessions.div_ceil(64);
        let mut all = vec![u64::MAX; words];
        if !sessions.is_multiple_of(64) {
            all[words - 1] = (1 << (sessions % 64)) - 1;
        }
        Self {
            sessions,
            words,
            zipf: zipf(workload.keys, workload.zipf),
            held: vec![0; words * workload.keys],
            all,
        }
    }

    fn key(&self, random: &mut StdRng) -> usize {
        let at = random.random::<f64>();
        self.zipf
            .partition_point(|sum| *sum <= at)
            .min(self.zipf.len() - 1)
    }

    fn part(&self, key: usize) -> f64 {
        self.zipf[key] - if key == 0 { 0.0 } else { self.zipf[key - 1] }
    }

    /// Each key was last written at a random time, and has been read since or not.
    fn settle(&mut self, reads: f64, writes: f64, random: &mut StdRng) {
        for key in 0..self.zipf.len() {
            let part = self.part(key);
            let since = exponential(writes * part, random);
            let unread = (-reads * part * since).exp();
            for session in 0..self.sessions {
                if random.random::<f64>() >= unread {
                    self.take(key, session);
                }
            }
        }
    }

    /// False if that session held it already.
    fn take(&mut self, key: usize, session: usize) -> bool {
        let (word, bit) = (
            &mut self.held[key * self.words + session / 64],
            1 << (session % 64),
        );
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Nobody holds the key any more; who did.
    fn drop_all(&mut self, key: usize) -> Vec<u64> {
        let holders = &mut self.held[key * self.words..(key + 1) * self.words];
        let told = holders.to_vec();
        holders.fill(0);
        told
    }

    /// Memory of the tracking table.
    fn table(&self, costs: &Costs) -> f64 {
        let bits = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
        let of = |words: &[u64]| match bits(words) {
            0 => 0.0,
            holders => costs.table_key + f64::from(holders) * costs.table_holder,
        };
        self.held.chunks(self.words).map(of).sum()
    }
}

/// The sums of the parts of so many keys.
pub(crate) fn zipf(keys: usize, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let weights = (1..=keys).map(|rank| {
        sum += (rank as f64).powf(-exponent);
        sum
    });
    let mut sums: Vec<f64> = weights.collect();
    sums.iter_mut().for_each(|part| *part /= sum);
    sums
}

/// The time until the next of so many in a second.
pub(crate) fn exponential(rate: f64, random: &mut StdRng) -> f64 {
    -(1.0 - random.random::<f64>()).ln() / rate
}

fn ones(words: &[u64]) -> f64 {
    f64::from(words.iter().map(|word| word.count_ones()).sum::<u32>())
}

/// Lets a fleet work.
///
/// # Errors
/// There is no room for its histograms.
pub(crate) fn simulate(
    costs: &Costs,
    workload: &Workload,
    way: &Way,
    (start, span, seed): (Start, Span, u64),
) -> Result<Outcome, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let sessions = workload.pods.div_ceil(way.pods_per_session).max(1);
    let mut fleet = Fleet::new(workload, sessions);
    let reads = workload.reads * workload.pods as f64;
    if start == Start::Settled {
        fleet.settle(reads / sessions as f64, workload.writes, &mut random);
    }
    let (note, send) = way.broadcast.unwrap_or((costs.note, costs.send));
    let beats = costs.idle_commands - HEARTBEATS * (1.0 - way.heartbeats);
    let beat = (costs.idle / costs.idle_commands - costs.wake).max(0.0);
    let rates = [reads, workload.writes, beats * sessions as f64];
    let total: f64 = rates.iter().sum();
    let mut turns = Turns::new(costs.wake, send, span.warm * 1e6)?;
    let (mut now, mut counts) = (0.0, Counts::default());
    loop {
        now += exponential(total, &mut random);
        if now >= span.warm + span.counted {
            break;
        }
        let counted = f64::from(u8::from(now >= span.warm));
        let which = random.random::<f64>() * total;
        let (cost, told) = if which < rates[0] {
            counts.reads += counted;
            let session = random.random_range(0..sessions);
            let key = fleet.key(&mut random);
            if !fleet.take(key, session) {
                continue;
            }
            counts.misses += counted;
            (costs.miss, Vec::new())
        } else if which < rates[0] + rates[1] {
            let key = fleet.key(&mut random);
            let holders = fleet.drop_all(key);
            let told = if way.broadcast.is_some() {
                fleet.all.clone()
            } else {
                holders
            };
            counts.pushes += counted * ones(&told);
            (costs.put + note * ones(&told), told)
        } else {
            (beat, Vec::new())
        };
        turns.arrive(Command {
            at: now * 1e6,
            cost,
            told,
        });
    }
    turns.work_until(now * 1e6);
    let table = if way.broadcast.is_some() {
        0.0
    } else {
        fleet.table(costs)
    };
    Ok(counts.outcome(costs, way, (sessions, span.counted), &turns, table))
}

/// What happened while it counted.
#[derive(Default)]
struct Counts {
    reads: f64,
    misses: f64,
    pushes: f64,
}

impl Counts {
    fn outcome(
        &self,
        costs: &Costs,
        way: &Way,
        (sessions, seconds): (usize, f64),
        turns: &Turns,
        table: f64,
    ) -> Outcome {
        let sessions = sessions as f64;
        let millis = |of: &hdrhistogram::Histogram<u64>| of.value_at_quantile(0.99) as f64 / 1e6;
        let (misses, pushes) = (self.misses / seconds, self.pushes / seconds);
        let idle = 1.0 - HEARTBEATS * (1.0 - way.heartbeats) / costs.idle_commands;
        Outcome {
            busy: turns.busy / seconds / 1e6,
            misses,
            pushes,
            hit_ratio: 1.0 - self.misses / self.reads.max(1.0),
            bytes: misses * costs.miss_bytes
                + pushes * costs.push_bytes
                + sessions * costs.idle_bytes * idle,
            answered_p99: millis(&turns.answered),
            told_p99: millis(&turns.told),
            connections: sessions * costs.connections,
            table,
            sentinel_commands: sessions * costs.sentinel_commands * way.polls,
            sentinel_busy: sessions * costs.sentinel * way.polls / 1e6,
        }
    }
}
