//! What a run shows, in words: counts, faults, the worst ages, and the history around the first violation.
//!
//! Not here: judging (`check`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::check::{Class, Verdict, Violation};
use super::record::{Answer, History, Moment, Outcome};

/// How much is shown before and after a violation.
const AROUND: Duration = Duration::from_millis(1500);
const LINES: usize = 60;
/// How many violations are shown in a line each.
const SHOWN: usize = 10;

/// All of it, ready to be printed.
pub(crate) fn report(
    history: &History,
    verdict: &Verdict,
    log: &[(Moment, String)],
    seed: u64,
) -> String {
    let mut text = format!("seed {seed}\n");
    for (at, what) in log {
        let _ = writeln!(text, "{:>9.3} {what}", at.as_secs_f64());
    }
    let writes = |outcome| {
        let writes = history.writes.iter();
        writes.filter(|write| write.outcome == outcome).count()
    };
    let _ = writeln!(
        text,
        "{} losses, {} reigns; {} writes: {} acknowledged ({} provably lost by Redis), {} not applied, {} unknown",
        history.losses.len(),
        history.reigns.len(),
        history.writes.len(),
        writes(Outcome::Acknowledged),
        verdict.lost_writes,
        writes(Outcome::NotApplied),
        writes(Outcome::Unknown),
    );
    let _ = writeln!(
        text,
        "{} reads: {} misses, {} failed {:?}",
        history.reads.len(),
        verdict.misses,
        verdict.failed,
        failures(history),
    );
    let classes = [
        ("FRESH", verdict.fresh),
        ("STALE", verdict.stale),
        ("UNVERIFIED", verdict.unverified),
    ];
    for (name, class) in classes {
        let _ = writeln!(text, "{name}: {}", describe(class));
    }
    let _ = writeln!(
        text,
        "{} FRESH reads were put to the test; {} showed less than a write that Redis may have lost, by {:?} at most",
        verdict.tried, verdict.rolled_back, verdict.rolled_back_by,
    );
    let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
    for violation in &verdict.violations {
        *kinds
            .entry((violation.kind, violation.read.pod))
            .or_default() += 1;
    }
    let _ = writeln!(text, "violations by kind and pod: {kinds:?}");
    for Violation {
        kind,
        read,
        witness,
    } in verdict.violations.iter().take(SHOWN)
    {
        let _ = writeln!(text, "  {kind:?} {read:?} by {witness:?}");
    }
    if let Some(first) = verdict.violations.iter().min_by_key(|v| v.read.sent) {
        text.push_str(&around(history, first));
    }
    text
}

fn describe(class: Class) -> String {
    let Class { reads, near, worst } = class;
    format!("{reads} reads, {near} of them from L1, worst age {worst:?}")
}

fn failures(history: &History) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for read in &history.reads {
        if let Answer::Failed(reason) = &read.answer {
            *reasons.entry(reason.as_str()).or_default() += 1;
        }
    }
    reasons
}

/// What happened to the key of a violation, and to all keys, around it.
fn around(history: &History, violation: &Violation) -> String {
    let read = &violation.read;
    let begin = violation.witness.map_or(read.sent, |witness| witness.sent);
    let (from, until) = (begin.saturating_sub(AROUND), read.returned + AROUND);
    let shown = |at: Moment| (from..until).contains(&at);
    let mut lines: Vec<(Moment, String)> = Vec::new();
    for write in history.writes.iter().filter(|w| w.key == read.key) {
        lines.push((write.sent, format!("{write:?}")));
    }
    // Only where the answer changes: most reads say the same as the one before.
    let mut last: BTreeMap<usize, &Answer> = BTreeMap::new();
    let mut reads: Vec<_> = history.reads.iter().filter(|r| r.key == read.key).collect();
    reads.sort_by_key(|read| read.sent);
    for other in reads {
        let changed = last.insert(other.pod, &other.answer) != Some(&other.answer);
        if changed || other == read {
            lines.push((other.sent, format!("{other:?}")));
        }
    }
    for loss in &history.losses {
        lines.push((loss.from, format!("loss until {:?}", loss.until)));
    }
    for reign in &history.reigns {
        lines.push((reign.from, format!("reign of node {}", reign.node)));
    }
    lines.retain(|(at, _)| shown(*at));
    lines.sort();
    let mut text = format!("the first violation: {violation:?}\n");
    for (_, line) in lines.iter().take(LINES) {
        let _ = writeln!(text, "  {line}");
    }
    text
}
