//! Whose history counts, and when Redis may have lost acknowledged writes, from what its nodes said about themselves
//! and what the Sentinels said about them.
//!
//! The test asks every node for its role many times a second, and every Sentinel for the master, past all proxies.
//! From that follows when a replica became a master (a promotion), when a master became a replica, and when a master
//! began a new replication id without ceasing to be one (it was started again, with older data or none).
//!
//! - The node that was promoted last *reigns*, as soon as a majority of the Sentinels names it: no vedetta may write to
//!   it before. The master at the beginning reigns until the first promotion. A node that comes back calls itself
//!   master too, but was not promoted, so it does not reign.
//! - A *loss* is whatever may discard acknowledged writes: the time from a promotion until the new master is named
//!   (what the old one had not passed on, or acknowledges from now on, is gone; and it is still the one that everybody
//!   has to follow, even if it was started again meanwhile and lost everything), a restart of the node that reigns, the
//!   end of its reign, a FLUSHALL. Nothing else loses a write: there is no eviction here and no expiry within the time
//!   of a run.
//!
//! Invariants: a span begins when the node was last asked before, and ends when the answer after was read; it is as
//! long as our ignorance. No reign overlaps a loss.
//!
//! Not here: the asking (`census`).

use std::collections::BTreeSet;

use super::record::{Moment, Reign, Span};

/// What a node said it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// With this replication id.
    Master(String),
    Replica,
}

/// When it said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) sent: Moment,
    pub(crate) returned: Moment,
    pub(crate) role: Role,
}

/// Whom a Sentinel named as the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) sentinel: usize,
    pub(crate) node: usize,
    pub(crate) sent: Moment,
    pub(crate) returned: Moment,
}

/// Of three.
const MAJORITY: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Promoted,
    Demoted,
    Restarted,
}

/// The reigns and the losses of a run, both in order; `samples` has one list for each node.
pub(crate) fn derive(
    samples: &[Vec<Sample>],
    namings: &[Naming],
    flushes: &[Span],
) -> (Vec<Reign>, Vec<Span>) {
    let masters = |samples: &Vec<Sample>| {
        let first = samples.first()?;
        matches!(first.role, Role::Master(_)).then_some(first.returned)
    };
    let mut reigning = samples
        .iter()
        .enumerate()
        .find_map(|(node, samples)| Some((node, masters(samples)?)));
    let (mut reigns, mut losses) = (Vec::new(), flushes.to_vec());
    for (node, turn, span) in turns(samples, namings) {
        let reigns_now = reigning.is_some_and(|(king, _)| king == node);
        if turn != Turn::Promoted && !reigns_now {
            continue;
        }
        losses.push(span);
        if let Some((king, from)) = reigning {
            reigns.push(Reign {
                node: king,
                from,
                until: span.from,
            });
        }
        reigning = (turn != Turn::Demoted).then_some((node, span.until));
    }
    if let Some((node, from)) = reigning {
        reigns.push(Reign {
            node,
            from,
            until: Moment::MAX,
        });
    }
    reigns.retain(|reign| reign.from < reign.until);
    losses.sort_by_key(|loss| loss.from);
    (reigns, losses)
}

/// The changes of role of all nodes, in the order in which they were noticed.
fn turns(samples: &[Vec<Sample>], namings: &[Naming]) -> Vec<(usize, Turn, Span)> {
    let mut turns = Vec::new();
    for (node, samples) in samples.iter().enumerate() {
        for pair in samples.windows(2) {
            let turn = match (&pair[0].role, &pair[1].role) {
                (Role::Replica, Role::Master(_)) => Turn::Promoted,
                (Role::Master(_), Role::Replica) => Turn::Demoted,
                (Role::Master(old), Role::Master(new)) if old != new => Turn::Restarted,
                _ => continue,
            };
            let mut span = Span {
                from: pair[0].sent,
                until: pair[1].returned,
            };
            if turn == Turn::Promoted {
                span.until = named(node, span.from, namings).max(span.until);
            }
            turns.push((node, turn, span));
        }
    }
    turns.sort_by_key(|(_, _, span)| span.until);
    turns
}

/// When a majority named the node that was promoted then; never, perhaps.
fn named(node: usize, promoted: Moment, namings: &[Naming]) -> Moment {
    let mut names: Vec<&Naming> = namings
        .iter()
        .filter(|naming| naming.node == node && naming.sent > promoted)
        .collect();
    names.sort_by_key(|naming| naming.returned);
    let mut voices = BTreeSet::new();
    let completes = |naming: &&&Naming| {
        voices.insert(naming.sentinel);
        voices.len() >= MAJORITY
    };
    let last = names.iter().find(completes);
    last.map_or(Moment::MAX, |naming| naming.returned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: u64) -> Moment {
        Moment::from_millis(time)
    }

    /// `m1` is a master with the replication id 1, `r` a replica; each sample takes one millisecond.
    fn node(text: &str) -> Vec<Sample> {
        let sample = |word: &str| {
            let (time, role) = word.split_once(':').expect("time:role");
            let sent = ms(time.parse().expect("time"));
            Sample {
                sent,
                returned: sent + ms(1),
                role: match role.strip_prefix('m') {
                    Some(id) => Role::Master(id.to_owned()),
                    None => Role::Replica,
                },
            }
        };
        text.split(' ').map(sample).collect()
    }

    fn reign(node: usize, from: u64, until: Option<u64>) -> Reign {
        Reign {
            node,
            from: ms(from),
            until: until.map_or(Moment::MAX, ms),
        }
    }

    fn span(from: u64, until: u64) -> Span {
        Span {
            from: ms(from),
            until: ms(until),
        }
    }

    /// `sentinel@time:node`; each takes one millisecond.
    fn names(text: &str) -> Vec<Naming> {
        let naming = |word: &str| {
            let (sentinel, rest) = word.split_once('@').expect("sentinel@time:node");
            let (time, node) = rest.split_once(':').expect("time:node");
            let sent = ms(time.parse().expect("time"));
            Naming {
                sentinel: sentinel.parse().expect("sentinel"),
                node: node.parse().expect("node"),
                sent,
                returned: sent + ms(1),
            }
        };
        text.split_whitespace().map(naming).collect()
    }

    #[test]
    fn a_failover_ends_one_reign_and_begins_another_and_the_old_master_no_third() {
        // Node 0 is killed after 30, comes back as a master at 65 and is made a replica at 100.
        let samples = [
            node("0:m1 30:m1 65:m3 100:r"),
            node("0:r 50:r 60:m2 110:m2"),
            node("0:r 110:r"),
        ];
        let namings = names("0@40:0 1@40:0 2@40:0 1@62:0 0@70:1 0@75:1 2@80:1 1@90:1");
        let (reigns, losses) = derive(&samples, &namings, &[]);
        assert_eq!(reigns, [reign(0, 1, Some(30)), reign(1, 81, None)]);
        assert_eq!(losses, [span(30, 66), span(50, 81)]);
        // It comes back after the other was named: nobody follows it any more.
        let late = [node("0:m1 30:m1 85:m3 100:r"), node("0:r 50:r 60:m2")];
        let (reigns, losses) = derive(&late, &namings, &[]);
        assert_eq!(reigns, [reign(0, 1, Some(50)), reign(1, 81, None)]);
        assert_eq!(losses, [span(50, 81)]);
    }

    #[test]
    fn a_master_that_nobody_names_does_not_reign() {
        let samples = [node("0:m1 30:m1"), node("0:r 50:r 60:m2")];
        let (reigns, losses) = derive(&samples, &names("0@70:1 0@80:1 1@40:1"), &[]);
        assert_eq!(reigns, [reign(0, 1, Some(50))]);
        assert_eq!(losses.first().map(|loss| loss.until), Some(Moment::MAX));
    }

    #[test]
    fn a_master_that_comes_back_before_anybody_misses_it_begins_a_new_reign() {
        let samples = [node("0:m1 30:m1 40:m2"), node("0:r 50:r")];
        let (reigns, losses) = derive(&samples, &[], &[]);
        assert_eq!(reigns, [reign(0, 1, Some(30)), reign(0, 41, None)]);
        assert_eq!(losses, [span(30, 41)]);
    }

    #[test]
    fn nobody_reigns_after_the_reigning_master_was_demoted_until_one_is_promoted() {
        let samples = [node("0:m1 30:m1 40:r"), node("0:r 80:r 90:m2")];
        let namings = names("0@85:1 1@85:1");
        let (reigns, losses) = derive(&samples, &namings, &[span(10, 12)]);
        assert_eq!(reigns, [reign(0, 1, Some(30)), reign(1, 91, None)]);
        assert_eq!(losses, [span(10, 12), span(30, 41), span(80, 91)]);
    }
}
