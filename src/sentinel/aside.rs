//! What a Sentinel tells besides who is master: whether it is in TILT, which other Sentinels it knows, which replicas.
//!
//! Asked less often than who is master, because none of it changes an election at once.
//!
//! Invariants: an entry without an id or a usable address is left out, since it can neither be counted nor dialled; at
//! most [`MOST`] entries of a list are taken.
//!
//! Not here: asking (`watcher`), and what follows from it (`topology`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Endpoint;

/// The most entries that are taken of a list: twice the Sentinels, and more replicas than a master can feed.
pub const MOST: usize = 64;

/// Another Sentinel that one of them knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its run id.
    pub id: Arc<str>,
    /// Where it listens, as it announces itself.
    pub endpoint: Endpoint,
    /// Whether the one that names it cannot reach it.
    pub down: bool,
}

/// What a Sentinel tells less often than who is master.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    /// Whether it noticed a jump of its clock, and does nothing for thirty seconds: see `read_tilt`.
    pub tilt: bool,
    /// The other Sentinels of the master.
    pub others: Arc<[Known]>,
    /// `replica-priority` of each replica that it can reach.
    pub priorities: Arc<[u32]>,
}

/// A reply of a list of instances, one map each.
pub type Instances = Vec<HashMap<String, String>>;

/// Reads `INFO sentinel`.
///
/// In TILT a Sentinel marks nobody as down and starts no failover, but it goes on learning from the others: the config
/// epoch that it tells is still one that was reached, and it still never falls. So its answer names a master as any
/// other does; only that it does *not* find the master down is no evidence.
pub fn read_tilt(info: &str) -> bool {
    info.lines().any(|line| line.trim() == "sentinel_tilt:1")
}

/// Reads `SENTINEL SENTINELS`.
pub fn read_others(instances: &Instances) -> Arc<[Known]> {
    let known = instances.iter().filter_map(|instance| {
        let id = field(instance, "runid");
        let endpoint = Endpoint {
            host: field(instance, "ip").to_owned(),
            port: field(instance, "port").parse().ok()?,
        };
        let usable = !id.is_empty() && !endpoint.host.is_empty() && endpoint.port != 0;
        usable.then(|| Known {
            id: id.into(),
            endpoint,
            down: is_down(instance),
        })
    });
    known.take(MOST).collect()
}

/// Reads `SENTINEL REPLICAS`.
pub fn read_priorities(instances: &Instances) -> Arc<[u32]> {
    let priorities = instances
        .iter()
        .filter(|instance| !is_down(instance))
        .filter_map(|instance| field(instance, "slave-priority").parse().ok());
    priorities.take(MOST).collect()
}

fn field<'a>(instance: &'a HashMap<String, String>, name: &str) -> &'a str {
    instance.get(name).map_or("", String::as_str)
}

fn is_down(instance: &HashMap<String, String>) -> bool {
    let mut flags = field(instance, "flags").split(',');
    flags.any(|flag| matches!(flag, "s_down" | "disconnected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(text: &str) -> HashMap<String, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn others_need_an_id_and_an_address() {
        let instances = [
            "runid=a ip=10.0.0.1 port=26379 flags=sentinel",
            "runid=b ip=::1 port=1 flags=s_down,sentinel,disconnected",
            "runid= ip=10.0.0.3 port=26379 flags=sentinel",
            "runid=d ip= port=26379 flags=sentinel",
            "runid=e ip=10.0.0.5 port=0 flags=sentinel",
            "flags=sentinel",
        ];
        let others = read_others(&instances.map(instance).into());
        let shown: Vec<String> = others
            .iter()
            .map(|known| format!("{} {} {}", known.id, known.endpoint, known.down))
            .collect();
        assert_eq!(shown, ["a 10.0.0.1:26379 false", "b [::1]:1 true"]);
    }

    #[test]
    fn a_list_has_a_bound() {
        let many: Instances = (1..200)
            .map(|port| instance(&format!("runid=r{port} ip=h port={port} slave-priority=1")))
            .collect();
        assert_eq!(read_others(&many).len(), MOST);
        assert_eq!(read_priorities(&many).len(), MOST);
    }

    #[test]
    fn priorities_are_those_of_replicas_that_can_be_reached() {
        let replicas = [
            "flags=slave slave-priority=100",
            "flags=s_down,slave slave-priority=7",
            "flags=slave slave-priority=0",
            "flags=slave",
        ];
        let priorities = read_priorities(&replicas.map(instance).into());
        assert_eq!(*priorities, [100, 0]);
    }

    #[test]
    fn tilt_is_a_line_of_info() {
        assert!(read_tilt("# Sentinel\r\nsentinel_tilt:1\r\nx:1\r\n"));
        assert!(!read_tilt("# Sentinel\r\nsentinel_tilt:0\r\n"));
        assert!(!read_tilt(""));
    }
}
