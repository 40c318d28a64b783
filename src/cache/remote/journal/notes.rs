//! What was written lately, by value.
//!
//! Invariants: bounded; what no longer fits is remembered by the name of its cache. The last write to an entry is the
//! one that counts.
//!
//! Not here: clocks, and comparing (`journal`).

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{CacheId, GroupName, History, Moment, Place, Version};

/// How long a write is remembered, at least; at most twice that.
const KEPT: Duration = Duration::from_secs(30);

/// Most writes remembered at a time, in each of two halves; about 200 bytes each, and their keys.
const NOTES: usize = 32_768;

/// Most groups whose flush is remembered, in each half.
const FLUSHES: usize = 8_192;

/// Most bytes of keys, in each half.
const KEY_BYTES: usize = 8 << 20;

/// What was written to an entry.
#[derive(Debug, Clone)]
pub(in super::super) enum Wrote {
    /// A value of that version.
    Value(Version),
    /// Nothing is left; made as the version of a write at that time would have been.
    Removal(Version),
}

#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) cache: CacheId,
    pub(super) wrote: Wrote,
    pub(super) framed: bool,
    /// Where in the history it is.
    pub(super) place: Place,
    pub(super) acknowledged: bool,
    pub(super) number: u64,
    /// Of the first write to the entry that this half has a note of: an earlier one may be missing with a later one.
    pub(super) first: Moment,
}

/// The flush of a group of a cache.
pub(super) type Flush = (CacheId, GroupName, Clear);

/// The clear of a cache, or the flush of a group.
#[derive(Debug, Clone)]
pub(super) struct Clear {
    /// The new stamp; `None` in raw caches, and where single writes have been forgotten.
    pub(super) stamp: Option<Bytes>,
    pub(super) framed: bool,
    pub(super) place: Place,
    pub(super) acknowledged: bool,
    pub(super) number: u64,
    /// As in [`Note`].
    pub(super) first: Moment,
}

#[derive(Debug, Default)]
struct Half {
    entries: HashMap<Bytes, Note>,
    key_bytes: usize,
    clears: HashMap<CacheId, Clear>,
    flushes: HashMap<(CacheId, GroupName), Clear>,
}

#[derive(Debug, Default)]
pub(super) struct Halves {
    current: Half,
    before: Half,
    since: Option<Moment>,
    /// Notes made so far: each has its number.
    pub(super) count: u64,
}

impl Halves {
    /// The half to write to, which was begun no longer ago than [`KEPT`].
    fn half(&mut self, now: Moment) -> &mut Half {
        let since = *self.since.get_or_insert(now);
        if now.since(since) >= KEPT {
            self.before = std::mem::take(&mut self.current);
            self.since = Some(now);
            // Nothing was written for long enough to forget both.
            if now.since(since) >= KEPT * 2 {
                self.before = Half::default();
            }
        }
        &mut self.current
    }

    pub(super) fn note(&mut self, entry: &Bytes, mut note: Note, now: Moment) {
        self.count += 1;
        note.number = self.count;
        let half = self.half(now);
        let known = half.entries.get(entry).map(|known| known.first);
        note.first = known.unwrap_or(now);
        let new = known.is_none();
        if new && (half.entries.len() >= NOTES || half.key_bytes + entry.len() > KEY_BYTES) {
            half.clear(
                note.cache,
                Clear {
                    stamp: None,
                    framed: note.framed,
                    place: note.place,
                    acknowledged: note.acknowledged,
                    number: note.number,
                    first: now,
                },
            );
            return;
        }
        if new {
            half.key_bytes += entry.len();
        }
        half.entries.insert(entry.clone(), note);
    }

    /// Forgets what was written to an entry before it was counted there. A later write is not forgotten: the answers
    /// to calls at one time come in any order.
    pub(super) fn counted(&mut self, entry: &Bytes, counted: Place) {
        for half in [&mut self.current, &mut self.before] {
            let later = |note: &Note| {
                note.place.history == counted.history
                    && note
                        .place
                        .offset
                        .zip(counted.offset)
                        .is_some_and(|(a, b)| a > b)
            };
            if half.entries.get(entry).is_some_and(|note| !later(note)) {
                half.entries.remove(entry);
                half.key_bytes -= entry.len();
            }
        }
    }

    pub(super) fn clear(&mut self, cache: &CacheId, mut clear: Clear, now: Moment) {
        self.count += 1;
        clear.number = self.count;
        clear.first = now;
        self.half(now).clear(cache.clone(), clear);
    }

    /// Groups that no longer fit are remembered by their cache, which is then cleared as a whole.
    pub(super) fn flush(
        &mut self,
        cache: &CacheId,
        group: &GroupName,
        mut flush: Clear,
        now: Moment,
    ) {
        self.count += 1;
        flush.number = self.count;
        let half = self.half(now);
        let name = (cache.clone(), group.clone());
        flush.first = half.flushes.get(&name).map_or(now, |known| known.first);
        if half.flushes.len() >= FLUSHES && !half.flushes.contains_key(&name) {
            flush.stamp = None;
            half.clear(name.0, flush);
            return;
        }
        half.flushes.insert(name, flush);
    }

    /// The latest notes about what that node does not provably have.
    pub(super) fn unproven(&mut self, history: &History, now: Moment) -> Unproven {
        self.half(now);
        let mut found = Unproven {
            count: self.count,
            ..Unproven::default()
        };
        for (entry, note) in &self.current.entries {
            if history.may_miss(note.place) {
                found.entries.push((entry.clone(), note.clone()));
            }
        }
        for (entry, note) in &self.before.entries {
            if history.may_miss(note.place) && !self.current.entries.contains_key(entry) {
                found.entries.push((entry.clone(), note.clone()));
            }
        }
        for (cache, clear) in &self.current.clears {
            if history.may_miss(clear.place) {
                found.clears.push((cache.clone(), clear.clone()));
            }
        }
        for (cache, clear) in &self.before.clears {
            if history.may_miss(clear.place) && !self.current.clears.contains_key(cache) {
                found.clears.push((cache.clone(), clear.clone()));
            }
        }
        found.flushes = self.unproven_flushes(history);
        found
    }

    /// Sorted by cache.
    fn unproven_flushes(&self, history: &History) -> Vec<Flush> {
        let (current, before) = (&self.current.flushes, &self.before.flushes);
        let superseded = before
            .iter()
            .filter(|(name, _)| !current.contains_key(*name));
        let mut flushes: Vec<Flush> = current
            .iter()
            .chain(superseded)
            .filter(|(_, flush)| history.may_miss(flush.place))
            .map(|((cache, group), flush)| (cache.clone(), group.clone(), flush.clone()))
            .collect();
        flushes.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        flushes
    }
}

impl Halves {
    /// A node of this history, compared up to that offset, has everything now, or what is right instead: its own history
    /// is what the next node is asked about. What it inherited is at the same offsets there. What was noted later than
    /// `last` was not compared.
    pub(super) fn reconciled(&mut self, history: &History, offset: u64, last: u64) {
        let settle = |place: &mut Place, number: u64| {
            if number <= last && place.history != history.id {
                let inherited = place.offset.filter(|_| !history.may_miss(*place));
                *place = Place {
                    history: history.id,
                    offset: Some(inherited.unwrap_or(offset)),
                };
            }
        };
        for half in [&mut self.current, &mut self.before] {
            half.entries
                .values_mut()
                .for_each(|note| settle(&mut note.place, note.number));
            half.clears
                .values_mut()
                .chain(half.flushes.values_mut())
                .for_each(|clear| settle(&mut clear.place, clear.number));
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Unproven {
    pub(super) entries: Vec<(Bytes, Note)>,
    pub(super) clears: Vec<(CacheId, Clear)>,
    pub(super) flushes: Vec<Flush>,
    /// The number of the last note that was looked at.
    pub(super) count: u64,
}

impl Half {
    fn clear(&mut self, cache: CacheId, mut clear: Clear) {
        if let Some(known) = self.clears.get(&cache) {
            clear.first = known.first;
        }
        self.clears.insert(cache, clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CacheName, HistoryId, Tenant};

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn cache() -> CacheId {
        CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("a name"),
        }
    }

    fn place(history: &str, offset: Option<u64>) -> Place {
        Place {
            history: HistoryId::new(history),
            offset,
        }
    }

    fn promoted(id: &str, from: &str, offset: u64) -> History {
        History {
            id: HistoryId::new(id),
            before: Some(crate::model::Point {
                history: HistoryId::new(from),
                offset,
            }),
        }
    }

    fn noted(halves: &mut Halves, key: &str, place: Place, now: Moment) {
        let note = Note {
            cache: cache(),
            wrote: Wrote::Value(Version::unique(1, 1, 1)),
            framed: true,
            acknowledged: place.offset.is_some(),
            place,
            number: 0,
            first: Moment::START,
        };
        halves.note(&Bytes::copy_from_slice(key.as_bytes()), note, now);
    }

    fn missed(halves: &mut Halves, history: &History, now: Moment) -> Vec<String> {
        let unproven = halves.unproven(history, now);
        let mut keys: Vec<String> = unproven
            .entries
            .iter()
            .map(|(entry, _)| String::from_utf8_lossy(entry).into_owned())
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn only_what_a_node_may_miss_is_looked_for_there() {
        let mut halves = Halves::default();
        noted(&mut halves, "kept", place("a", Some(10)), at(1));
        noted(&mut halves, "lost", place("a", Some(30)), at(1));
        noted(&mut halves, "doubt", place("a", None), at(1));
        let b = promoted("b", "a", 20);
        assert_eq!(missed(&mut halves, &b, at(2)), ["doubt", "lost"]);
        // Everything so far was compared with b up to its offset 50; what was given up meanwhile was not.
        noted(&mut halves, "late", place("a", None), at(2));
        halves.reconciled(&b, 50, 3);
        assert_eq!(missed(&mut halves, &b, at(2)), ["late"]);
        halves.reconciled(&b, 50, 4);
        assert_eq!(missed(&mut halves, &b, at(2)), [""; 0]);
        // c has all of that; d was promoted with less of b.
        assert_eq!(missed(&mut halves, &promoted("c", "b", 50), at(2)), [""; 0]);
        assert_eq!(
            missed(&mut halves, &promoted("d", "b", 15), at(2)),
            ["doubt", "late", "lost"]
        );
        // e comes from a itself, past b.
        assert_eq!(
            missed(&mut halves, &promoted("e", "a", 100), at(2)),
            ["doubt", "kept", "late", "lost"]
        );
    }

    #[test]
    fn the_last_write_to_a_key_counts_and_old_ones_are_forgotten() {
        let mut halves = Halves::default();
        noted(&mut halves, "k", place("a", Some(10)), at(1));
        noted(&mut halves, "k", place("a", Some(30)), at(40));
        let b = promoted("b", "a", 20);
        assert_eq!(missed(&mut halves, &b, at(41)), ["k"]);
        assert_eq!(missed(&mut halves, &b, at(71)), ["k"]);
        assert_eq!(missed(&mut halves, &b, at(140)), [""; 0]);
    }

    #[test]
    fn what_was_counted_later_is_not_looked_for() {
        let mut halves = Halves::default();
        let entry = Bytes::from_static(b"k");
        let b = promoted("b", "a", 0);
        // In both halves.
        noted(&mut halves, "k", place("a", Some(10)), at(1));
        noted(&mut halves, "k", place("a", Some(30)), at(40));
        // Answered late.
        halves.counted(&entry, place("a", Some(20)));
        assert_eq!(missed(&mut halves, &b, at(41)), ["k"]);
        halves.counted(&entry, place("a", Some(40)));
        assert_eq!(missed(&mut halves, &b, at(41)), [""; 0]);
        assert_eq!(halves.current.key_bytes, 0);
    }

    #[test]
    fn what_does_not_fit_is_remembered_by_its_cache() {
        let mut halves = Halves::default();
        for number in 0..=NOTES {
            noted(
                &mut halves,
                &number.to_string(),
                place("a", Some(30)),
                at(1),
            );
        }
        let unproven = halves.unproven(&promoted("b", "a", 20), at(2));
        assert_eq!(unproven.entries.len(), NOTES);
        assert_eq!(unproven.clears.len(), 1);
    }

    fn flushed(halves: &mut Halves, group: &str, stamp: &'static str, place: Place, now: Moment) {
        let flush = Clear {
            stamp: Some(Bytes::from_static(stamp.as_bytes())),
            framed: true,
            acknowledged: place.offset.is_some(),
            place,
            number: 0,
            first: Moment::START,
        };
        let group = GroupName::new(group).expect("a group");
        halves.flush(&cache(), &group, flush, now);
    }

    #[test]
    fn the_last_flush_of_a_group_is_looked_for_where_it_may_be_missing() {
        let mut halves = Halves::default();
        flushed(&mut halves, "kept", "1", place("a", Some(10)), at(1));
        flushed(&mut halves, "lost", "2", place("a", Some(30)), at(1));
        flushed(&mut halves, "lost", "3", place("a", Some(40)), at(40));
        let b = promoted("b", "a", 20);
        let missed = |halves: &mut Halves, now| {
            let flushes = halves.unproven(&b, now).flushes;
            let shown = |(_, group, flush): &Flush| (group.to_string(), flush.stamp.clone());
            flushes.iter().map(shown).collect::<Vec<_>>()
        };
        let last = (String::from("lost"), Some(Bytes::from_static(b"3")));
        assert_eq!(missed(&mut halves, at(41)), [last]);
        halves.reconciled(&b, 50, 3);
        assert_eq!(missed(&mut halves, at(41)), []);
    }

    #[test]
    fn groups_that_do_not_fit_are_remembered_by_their_cache() {
        let mut halves = Halves::default();
        for number in 0..=FLUSHES {
            let group = number.to_string();
            flushed(&mut halves, &group, "1", place("a", Some(30)), at(1));
        }
        let unproven = halves.unproven(&promoted("b", "a", 20), at(2));
        assert_eq!(unproven.flushes.len(), FLUSHES);
        assert_eq!(unproven.clears.len(), 1);
        assert!(unproven.clears[0].1.stamp.is_none());
    }
}
