//! What about the setting of Redis and of the Sentinels weakens the promises, and what to do about it.
//!
//! Invariants: a closed list; what is not known is not judged, except that it cannot be known.
//!
//! Not here: asking (`upstream::survey`, `sentinel`). Source: guides, coherence.md §3.4.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::FenceConfig;
use crate::sentinel::Election;

use super::fence;

/// A failover that fails is tried again after twice this.
const SLOW_FAILOVER: Duration = Duration::from_secs(30);

/// A replica may lag that much and still count as one.
const LONG_LAG: u64 = 10;

/// One weakness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness {
    /// Its stable name.
    pub name: &'static str,
    /// What was found, and what follows from it.
    pub detail: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Every name.
pub const NAMES: [&str; 10] = [
    "fence_longer_than_down_after",
    "few_sentinels",
    "quorum_of_one",
    "slow_failover_timeout",
    "unequal_replica_priority",
    "min_replicas_to_write",
    "min_replicas_max_lag",
    "unlimited_output_buffer",
    "no_persistence",
    "config_unreadable",
];

/// Judges what the Sentinels tell.
pub fn of_sentinels(config: &FenceConfig, election: &Election) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut add = |name, detail: String, remedy| {
        found.push(Weakness {
            name,
            detail,
            remedy,
        });
    };
    if election.named.is_none() {
        return found;
    }
    if (1..3).contains(&election.sentinels) {
        let detail = format!(
            "{} Sentinels: the loss of one leaves no majority to replace the master",
            election.sentinels
        );
        add("few_sentinels", detail, "run three");
    }
    if let Some(rules) = election.rules {
        let kept = fence::period(config, election);
        if kept < config.period {
            let detail = format!(
                "fence.period is {:?} and down-after-milliseconds {:?}; {kept:?} is kept",
                config.period, rules.down_after
            );
            let remedy = "set down-after-milliseconds to at least fence.period and one second";
            add("fence_longer_than_down_after", detail, remedy);
        }
        if rules.quorum == 1 && election.sentinels > 1 {
            let detail =
                "one Sentinel alone can find the master down, and writes are held".to_owned();
            add("quorum_of_one", detail, "set the quorum to a majority");
        }
        if rules.failover_timeout > SLOW_FAILOVER {
            let detail = format!(
                "failover-timeout is {:?}: a failover that does not succeed at once is tried again after twice that",
                rules.failover_timeout
            );
            add(
                "slow_failover_timeout",
                detail,
                "set failover-timeout to 10 to 15 s",
            );
        }
    }
    let mut priorities = election.priorities.to_vec();
    priorities.sort_unstable();
    priorities.dedup();
    if priorities.len() > 1 {
        let detail = format!(
            "replica-priority is {priorities:?}: the preferred replica is promoted even where another one has more"
        );
        add(
            "unequal_replica_priority",
            detail,
            "give all replicas the same replica-priority",
        );
    }
    found
}

/// Judges the configuration of a master, where Sentinels may replace it.
pub fn of_node(config: Option<&HashMap<String, String>>, replaceable: bool) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut add = |name, detail: String, remedy| {
        found.push(Weakness {
            name,
            detail,
            remedy,
        });
    };
    let Some(config) = config else {
        let detail =
            "the ACL user may not read the configuration, so it was not checked".to_owned();
        add(
            "config_unreadable",
            detail,
            "allow +config|get, or ignore this",
        );
        return found;
    };
    let value = |name: &str| config.get(name).map(String::as_str);
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    if replaceable && number("min-replicas-to-write") == Some(0) {
        let detail = "a master that is cut off from all replicas goes on acknowledging writes that will be lost".to_owned();
        add(
            "min_replicas_to_write",
            detail,
            "set min-replicas-to-write to 1",
        );
    } else if replaceable && number("min-replicas-max-lag").is_some_and(|lag| lag >= LONG_LAG) {
        let detail = format!(
            "min-replicas-max-lag is {} s: for so long a master that is cut off still counts its replicas",
            number("min-replicas-max-lag").unwrap_or_default()
        );
        add(
            "min_replicas_max_lag",
            detail,
            "set min-replicas-max-lag to 1 or 2",
        );
    }
    let unlimited = |limits: &str| limits.starts_with("normal 0 0 0");
    if value("client-output-buffer-limit").is_some_and(unlimited) {
        let detail = "a client that does not read can take all memory of the master".to_owned();
        let remedy = "set client-output-buffer-limit normal 64mb 32mb 30";
        add("unlimited_output_buffer", detail, remedy);
    }
    if replaceable && value("appendonly") == Some("no") && value("save") == Some("") {
        let detail = "a master that restarts faster than the Sentinels notice comes back empty, and so do its replicas"
            .to_owned();
        let remedy =
            "set appendonly to yes, or delay restarts by more than down-after-milliseconds";
        add("no_persistence", detail, remedy);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::FenceMode;
    use crate::model::{Master, Moment};
    use crate::sentinel::WatchRules;

    const FENCE: FenceConfig = FenceConfig {
        mode: FenceMode::Hold,
        period: Duration::from_secs(1),
        all_unconfirmed: false,
    };

    fn election() -> Election {
        let master = Master {
            endpoint: "10.0.0.1:1".parse().expect("endpoint"),
            epoch: 1,
        };
        Election {
            named: Some(Moment::END),
            sentinels: 3,
            priorities: Arc::new([100, 100]),
            rules: Some(WatchRules {
                down_after: Duration::from_secs(5),
                failover_timeout: Duration::from_secs(10),
                quorum: 2,
            }),
            ..Election::without_sentinels(Ok(master))
        }
    }

    fn names(found: &[Weakness]) -> Vec<&'static str> {
        found.iter().map(|weakness| weakness.name).collect()
    }

    fn config(fields: [(&str, &str); 5]) -> HashMap<String, String> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        fields.into_iter().map(own).collect()
    }

    #[test]
    fn a_good_setting_has_none() {
        assert_eq!(names(&of_sentinels(&FENCE, &election())), [""; 0]);
        let good = config([
            ("min-replicas-to-write", "1"),
            ("min-replicas-max-lag", "2"),
            (
                "client-output-buffer-limit",
                "normal 67108864 33554432 30 slave 0 0 0",
            ),
            ("appendonly", "yes"),
            ("save", ""),
        ]);
        assert_eq!(names(&of_node(Some(&good), true)), [""; 0]);
    }

    #[test]
    fn each_weakness_of_the_sentinels_is_found() {
        let bad = Election {
            sentinels: 2,
            priorities: Arc::new([100, 0]),
            rules: Some(WatchRules {
                down_after: Duration::from_millis(1500),
                failover_timeout: Duration::from_secs(180),
                quorum: 1,
            }),
            ..election()
        };
        let expected = [
            "few_sentinels",
            "fence_longer_than_down_after",
            "quorum_of_one",
            "slow_failover_timeout",
            "unequal_replica_priority",
        ];
        assert_eq!(names(&of_sentinels(&FENCE, &bad)), expected);
        let without = Election::without_sentinels(bad.master);
        assert_eq!(names(&of_sentinels(&FENCE, &without)), [""; 0]);
    }

    #[test]
    fn each_weakness_of_a_node_is_found() {
        let defaults = config([
            ("min-replicas-to-write", "0"),
            ("min-replicas-max-lag", "10"),
            (
                "client-output-buffer-limit",
                "normal 0 0 0 slave 268435456 67108864 60",
            ),
            ("appendonly", "no"),
            ("save", ""),
        ]);
        let expected = [
            "min_replicas_to_write",
            "unlimited_output_buffer",
            "no_persistence",
        ];
        assert_eq!(names(&of_node(Some(&defaults), true)), expected);
        assert_eq!(
            names(&of_node(Some(&defaults), false)),
            ["unlimited_output_buffer"]
        );
        let mut lag = defaults;
        lag.insert("min-replicas-to-write".to_owned(), "1".to_owned());
        assert!(names(&of_node(Some(&lag), true)).contains(&"min_replicas_max_lag"));
        assert_eq!(names(&of_node(None, true)), ["config_unreadable"]);
    }
}
