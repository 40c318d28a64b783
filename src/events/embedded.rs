//! Logs in the memory of this process, by the rules of those in Redis.
//!
//! Invariants: one lock, held for one step at a time; bounded by messages for each channel, and by channels, operations
//! and bytes for all. What exceeds the bytes goes where nothing was published for longest.
//!
//! Not here: nothing survives the process, and nothing is shared with another one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::config::EventsConfig;
use crate::failover::REMEMBERED;
use crate::invalidation::{Bell, Listener};
use crate::model::{ChannelId, HistoryId};

use super::chain::{Entry, Page};
use super::log::Publication;
use super::point::{EntryId, Mark, Point};
use super::remote::log_key;

/// The most channels with messages.
const CHANNELS: usize = 1024;

/// The most that all messages weigh, in bytes.
const BYTES: usize = 64 << 20;

/// What a message weighs beyond its payload.
const OVERHEAD: usize = 128;

/// The most operations that are remembered.
const OPERATIONS: usize = 65_536;

/// Logs in memory.
#[derive(Debug)]
pub struct EmbeddedLog {
    state: Mutex<State>,
    bell: Arc<Bell>,
    config: EventsConfig,
    history: HistoryId,
}

#[derive(Debug, Default)]
struct State {
    logs: HashMap<ChannelId, Kept>,
    weight: usize,
    operations: HashMap<(ChannelId, Bytes), EntryId>,
    /// The same, oldest first.
    remembered: VecDeque<(Instant, (ChannelId, Bytes))>,
}

#[derive(Debug)]
struct Kept {
    entries: VecDeque<Entry>,
    appended: Instant,
}

impl EmbeddedLog {
    /// Without messages; rings that bell.
    pub fn new(bell: Arc<Bell>, config: EventsConfig) -> Self {
        Self {
            state: Mutex::default(),
            bell,
            config,
            history: HistoryId::new(&format!("{:032x}", rand::random::<u128>())),
        }
    }

    pub(super) fn key(&self, channel: &ChannelId) -> Bytes {
        log_key("", channel)
    }

    pub(super) fn append(&self, channel: &ChannelId, publication: &Publication) -> Point {
        let now = Instant::now();
        let at = {
            let mut state = self.state.lock();
            state.forget(now, self.config.idle);
            let operation = (channel.clone(), publication.operation_id.clone());
            let done = state.operations.get(&operation).copied();
            done.unwrap_or_else(|| {
                let payload = publication.payload.clone();
                let at = state.append(channel, payload, self.config.log, now);
                if !operation.1.is_empty() {
                    state.remember(operation, at, now);
                }
                at
            })
        };
        self.bell.changed(&self.key(channel));
        Point {
            history: self.history,
            at: Some(at),
        }
    }

    pub(super) fn from(&self, channel: &ChannelId, at: Option<EntryId>, most: usize) -> Page {
        let earlier = |entry: &Entry| at.is_some_and(|at| entry.id.place() < at.place());
        self.page(channel, |entries| {
            let skip = entries.partition_point(earlier);
            entries.iter().skip(skip).take(most).cloned().collect()
        })
    }

    pub(super) fn newest(&self, channel: &ChannelId, most: usize) -> Page {
        self.page(channel, |entries| {
            let skip = entries.len().saturating_sub(most);
            entries.iter().skip(skip).cloned().collect()
        })
    }

    fn page(&self, channel: &ChannelId, take: impl FnOnce(&VecDeque<Entry>) -> Vec<Entry>) -> Page {
        let mut state = self.state.lock();
        state.forget(Instant::now(), self.config.idle);
        let entries = state.logs.get(channel).map(|kept| take(&kept.entries));
        Page {
            history: self.history,
            entries: entries.unwrap_or_default(),
        }
    }
}

impl State {
    fn append(
        &mut self,
        channel: &ChannelId,
        payload: Bytes,
        most: usize,
        now: Instant,
    ) -> EntryId {
        let kept = self.logs.entry(channel.clone()).or_insert_with(|| Kept {
            entries: VecDeque::new(),
            appended: now,
        });
        kept.appended = now;
        let last = kept.entries.back().map(|entry| entry.id);
        let id = next_id(last);
        // What came in a message would keep all of it in memory.
        let payload = Bytes::copy_from_slice(&payload);
        self.weight += payload.len() + OVERHEAD;
        kept.entries.push_back(Entry {
            id,
            before: last.map(|last| last.mark),
            payload,
        });
        while kept.entries.len() > most {
            self.weight -= kept.entries.pop_front().map_or(0, |entry| weight(&entry));
        }
        while self.weight > BYTES || self.logs.len() > CHANNELS {
            let by_age = self.logs.iter().min_by_key(|(_, kept)| kept.appended);
            let Some(oldest) = by_age.map(|(channel, _)| channel.clone()) else {
                break;
            };
            if oldest != *channel {
                self.remove(&oldest);
            } else if let Some(kept) = self.logs.get_mut(channel) {
                self.weight -= kept.entries.pop_front().map_or(0, |entry| weight(&entry));
            }
        }
        id
    }

    fn remember(&mut self, operation: (ChannelId, Bytes), at: EntryId, now: Instant) {
        let operation = (operation.0, Bytes::copy_from_slice(&operation.1));
        self.operations.insert(operation.clone(), at);
        self.remembered.push_back((now, operation));
        if self.remembered.len() > OPERATIONS {
            self.forget_oldest();
        }
    }

    fn forget(&mut self, now: Instant, idle: Duration) {
        let old = |appended: Instant, most| now.saturating_duration_since(appended) > most;
        while (self.remembered.front()).is_some_and(|(since, _)| old(*since, REMEMBERED)) {
            self.forget_oldest();
        }
        let idle = |(channel, kept): (&ChannelId, &Kept)| {
            old(kept.appended, idle).then(|| channel.clone())
        };
        let idle: Vec<ChannelId> = self.logs.iter().filter_map(idle).collect();
        for channel in idle {
            self.remove(&channel);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, operation)) = self.remembered.pop_front() {
            self.operations.remove(&operation);
        }
    }

    fn remove(&mut self, channel: &ChannelId) {
        if let Some(kept) = self.logs.remove(channel) {
            self.weight -= kept.entries.iter().map(weight).sum::<usize>();
        }
    }
}

fn weight(entry: &Entry) -> usize {
    entry.payload.len() + OVERHEAD
}

/// Never below the last one, whatever the clock does.
fn next_id(last: Option<EntryId>) -> EntryId {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let (ms, number) = match last {
        Some(last) if last.ms >= now => (last.ms, last.number + 1),
        _ => (now, 0),
    };
    EntryId {
        ms,
        number,
        mark: Mark::random(),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{ChannelName, Tenant};

    use super::*;

    fn channel(name: &str) -> ChannelId {
        ChannelId {
            tenant: Tenant::primary(),
            name: ChannelName::new(name).expect("name"),
        }
    }

    fn log(most: usize) -> EmbeddedLog {
        let config = EventsConfig {
            message: 1 << 20,
            log: most,
            idle: Duration::from_secs(60),
        };
        EmbeddedLog::new(Arc::default(), config)
    }

    fn publish(log: &EmbeddedLog, name: &str, payload: Bytes, id: &'static str) -> Point {
        let publication = Publication {
            payload,
            operation_id: Bytes::from_static(id.as_bytes()),
        };
        log.append(&channel(name), &publication)
    }

    #[test]
    fn messages_are_read_in_their_order_and_name_their_predecessors() {
        let log = log(3);
        let payload = |number: u8| Bytes::from(vec![number]);
        let points: Vec<Point> = (0..5).map(|n| publish(&log, "c", payload(n), "")).collect();
        let page = log.from(&channel("c"), None, 9);
        let read: Vec<u8> = page.entries.iter().map(|entry| entry.payload[0]).collect();
        assert_eq!(read, [2, 3, 4]);
        let marks: Vec<_> = points.iter().map(|p| p.at.map(|at| at.mark)).collect();
        let before: Vec<_> = page.entries.iter().map(|entry| entry.before).collect();
        assert_eq!(before, marks[1..4]);
        let later = log.from(&channel("c"), points[3].at, 1).entries;
        assert_eq!(later, page.entries[1..2]);
        assert_eq!(log.newest(&channel("c"), 2).entries, page.entries[1..]);
        assert_eq!(log.from(&channel("other"), None, 9).entries, []);
    }

    #[test]
    fn an_operation_is_done_once() {
        let log = log(9);
        let first = publish(&log, "c", Bytes::new(), "one");
        assert_eq!(publish(&log, "c", Bytes::new(), "one"), first);
        assert_ne!(publish(&log, "c", Bytes::new(), "two"), first);
        assert_ne!(publish(&log, "d", Bytes::new(), "one"), first);
        assert_eq!(log.newest(&channel("c"), 9).entries.len(), 2);
    }

    #[test]
    fn memory_is_bounded_and_idle_logs_go() {
        let log = log(1000);
        let large = Bytes::from(vec![0; 1 << 20]);
        publish(&log, "idle", large.clone(), "");
        for _ in 0..2 * BYTES / large.len() {
            publish(&log, "c", large.clone(), "");
        }
        let mut state = log.state.lock();
        assert!(state.weight <= BYTES);
        assert!(!state.logs.contains_key(&channel("idle")));
        let kept = state.logs[&channel("c")].entries.len();
        assert!(kept > 1 && kept < 1000, "{kept}");
        let later = Instant::now() + Duration::from_secs(61);
        state.forget(later, log.config.idle);
        assert_eq!((state.logs.len(), state.weight), (0, 0));
    }
}
