//! The figures of all rounds, as a table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Kind;
use super::load::Write;

/// When things happened in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) kind: Kind,
    pub(super) fault: Instant,
    /// A majority of the Sentinels named the new master.
    pub(super) majority: Instant,
    /// The first `+switch-master` was published.
    pub(super) switched: Instant,
    /// The first write of vedetta after that majority was acknowledged.
    pub(super) first: Instant,
}

#[derive(Debug, Default)]
struct Row {
    since_majority: Vec<f64>,
    since_switch: Vec<f64>,
    gap: Vec<f64>,
    writes: usize,
    failed: usize,
    unreplicated: usize,
    lost: usize,
    lost_all: usize,
    window: Option<(f64, f64)>,
}

/// Rows by client and kind.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<(String, &'static str), Row>);

/// Milliseconds, negative if `later` is earlier.
fn ms(later: Instant, earlier: Instant) -> f64 {
    let forwards = later.saturating_duration_since(earlier).as_secs_f64();
    let backwards = earlier.saturating_duration_since(later).as_secs_f64();
    (forwards - backwards) * 1e3
}

/// The longest time without an acknowledgement.
fn longest_gap(writes: &[Write]) -> Duration {
    let mut times: Vec<Instant> = writes
        .iter()
        .filter(|write| write.acknowledged() && !write.to_all)
        .map(|write| write.answered)
        .collect();
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default()
}

impl Table {
    pub(super) fn vedetta(&mut self, round: &Round, writes: &[Write], lost: &[&Write]) {
        self.add("vedetta", round, round.first, writes, lost);
    }

    pub(super) fn other(&mut self, name: &str, round: &Round, writes: &[Write], lost: &[&Write]) {
        let after = writes
            .iter()
            .filter(|write| write.acknowledged() && write.answered >= round.majority);
        // What the old master acknowledged after the switch is no good write.
        let good = after.filter(|write| !lost.iter().any(|lost| lost.key == write.key));
        let first = good.map(|write| write.answered).min();
        self.add(name, round, first.unwrap_or(round.majority), writes, lost);
    }

    fn add(
        &mut self,
        name: &str,
        round: &Round,
        first: Instant,
        writes: &[Write],
        lost: &[&Write],
    ) {
        let row = self
            .0
            .entry((name.to_owned(), round.kind.name()))
            .or_default();
        row.since_majority.push(ms(first, round.majority));
        row.since_switch.push(ms(first, round.switched));
        row.gap.push(longest_gap(writes).as_secs_f64() * 1e3);
        row.writes += writes.len();
        row.failed += writes.iter().filter(|write| write.failed()).count();
        let short = |write: &&Write| !write.acknowledged() && !write.failed();
        row.unreplicated += writes.iter().filter(short).count();
        row.lost += lost.iter().filter(|write| !write.to_all).count();
        row.lost_all += lost.iter().filter(|write| write.to_all).count();
        for write in lost {
            let at = ms(write.answered, round.fault);
            let (first, last) = row.window.unwrap_or((at, at));
            row.window = Some((first.min(at), last.max(at)));
        }
    }

    pub(super) fn print(&self, rounds: usize) {
        println!(
            "{rounds} rounds of each kind; times in ms as median (max); gap: longest time without an acknowledgement"
        );
        println!(
            "{:<10} {:<18} {:>18} {:>22} {:>18} {:>8} {:>7} {:>12} {:>6} {:>9}  lost within",
            "client",
            "kind",
            "since majority",
            "since +switch-master",
            "gap",
            "writes",
            "failed",
            "too few",
            "lost",
            "lost ALL"
        );
        for ((name, kind), row) in &self.0 {
            let window = row.window.map_or_else(String::new, |(first, last)| {
                format!("{first:.0} to {last:.0} ms after the fault")
            });
            println!(
                "{name:<10} {kind:<18} {:>18} {:>22} {:>18} {:>8} {:>7} {:>12} {:>6} {:>9}  {window}",
                shown(&row.since_majority),
                shown(&row.since_switch),
                shown(&row.gap),
                row.writes,
                row.failed,
                row.unreplicated,
                row.lost,
                row.lost_all,
            );
        }
    }
}

/// Median and maximum.
fn shown(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let most = sorted.last().copied().unwrap_or_default();
    format!("{median:.1} ({most:.1})")
}
