//! Whether writes may go to the master that we are connected to.
//!
//! A master that is being replaced acknowledges writes that its successor does not have (redis#6062), and one that is
//! cut off with us does so until it is demoted. So writes wait while any Sentinel says that the master is being
//! replaced or a quorum cannot reach it, or knows of a later config epoch, and while the last word of a majority for
//! it is older than the period F. A pod that is isolated with the master stops to write after F; no other master can
//! exist before `down-after-milliseconds` has passed, which is why F stays below that (guides: coherence.md §3.3).
//!
//! Invariants: the verdict is about one master and one moment; what is not known is not allowed.
//!
//! Not here: waiting (`passage`). Replaying the journal, which is never held back.

use std::fmt;
use std::time::Duration;

use crate::config::FenceConfig;
use crate::model::{Cause, Fault, Master, Moment};
use crate::sentinel::{Election, Hold};

/// So much less than `down-after-milliseconds` the period is at most: time for a write that was just allowed to be
/// executed, and for the clocks of others.
const MARGIN: Duration = Duration::from_secs(1);

/// However short `down-after-milliseconds` is, polls must fit in.
const SHORTEST: Duration = Duration::from_millis(300);

/// Why writes may not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shut {
    /// The Sentinels name another master, or none.
    NotElected,
    /// One of them disputes it.
    Disputed(Hold),
    /// The last word of a majority for it is that old; `None`: there is none.
    Unconfirmed(Option<Duration>),
}

/// The period that is kept: the configured one, unless the Sentinels replace a master sooner.
pub fn period(config: &FenceConfig, election: &Election) -> Duration {
    let latest = election
        .rules
        .map(|rules| rules.down_after.saturating_sub(MARGIN).max(SHORTEST));
    latest.map_or(config.period, |latest| latest.min(config.period))
}

/// Judges for a write to that master. With one Redis there is nobody to ask and nothing to wait for.
///
/// # Errors
/// Why not.
pub fn judge(
    config: &FenceConfig,
    election: &Election,
    master: &Master,
    now: Moment,
) -> Result<(), Shut> {
    let Some(named) = election.named else {
        return Ok(());
    };
    if let Some(hold) = &election.hold {
        return Err(Shut::Disputed(hold.clone()));
    }
    match &election.master {
        Ok(elected) if elected == master => {}
        Ok(_) => return Err(Shut::NotElected),
        // The majority is gone, but maybe not for longer than the period.
        Err(_) => {}
    }
    if named == Moment::START {
        return Err(Shut::Unconfirmed(None));
    }
    let age = now.since(named);
    if age < period(config, election) {
        Ok(())
    } else {
        Err(Shut::Unconfirmed(Some(age)))
    }
}

impl Shut {
    /// The stable name of the state.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotElected => "not_elected",
            Self::Disputed(hold) => hold.reason.name(),
            Self::Unconfirmed(_) => "unconfirmed",
        }
    }

    /// What a write is answered that has waited in vain.
    pub fn fault(&self, master: &Master) -> Fault {
        let node = &master.endpoint;
        Fault::not_applied(
            Cause::Fenced,
            format!("writes to {node} are held back: {self}"),
        )
    }
}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElected => write!(f, "the Sentinels name another master"),
            Self::Disputed(hold) => {
                write!(f, "{} reports {}", hold.sentinel, hold.reason.name())
            }
            Self::Unconfirmed(Some(age)) => write!(
                f,
                "no majority of the Sentinels has confirmed it for {} ms",
                age.as_millis()
            ),
            Self::Unconfirmed(None) => {
                write!(f, "no majority of the Sentinels confirms it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FenceMode;
    use crate::sentinel::{Dispute, WatchRules};

    const CONFIG: FenceConfig = FenceConfig {
        mode: FenceMode::Hold,
        period: Duration::from_secs(1),
        all_unconfirmed: false,
    };

    fn master(port: u16) -> Master {
        Master {
            endpoint: format!("10.0.0.1:{port}").parse().expect("endpoint"),
            epoch: 1,
        }
    }

    fn at(ms: u64) -> Moment {
        Moment::after_boot(Duration::from_millis(ms))
    }

    fn election() -> Election {
        Election {
            named: Some(at(10_000)),
            ..Election::without_sentinels(Ok(master(1)))
        }
    }

    #[test]
    fn a_majority_within_the_period_opens() {
        let judged = |now| judge(&CONFIG, &election(), &master(1), at(now));
        assert_eq!(judged(10_999), Ok(()));
        let age = Some(Duration::from_secs(1));
        assert_eq!(judged(11_000), Err(Shut::Unconfirmed(age)));
    }

    #[test]
    fn a_majority_that_has_just_gone_counts_until_the_period_is_over() {
        let gone = Election {
            master: Err(Fault::not_applied(Cause::NoMajority, "as in the test")),
            ..election()
        };
        assert_eq!(judge(&CONFIG, &gone, &master(1), at(10_500)), Ok(()));
        assert!(judge(&CONFIG, &gone, &master(1), at(11_500)).is_err());
    }

    #[test]
    fn any_dispute_shuts_and_so_does_another_master() {
        let hold = Hold {
            sentinel: "10.0.0.9:26379".parse().expect("endpoint"),
            reason: Dispute::Failover,
        };
        let disputed = Election {
            hold: Some(hold.clone()),
            ..election()
        };
        let now = at(10_001);
        let judged = judge(&CONFIG, &disputed, &master(1), now);
        assert_eq!(judged, Err(Shut::Disputed(hold)));
        let judged = judge(&CONFIG, &election(), &master(2), now);
        assert_eq!(judged, Err(Shut::NotElected));
    }

    #[test]
    fn without_sentinels_there_is_no_fence() {
        let alone = Election {
            named: None,
            ..election()
        };
        assert_eq!(judge(&CONFIG, &alone, &master(1), at(1 << 40)), Ok(()));
    }

    #[test]
    fn the_period_ends_before_the_sentinels_could_have_replaced_the_master() {
        let with = |down_after| Election {
            rules: Some(WatchRules {
                down_after: Duration::from_millis(down_after),
                failover_timeout: Duration::from_secs(10),
                quorum: 2,
            }),
            ..election()
        };
        let kept = |down_after| period(&CONFIG, &with(down_after)).as_millis();
        assert_eq!([kept(5000), kept(1600), kept(1000)], [1000, 600, 300]);
    }
}
