//! What a piece of a log tells somebody who knows it up to a point.
//!
//! Invariants: entries are told in the order of the log, all of them; before one whose predecessor is not the one told
//! last there is a Gap, and after a change of history there is one in any case. `events` has the argument.
//!
//! Not here: where the piece comes from (`reader`).

use bytes::Bytes;

use crate::model::HistoryId;

use super::point::{EntryId, Mark, Point};

/// A message in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    /// The mark of the message before it; `None` for the first one of a log.
    pub(super) before: Option<Mark>,
    pub(super) payload: Bytes,
}

/// A piece of a log, in order, as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// Of the node that was read.
    pub(super) history: HistoryId,
    pub(super) entries: Vec<Entry>,
}

/// Why messages may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The log no longer has what came next.
    Forgotten,
    /// The master was replaced or restarted: what was published shortly before may be lost.
    HistoryChanged,
}

impl Gap {
    /// Every reason, in order, for registering metrics.
    pub(super) const ALL: [Self; 2] = [Self::Forgotten, Self::HistoryChanged];

    /// The label.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::HistoryChanged => "history_changed",
        }
    }
}

/// What is told next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Gap(Gap),
    Message(Entry),
}

/// What a page that begins at the point tells; `None` if the message at the point is not there.
pub(super) fn after(point: &Point, mut page: Page) -> Option<Vec<Told>> {
    if let Some(at) = point.at {
        let found = page.entries.first().is_some_and(|first| first.id == at);
        if !found {
            return None;
        }
        page.entries.remove(0);
    }
    Some(tell(point, page))
}

/// What a page that begins where the log does tells somebody whose point is not in the log.
pub(super) fn anew(point: &Point, page: Page) -> Vec<Told> {
    let nothing_left = page.entries.is_empty() && point.at.is_some();
    let told = tell(point, page);
    if told.is_empty() && nothing_left {
        return vec![Told::Gap(Gap::Forgotten)];
    }
    told
}

fn tell(point: &Point, page: Page) -> Vec<Told> {
    let mut told = Vec::with_capacity(page.entries.len() + 1);
    let mut warned = page.history != point.history;
    if warned {
        told.push(Told::Gap(Gap::HistoryChanged));
    }
    let mut last = point.at.map(|at| at.mark);
    for entry in page.entries {
        if entry.before != last && !warned {
            told.push(Told::Gap(Gap::Forgotten));
        }
        warned = false;
        last = Some(entry.id.mark);
        told.push(Told::Message(entry));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGOTTEN: Told = Told::Gap(Gap::Forgotten);
    const CHANGED: Told = Told::Gap(Gap::HistoryChanged);

    fn mark(number: u8) -> Mark {
        Mark([number; 8])
    }

    /// The message of that mark, after the one of the mark below it.
    fn entry(number: u8) -> Entry {
        Entry {
            id: EntryId {
                ms: u64::from(number),
                number: 0,
                mark: mark(number),
            },
            before: number.checked_sub(2).map(|before| mark(before + 1)),
            payload: Bytes::new(),
        }
    }

    fn page(history: &str, entries: &[Entry]) -> Page {
        Page {
            history: HistoryId::new(history),
            entries: entries.to_vec(),
        }
    }

    fn point(number: Option<u8>) -> Point {
        Point {
            history: HistoryId::new("a"),
            at: number.map(|number| entry(number).id),
        }
    }

    fn told(number: u8) -> Told {
        Told::Message(entry(number))
    }

    #[test]
    fn what_follows_the_point_is_told_without_a_gap() {
        let whole = page("a", &[entry(1), entry(2), entry(3)]);
        let all = Some(vec![told(1), told(2), told(3)]);
        assert_eq!(after(&point(None), whole.clone()), all);
        let rest = Some(vec![told(2), told(3)]);
        assert_eq!(after(&point(Some(1)), whole), rest);
        let nothing = page("a", &[entry(3)]);
        assert_eq!(after(&point(Some(3)), nothing), Some(vec![]));
    }

    #[test]
    fn the_point_itself_may_be_forgotten_but_nothing_after_it() {
        let trimmed = page("a", &[entry(4), entry(5)]);
        assert_eq!(after(&point(Some(3)), trimmed.clone()), None);
        assert_eq!(anew(&point(Some(3)), trimmed.clone()), [told(4), told(5)]);
        let missed = [FORGOTTEN, told(4), told(5)];
        assert_eq!(anew(&point(Some(2)), trimmed.clone()), missed);
        assert_eq!(after(&point(None), trimmed), Some(missed.to_vec()));
        assert_eq!(anew(&point(Some(2)), page("a", &[])), [FORGOTTEN]);
        assert_eq!(after(&point(None), page("a", &[])), Some(vec![]));
    }

    #[test]
    fn a_message_that_was_removed_from_the_middle_is_a_gap() {
        let holed = page("a", &[entry(1), entry(2), entry(4)]);
        let wanted = Some(vec![told(2), FORGOTTEN, told(4)]);
        assert_eq!(after(&point(Some(1)), holed), wanted);
    }

    #[test]
    fn another_history_is_a_gap_even_where_nothing_seems_missing() {
        let kept = page("b", &[entry(2), entry(3)]);
        assert_eq!(after(&point(Some(2)), kept), Some(vec![CHANGED, told(3)]));
        let quiet = page("b", &[entry(2)]);
        assert_eq!(after(&point(Some(2)), quiet), Some(vec![CHANGED]));
        assert_eq!(anew(&point(Some(2)), page("b", &[])), [CHANGED]);
        // One gap says it all.
        let shorter = page("b", &[entry(3)]);
        assert_eq!(anew(&point(Some(1)), shorter), [CHANGED, told(3)]);
    }

    #[test]
    fn an_id_that_comes_again_is_another_message() {
        let mut again = entry(1);
        again.id.mark = mark(200);
        let log = page("a", &[again.clone()]);
        assert_eq!(after(&point(Some(1)), log.clone()), None);
        assert_eq!(
            anew(&point(Some(1)), log),
            [FORGOTTEN, Told::Message(again)]
        );
    }
}
