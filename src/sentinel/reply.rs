//! What Sentinels say: replies to polls, and the payloads of their events.
//!
//! Sources: <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/> ("Sentinel API",
//! "Pub/Sub messages").
//!
//! Invariants: an answer without a usable address or epoch is no answer.
//!
//! Not here: talking to a Sentinel (`watcher`), believing it (`topology`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Cause, Endpoint, Fault, Master, Moment};

use super::aside::Aside;

/// What a Sentinel thinks of the state of the master.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// It cannot reach the master.
    pub s_down: bool,
    /// A quorum cannot.
    pub o_down: bool,
    /// It is leading a failover.
    pub failover: bool,
}

/// Why one Sentinel does not stand by the elected master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispute {
    /// A quorum cannot reach it.
    ObjectivelyDown,
    /// It is being replaced.
    Failover,
    /// It was replaced: the Sentinel knows of a later config epoch.
    LaterEpoch,
}

impl Dispute {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ObjectivelyDown => "o_down",
            Self::Failover => "failover_in_progress",
            Self::LaterEpoch => "later_epoch",
        }
    }
}

/// How a Sentinel is told to watch the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchRules {
    /// `down-after-milliseconds`.
    pub down_after: Duration,
    /// `failover-timeout`.
    pub failover_timeout: Duration,
    /// How many must find it down.
    pub quorum: usize,
}

/// One Sentinel's opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which Sentinel says it: its run id, as `SENTINEL MYID` tells it.
    pub id: Arc<str>,
    /// Who is master, since which config epoch.
    pub master: Master,
    /// In which state the master that it describes is.
    pub flags: Flags,
    /// Whether that is the one that it names. Between promotion and the end of a failover it is the one before.
    pub described: bool,
    /// How many Sentinels it knows of, itself included.
    pub sentinels: usize,
    /// How many replicas of the master that it describes it knows of, dead ones included.
    pub replicas: usize,
    /// How it watches; `None` if it does not say.
    pub rules: Option<WatchRules>,
    /// The run id of the master that it describes; `None` until it has asked that node.
    pub run_id: Option<Arc<str>>,
    /// What it told besides, now or lately.
    pub aside: Aside,
    /// A moment before it was asked.
    pub asked: Moment,
}

impl Answer {
    /// Whether it says that this master is being replaced, or about to be, or was.
    pub fn dispute(&self, master: &Master) -> Option<Dispute> {
        let described = self.described && self.master.endpoint == master.endpoint;
        if self.master.epoch > master.epoch {
            Some(Dispute::LaterEpoch)
        } else if described && self.flags.failover {
            Some(Dispute::Failover)
        } else {
            (described && self.flags.o_down).then_some(Dispute::ObjectivelyDown)
        }
    }

    /// Whether its word counts for the lease of this master: it names it, and does not find it down.
    pub fn names(&self, master: &Master) -> bool {
        self.master == *master && !(self.described && self.flags.s_down)
    }

    /// Whether it watches this master and finds it well. In TILT it would not notice if it were not.
    pub fn vouches_for(&self, master: &Master) -> bool {
        let well = self.flags == Flags::default();
        self.master == *master && self.described && well && !self.aside.tilt
    }
}

/// Reads the replies to `SENTINEL GET-MASTER-ADDR-BY-NAME` and `SENTINEL MASTER`.
///
/// The address is taken from the first: during a failover the leader already answers the promoted replica there,
/// while the second still describes the old master until the failover ends. The epoch is in the second, which is
/// asked before the first: what changes in between is seen as the new address at the old epoch, never as the old
/// address at the new one.
///
/// # Errors
/// `MasterNameUnknown` if the Sentinel does not monitor the name; `SentinelsUnreachable` if it talks nonsense.
pub fn read_answer(
    id: &Arc<str>,
    name: &str,
    address: Option<&[String]>,
    master: &HashMap<String, String>,
    asked: Moment,
) -> Result<Answer, Fault> {
    let nonsense = |what: &str| {
        Fault::not_applied(
            Cause::SentinelsUnreachable,
            format!("answered without a usable {what}"),
        )
    };
    let [host, port] = address.ok_or_else(|| unknown_name(name))? else {
        return Err(nonsense("address"));
    };
    let port: u16 = port.parse().map_err(|_| nonsense("port"))?;
    if host.is_empty() || port == 0 {
        return Err(nonsense("address"));
    }
    let epoch = master
        .get("config-epoch")
        .and_then(|epoch| epoch.parse().ok())
        .ok_or_else(|| nonsense("config epoch"))?;
    let field = |name: &str| master.get(name).map_or("", String::as_str);
    let described = field("ip") == host && field("port") == port.to_string();
    let flags = field("flags");
    Ok(Answer {
        id: id.clone(),
        master: Master {
            endpoint: Endpoint {
                host: host.clone(),
                port,
            },
            epoch,
        },
        flags: read_flags(flags),
        described,
        sentinels: field("num-other-sentinels")
            .parse()
            .unwrap_or(0_usize)
            .saturating_add(1),
        replicas: field("num-slaves").parse().unwrap_or(0),
        rules: read_rules(&field),
        run_id: Some(field("runid"))
            .filter(|id| !id.is_empty())
            .map(Arc::from),
        aside: Aside::default(),
        asked,
    })
}

/// The fault of a name that a Sentinel does not monitor.
pub fn unknown_name(name: &str) -> Fault {
    Fault::not_applied(
        Cause::MasterNameUnknown,
        format!("does not monitor a master called {name:?}; check sentinel.master_name"),
    )
}

fn read_rules<'a>(field: &impl Fn(&str) -> &'a str) -> Option<WatchRules> {
    let time = |name: &str| field(name).parse().ok().map(Duration::from_millis);
    Some(WatchRules {
        down_after: time("down-after-milliseconds")?,
        failover_timeout: time("failover-timeout")?,
        quorum: field("quorum").parse().ok()?,
    })
}

fn read_flags(text: &str) -> Flags {
    let mut flags = Flags::default();
    for flag in text.split(',') {
        match flag {
            "s_down" => flags.s_down = true,
            "o_down" => flags.o_down = true,
            "failover_in_progress" => flags.failover = true,
            _ => {}
        }
    }
    flags
}

/// Whether an event concerns the master of that name.
///
/// Payloads have two shapes: `<name> <old ip> <old port> <new ip> <new port>` for `+switch-master`, and
/// `<type> <instance> <ip> <port> [@ <master> <ip> <port>]` for the others, where a master is its own subject. TILT is a
/// state of the Sentinel itself (`#tilt mode entered`) and concerns every master; that a replica or another Sentinel is
/// `sdown` concerns none.
pub fn concerns(channel: &str, payload: &str, name: &str) -> bool {
    let mut words = payload.split(' ');
    match channel {
        "+tilt" | "-tilt" => return true,
        "+switch-master" => return words.next() == Some(name),
        "+sdown" | "-sdown" => {
            return words.next() == Some("master") && words.next() == Some(name);
        }
        _ => {}
    }
    if let Some((_, master)) = payload.split_once(" @ ") {
        return master.split(' ').next() == Some(name);
    }
    words.next() == Some("master") && words.next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_address_comes_from_the_first_reply_and_the_epoch_from_the_second() {
        // As the leader of a failover answers between promotion and `+switch-master`.
        let answer = read_answer(
            &"id".into(),
            "mymaster",
            Some(&["10.0.0.2".into(), "6380".into()]),
            &fields(&[
                ("ip", "10.0.0.1"),
                ("port", "6379"),
                ("config-epoch", "7"),
                ("runid", "0123abcd"),
                ("flags", "master,s_down,o_down,failover_in_progress"),
            ]),
            Moment::START,
        )
        .expect("a whole answer");
        // The flags are those of the old master: nothing follows for the new one.
        assert!(!answer.described && answer.dispute(&answer.master).is_none());
        assert_eq!(answer.master.endpoint.to_string(), "10.0.0.2:6380");
        assert_eq!(answer.master.epoch, 7);
        assert_eq!(answer.run_id.as_deref(), Some("0123abcd"));
        assert_eq!(
            answer.flags,
            Flags {
                s_down: true,
                o_down: true,
                failover: true
            }
        );
    }

    #[test]
    fn an_answer_without_address_or_epoch_is_no_answer() {
        let whole = fields(&[("config-epoch", "1")]);
        let unknown = read_answer(&"id".into(), "mymaster", None, &whole, Moment::START)
            .expect_err("no such name");
        assert_eq!(unknown.cause, Cause::MasterNameUnknown);
        for (address, master) in [
            (vec!["h".to_owned()], &whole),
            (vec!["h".to_owned(), "p".to_owned()], &whole),
            (vec!["h".to_owned(), "0".to_owned()], &whole),
            (vec![String::new(), "1".to_owned()], &whole),
            (vec!["h".to_owned(), "1".to_owned()], &HashMap::new()),
        ] {
            let fault = read_answer(
                &"id".into(),
                "mymaster",
                Some(&address),
                master,
                Moment::START,
            )
            .expect_err("nonsense");
            assert_eq!(fault.cause, Cause::SentinelsUnreachable);
        }
    }

    #[test]
    fn a_number_that_is_none_panics_nobody() {
        let most = usize::MAX.to_string();
        let address = ["h".to_owned(), "1".to_owned()];
        let fields = fields(&[
            ("config-epoch", "1"),
            ("num-other-sentinels", most.as_str()),
        ]);
        let start = Moment::START;
        let answer = read_answer(&"id".into(), "mymaster", Some(&address), &fields, start);
        assert_eq!(answer.map(|answer| answer.sentinels), Ok(usize::MAX));
    }

    #[test]
    fn events_of_other_masters_are_ignored() {
        for (channel, payload, ours) in [
            ("+switch-master", "mymaster 127.0.0.1 1 127.0.0.1 2", true),
            ("+switch-master", "other 127.0.0.1 1 127.0.0.1 2", false),
            ("+odown", "master mymaster 127.0.0.1 1 #quorum 2/2", true),
            ("+odown", "master mymaster2 127.0.0.1 1", false),
            (
                "+promoted-slave",
                "slave 127.0.0.1:2 127.0.0.1 2 @ mymaster 127.0.0.1 1",
                true,
            ),
            (
                "+promoted-slave",
                "slave 127.0.0.1:2 127.0.0.1 2 @ other 127.0.0.1 1",
                false,
            ),
            (
                "+sdown",
                "slave mymaster 127.0.0.1 2 @ other 127.0.0.1 1",
                false,
            ),
            (
                "-sdown",
                "slave 127.0.0.1:2 127.0.0.1 2 @ mymaster 127.0.0.1 1",
                false,
            ),
            ("+sdown", "master mymaster 127.0.0.1 1", true),
            ("-sdown", "master other 127.0.0.1 1", false),
            ("+tilt", "#tilt mode entered", true),
            ("+try-failover", "master mymaster 127.0.0.1 1", true),
            ("+elected-leader", "master other 127.0.0.1 1", false),
        ] {
            assert_eq!(
                concerns(channel, payload, "mymaster"),
                ours,
                "{channel} {payload}"
            );
        }
    }
}
