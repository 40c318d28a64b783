//! A Redis, as far as the protocol sees it: entries, the stamps of one cache and of one group in it, expiry, tracking in default mode, turns of an event
//! loop.
//!
//! A command executes at once. The pushes that a write causes join the streams at the end of its turn; so does the
//! answer to the writer, unless answers may leave early (Redis 8 with io-threads). Answers to readers leave at once,
//! before the pushes of their turn.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Lineage, Moment};

use super::oracle::Change;
use super::world::{Action, Frame, World};

pub(super) const STAMP: &str = "s";
pub(super) const GROUP: &str = "g";

/// Whether entries of that key are in the group.
pub(super) fn is_member(key: &str) -> bool {
    key.ends_with(['0', '2', '4', '6', '8'])
}

/// What a Sentinel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) node: usize,
    pub(super) epoch: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: u64,
    pub(super) stamp: u8,
    /// The stamp that the group had, if it is in the group.
    pub(super) group: Option<u8>,
    pub(super) expires: Option<Moment>,
}

#[derive(Clone)]
pub(super) struct Data {
    pub(super) entries: BTreeMap<String, Stored>,
    /// `None`: lost, hence every entry is dead.
    pub(super) stamp: Option<u8>,
    /// `None`: lost, hence every member is dead.
    pub(super) group: Option<u8>,
    pub(super) offset: u64,
}

pub(super) struct Node {
    pub(super) data: Data,
    /// As it was some time ago: what a replica had, or what a restart finds on its disk.
    pub(super) older: Data,
    /// The epoch at which it became master.
    epoch: u64,
    pub(super) lineage: u64,
    pub(super) incarnation: u64,
    pub(super) tracked: BTreeMap<usize, BTreeSet<String>>,
    pending: Vec<(usize, Frame)>,
    in_turn: bool,
    next_stamp: u8,
}

impl Node {
    pub(super) fn new(id: usize, lineage: u64) -> Self {
        let data = Data {
            entries: BTreeMap::new(),
            stamp: None,
            group: None,
            offset: 1,
        };
        Self {
            older: data.clone(),
            data,
            epoch: 0,
            lineage,
            incarnation: 0,
            tracked: BTreeMap::new(),
            pending: Vec::new(),
            in_turn: false,
            next_stamp: 1 + 100 * u8::try_from(id).unwrap_or(0),
        }
    }

    pub(super) fn history(&self) -> Lineage {
        Lineage::new(0, &format!("history {}", self.lineage))
    }

    /// The entry, unless its cache was cleared since, and the stamp, both tracked for the connection that reads. Whether
    /// its group was flushed is for the reader to judge.
    pub(super) fn read(
        &mut self,
        key: &str,
        connection: usize,
        now: Moment,
    ) -> (Option<Stored>, Option<u8>) {
        let held = self.held(key, now);
        if let Some(tracked) = self.tracked.get_mut(&connection) {
            tracked.insert(key.to_owned());
            tracked.insert(STAMP.to_owned());
        }
        (held, self.data.stamp)
    }

    /// The stamp of the group, tracked likewise.
    pub(super) fn read_group(&mut self, connection: usize) -> Option<u8> {
        if let Some(tracked) = self.tracked.get_mut(&connection) {
            tracked.insert(GROUP.to_owned());
        }
        self.data.group
    }

    pub(super) fn live(&self, key: &str, now: Moment) -> Option<Stored> {
        self.held(key, now)
            .filter(|entry| entry.group.is_none() || entry.group == self.data.group)
    }

    fn held(&self, key: &str, now: Moment) -> Option<Stored> {
        self.data
            .entries
            .get(key)
            .filter(|entry| Some(entry.stamp) == self.data.stamp)
            .filter(|entry| entry.expires.is_none_or(|at| now < at))
            .cloned()
    }

    fn fresh_stamp(&mut self) -> u8 {
        self.next_stamp = self.next_stamp.wrapping_add(1);
        self.next_stamp
    }
}

impl World {
    /// Executes a change at a node and tells the oracle. `answer` reaches the writer with the turn, or before.
    pub(super) fn change(
        &mut self,
        node: usize,
        change: Change,
        expires: Option<Moment>,
        answer: Option<(usize, Action)>,
    ) -> u64 {
        let at = &mut self.nodes[node];
        at.data.offset += 1;
        let id = self.oracle.executed(change.clone(), at.lineage, expires);
        match &change {
            Change::Put(key) => {
                let stamp = match at.data.stamp {
                    Some(stamp) => stamp,
                    None => {
                        let stamp = at.fresh_stamp();
                        at.data.stamp = Some(stamp);
                        self.touched(node, STAMP);
                        stamp
                    }
                };
                let group = is_member(key).then(|| self.group_stamp(node));
                let stored = Stored {
                    id,
                    stamp,
                    group,
                    expires,
                };
                self.nodes[node].data.entries.insert(key.clone(), stored);
                self.touched(node, &key.clone());
            }
            Change::Remove(key) | Change::Drop(key) => {
                if at.data.entries.remove(key).is_some() {
                    self.touched(node, &key.clone());
                }
            }
            Change::Clear => {
                let stamp = at.fresh_stamp();
                at.data.stamp = Some(stamp);
                self.touched(node, STAMP);
            }
            Change::FlushGroup => {
                at.data.group = Some(at.fresh_stamp());
                self.touched(node, GROUP);
            }
            Change::Flush => {
                at.data.entries.clear();
                at.data.stamp = None;
                at.data.group = None;
                let everybody: Vec<usize> = at.tracked.keys().copied().collect();
                for tracked in at.tracked.values_mut() {
                    tracked.clear();
                }
                for connection in everybody {
                    self.push(node, connection, Frame::Null);
                }
            }
        }
        if let Some((connection, action)) = answer {
            if self.early {
                self.emit(connection, Frame::Reply(action));
            } else {
                self.push(node, connection, Frame::Reply(action));
            }
        }
        id
    }

    /// The stamp of the group; a lost one is made.
    fn group_stamp(&mut self, node: usize) -> u8 {
        let at = &mut self.nodes[node];
        if let Some(stamp) = at.data.group {
            return stamp;
        }
        let stamp = at.fresh_stamp();
        at.data.group = Some(stamp);
        self.touched(node, GROUP);
        stamp
    }

    /// A key changed, or left the tracking table: whoever tracks it is told, once.
    pub(super) fn touched(&mut self, node: usize, key: &str) {
        let tracked = &mut self.nodes[node].tracked;
        let watching: Vec<usize> = tracked
            .iter_mut()
            .filter_map(|(connection, keys)| keys.remove(key).then_some(*connection))
            .collect();
        for connection in watching {
            self.push(node, connection, Frame::Push(vec![key.to_owned()]));
        }
    }

    fn push(&mut self, node: usize, connection: usize, frame: Frame) {
        let at = &mut self.nodes[node];
        at.pending.push((connection, frame));
        if !std::mem::replace(&mut at.in_turn, true) {
            let turn = self.turn;
            let rest = rand::Rng::random_range(&mut self.rng, 0..=turn.as_micros() as u64);
            self.after(std::time::Duration::from_micros(rest), move |world| {
                let at = &mut world.nodes[node];
                at.in_turn = false;
                for (connection, frame) in std::mem::take(&mut at.pending) {
                    world.emit(connection, frame);
                }
            });
        }
    }

    /// Comes back with older data, at the same address and epoch.
    pub(super) fn restart(&mut self, node: usize) {
        let lineage = self.oracle.next_lineage(self.nodes[node].epoch);
        let at = &mut self.nodes[node];
        at.data = at.older.clone();
        at.lineage = lineage;
        at.incarnation += 1;
        at.pending.clear();
        let open: Vec<usize> = at.tracked.keys().copied().collect();
        at.tracked.clear();
        for connection in open {
            self.cut(connection);
        }
    }

    /// Becomes master with what it had received of the old one, which lives on.
    pub(super) fn promote(&mut self, node: usize, from: usize, epoch: u64) {
        let lineage = self.oracle.next_lineage(epoch);
        let complete = rand::Rng::random_bool(&mut self.rng, 0.5);
        let data = if complete {
            self.nodes[from].data.clone()
        } else {
            self.nodes[from].older.clone()
        };
        let at = &mut self.nodes[node];
        at.data = data;
        at.epoch = epoch;
        at.lineage = lineage;
        at.incarnation += 1;
    }
}
