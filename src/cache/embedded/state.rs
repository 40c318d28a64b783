//! The rules of the embedded store, by value: the clock is an argument.
//!
//! Invariants: an entry whose time has come is absent for every operation; versions are made as Redis would have
//! them (unique in framed caches, digests in raw ones); weight never exceeds capacity.
//!
//! Not here: locking, and the clock (`embedded`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use quick_cache::DefaultHashBuilder;
use quick_cache::unsync::Cache;

use crate::config::{CacheRules, Encoding};
use crate::model::{
    CacheId, Cause, Condition, Evidence, Expiry, Fault, Hit, Key, Lookup, PutOutcome, Tenant,
    TtlLookup, Value, Version,
};

use super::super::frame;
use super::super::quota::Allowance;
use super::super::store::{Edited, IfAbsent, Put, too_many_groups};
use super::cleared::Cleared;
use super::deadline::Deadlines;
use super::entries::{ByWeight, Entries, Entry, Evictions, Place, SLOT, weight};
use super::lease::Leases;
use super::load::Register;
use super::operation::Operations;
use super::pending::Pending;

/// An entry may weigh at most this part of the capacity, so that one value cannot empty the store.
const LARGEST_PART: u64 = 2;

/// Keys that were evicted lately, by which one that comes back is known, take at most this part of the capacity: a slot
/// each, which is not weighed.
const REMEMBERED_PART: u64 = 32;

/// How many caches are remembered for listing. Further ones work but are not listed.
const MOST_CACHES: usize = 10_000;

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For expiry.
    pub(super) clock: Instant,
    /// For absolute deadlines and versions.
    pub(super) wall: SystemTime,
}

/// How full the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Entries, expired ones that were not swept yet included.
    pub entries: u64,
    /// Their weight in bytes.
    pub weight: u64,
    /// The weight at which entries are evicted.
    pub capacity: u64,
    /// Entries that left because the store was full.
    pub evictions: u64,
}

/// The entries and the rules about them.
#[derive(Debug)]
pub(super) struct State {
    pub(super) entries: Entries,
    pub(super) cleared: Cleared,
    used: BTreeSet<CacheId>,
    pub(super) rules: CacheRules,
    pub(super) allowance: Arc<Allowance>,
    capacity: u64,
    evictions: Evictions,
    pub(super) operations: Operations<i64>,
    pub(super) edits: Operations<Edited>,
    pub(super) floors: BTreeSet<(CacheId, Key)>,
    pub(super) deadlines: Deadlines,
    pub(super) pending: Pending,
    pub(super) leases: Leases,
    pub(super) loads: Register,
}

impl State {
    pub(super) fn new(capacity: u64, rules: CacheRules) -> Self {
        let evictions = Evictions::default();
        // Half as many keys are remembered as entries are expected; nothing else follows from that number.
        let expected = 2 * (capacity / REMEMBERED_PART / SLOT);
        Self {
            entries: Cache::with(
                usize::try_from(expected).unwrap_or(usize::MAX),
                capacity,
                ByWeight,
                DefaultHashBuilder::default(),
                evictions.clone(),
            ),
            cleared: Cleared::default(),
            used: BTreeSet::new(),
            rules,
            allowance: Arc::default(),
            capacity,
            evictions,
            operations: Operations::default(),
            edits: Operations::default(),
            floors: BTreeSet::new(),
            deadlines: Deadlines::default(),
            pending: Pending::default(),
            leases: Leases::default(),
            loads: Register::default(),
        }
    }

    pub(super) fn get(&mut self, cache: &CacheId, key: &Key, now: Now) -> Lookup {
        match self.live(cache, key, now) {
            Some(entry) => Lookup::Hit(hit(&entry, now)),
            None => Lookup::Miss(Evidence::FIRST_HAND),
        }
    }

    /// What an entry holds.
    pub(super) fn value(&mut self, cache: &CacheId, key: &Key, now: Now) -> Option<Value> {
        self.live(cache, key, now).map(|entry| entry.value)
    }

    /// What an entry holds, and its version.
    pub(super) fn entry(
        &mut self,
        cache: &CacheId,
        key: &Key,
        now: Now,
    ) -> Option<(Value, Version)> {
        self.live(cache, key, now)
            .map(|entry| (entry.value, entry.version))
    }

    pub(super) fn put(
        &mut self,
        cache: &CacheId,
        put: Put,
        random: u64,
        now: Now,
    ) -> Result<PutOutcome, Fault> {
        self.remember(cache);
        let current = self.live(cache, &put.key, now);
        let current_version = current.as_ref().map(|entry| entry.version.clone());
        let mut holds = match &put.condition {
            Condition::None => true,
            Condition::Absent => current.is_none(),
            Condition::Present => current.is_some(),
            Condition::Version(version) => current_version.as_ref() == Some(version),
        };
        if let Some(lease) = &put.lease {
            let (place, version) = ((cache, &put.key), current_version.as_ref());
            holds = holds && (self.leases).may_fill(place, lease, version, &put.groups, now);
            if !holds {
                self.leases.end_of(place, lease);
            }
        }
        if !holds {
            return Ok(PutOutcome::NotStored(current_version));
        }
        self.loads.note(cache, &put.key);
        let version = self.store(cache, put, current.as_ref(), random, now)?;
        Ok(PutOutcome::Stored(version))
    }

    pub(super) fn put_if_absent(
        &mut self,
        cache: &CacheId,
        put: Put,
        random: u64,
        now: Now,
    ) -> Result<IfAbsent, Fault> {
        self.remember(cache);
        match self.live(cache, &put.key, now) {
            Some(entry) => Ok(IfAbsent::Existing(hit(&entry, now))),
            None => {
                self.loads.note(cache, &put.key);
                self.store(cache, put, None, random, now)
                    .map(IfAbsent::Stored)
            }
        }
    }

    pub(super) fn evict(&mut self, cache: &CacheId, key: &Key, now: Now) -> bool {
        self.loads.note(cache, key);
        self.remove(cache, key, now)
    }

    pub(super) fn remove(&mut self, cache: &CacheId, key: &Key, now: Now) -> bool {
        let existed = self.live(cache, key, now).is_some();
        self.entries.remove(&place(cache, key));
        // Also where there was nothing: what is being loaded may be older than this removal.
        self.leases.end(cache, key);
        existed
    }

    pub(super) fn touch(
        &mut self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
        random: u64,
        now: Now,
    ) -> bool {
        if self.live(cache, key, now).is_none() {
            return false;
        }
        let expiry = self.due(cache, key, expiry, now);
        if expiry != Expiry::Keep {
            self.loads.note(cache, key);
        }
        self.expire(cache, key, expiry, random, now)
    }

    /// Changes the expiry of an entry, whatever its deadline is.
    pub(super) fn expire(
        &mut self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
        random: u64,
        now: Now,
    ) -> bool {
        let Some(mut entry) = self.live(cache, key, now) else {
            return false;
        };
        entry.expires = self.expires(cache, expiry, Some(&entry), random, now);
        self.entries.insert(place(cache, key), entry);
        true
    }

    pub(super) fn ttl(&mut self, cache: &CacheId, key: &Key, now: Now) -> TtlLookup {
        match self.live(cache, key, now) {
            None => self.deadlines.about(cache, key, now),
            Some(entry) => match entry.expires {
                None => TtlLookup::Never,
                Some(at) => TtlLookup::Remaining(at.saturating_duration_since(now.clock)),
            },
        }
    }

    pub(super) fn caches(&self, tenant: &Tenant) -> Vec<CacheId> {
        self.used
            .iter()
            .filter(|cache| cache.tenant == *tenant)
            .cloned()
            .collect()
    }

    /// Gives back what waits for what does not come.
    pub(super) fn forget_old(&mut self, now: Now) {
        self.pending.forget_old(now.clock);
        self.leases.forget_old(now);
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            entries: self.entries.len() as u64,
            weight: self.entries.weight(),
            capacity: self.capacity,
            evictions: self.evictions.0.load(Ordering::Relaxed),
        }
    }

    pub(super) fn store(
        &mut self,
        cache: &CacheId,
        put: Put,
        current: Option<&Entry>,
        random: u64,
        now: Now,
    ) -> Result<Version, Fault> {
        self.pending.forget_old(now.clock);
        let waiting = self.pending.of(cache, &put.key);
        let groups = put
            .groups
            .with(&waiting.groups)
            .map_err(|_| too_many_groups())?;
        self.check_weight(weight(&put.key, &put.value, &groups))?;
        self.check_quota((cache, &put.key), (&put.value, &groups), current, now)?;
        self.pending.remove(cache, &put.key);
        self.leases.end(cache, &put.key);
        let (value, version) = match self.rules.policy(&cache.name).encoding {
            Encoding::Framed => (put.value, Version::made_at(0, now.wall, random)),
            Encoding::Raw => frame::read_raw(&frame::raw(&put.value)),
        };
        let expiry = self.due(cache, &put.key, put.expiry, now);
        let expires = self.expires(cache, expiry, current, random, now);
        let entry = Entry {
            value: owned(value),
            version: version.clone(),
            expires,
            groups,
            loaded: None,
            number: self.cleared.number(),
        };
        if self.is_live(cache, &entry, now) && !waiting.flushed {
            self.entries.insert(own_place(cache, &put.key), entry);
        } else {
            self.entries.remove(&place(cache, &put.key));
        }
        Ok(version)
    }

    pub(super) fn check_weight(&self, weight: u64) -> Result<(), Fault> {
        if weight <= self.capacity / LARGEST_PART {
            return Ok(());
        }
        Err(Fault::not_applied(
            Cause::StoreFull,
            format!(
                "the entry weighs {weight} bytes, more than half of embedded.capacity ({} bytes)",
                self.capacity
            ),
        ))
    }

    fn expires(
        &self,
        cache: &CacheId,
        expiry: Expiry,
        current: Option<&Entry>,
        random: u64,
        now: Now,
    ) -> Option<Instant> {
        let after = |ttl: Duration| now.clock.checked_add(ttl);
        match (expiry, current) {
            (Expiry::In(ttl), _) => {
                let millis = u64::try_from(Expiry::whole_millis(ttl)).unwrap_or(u64::MAX);
                after(Duration::from_millis(millis))
            }
            (Expiry::At(deadline), _) => {
                after(deadline.duration_since(now.wall).unwrap_or_default())
            }
            (Expiry::Never, _) => None,
            (Expiry::Keep, Some(entry)) => entry.expires,
            (Expiry::Keep, None) | (Expiry::CacheDefault, _) => {
                let policy = self.rules.policy(&cache.name);
                policy.default_ttl(random).and_then(after)
            }
        }
    }

    pub(super) fn live(&mut self, cache: &CacheId, key: &Key, now: Now) -> Option<Entry> {
        self.entries
            .get(&place(cache, key))
            .filter(|entry| self.is_live(cache, entry, now))
            .cloned()
    }

    pub(super) fn remember(&mut self, cache: &CacheId) {
        if !self.used.contains(cache) && self.used.len() < MOST_CACHES {
            self.used.insert(cache.clone());
        }
    }
}

fn place(cache: &CacheId, key: &Key) -> Place {
    Place {
        cache: cache.clone(),
        key: key.clone(),
    }
}

/// One that does not keep the message that the key came in.
pub(super) fn own_place(cache: &CacheId, key: &Key) -> Place {
    place(cache, &key.clone().into_owned())
}

/// A copy of its own: what arrives is a slice of the message it came in, which it would keep in memory.
fn owned(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Data(data) => Value::Data(bytes::Bytes::copy_from_slice(&data)),
    }
}

fn hit(entry: &Entry, now: Now) -> Hit {
    let ttl = entry
        .expires
        .map(|at| at.saturating_duration_since(now.clock));
    Hit::from_master(entry.value.clone(), entry.version.clone(), ttl)
}

#[cfg(test)]
mod tests {
    use crate::config::CacheRules;
    use crate::model::{CacheName, GroupName, Groups};

    use super::super::entries::GROUP;
    use super::*;

    fn absent() -> Lookup {
        Lookup::Miss(Evidence::FIRST_HAND)
    }

    const CAPACITY: u64 = 100_000;

    fn sweep(state: &mut State, now: Now) {
        let (absent, _) = state.absent(now);
        state.remove_absent(&absent, now);
    }

    fn cache(name: &str) -> CacheId {
        CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new(name).expect("cache"),
        }
    }

    fn put(key: &str, value: &'static [u8], expiry: Expiry) -> Put {
        Put {
            key: self::key(key),
            value: Value::Data(value.into()),
            expiry,
            condition: Condition::None,
            groups: Groups::default(),
            lease: None,
        }
    }

    fn key(key: &str) -> Key {
        Key::new(key.to_owned().into()).expect("key")
    }

    fn state() -> State {
        State::new(CAPACITY, CacheRules::new(Vec::new()))
    }

    fn start() -> Now {
        Now {
            clock: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn later(now: Now, by: Duration) -> Now {
        Now {
            clock: now.clock + by,
            wall: now.wall + by,
        }
    }

    #[test]
    fn an_entry_is_absent_from_the_very_moment_it_expires() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let ttl = Duration::from_millis(10);
        let stored = state.put(&cache, put("k", b"v", Expiry::In(ttl)), 1, now);
        assert!(matches!(stored, Ok(PutOutcome::Stored(_))));
        let before = later(now, ttl - Duration::from_nanos(1));
        assert!(matches!(
            state.get(&cache, &key("k"), before),
            Lookup::Hit(_)
        ));
        let at = later(now, ttl);
        assert_eq!(state.get(&cache, &key("k"), at), absent());
        assert_eq!(state.ttl(&cache, &key("k"), at), TtlLookup::Miss);
        assert!(!state.touch(&cache, &key("k"), Expiry::Never, 1, at));
        assert!(!state.evict(&cache, &key("k"), at));
    }

    #[test]
    fn a_deadline_in_the_past_removes_the_entry() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let past = now.wall - Duration::from_secs(1);
        for expiry in [Expiry::Never, Expiry::At(past)] {
            let stored = state.put(&cache, put("k", b"v", expiry), 1, now);
            assert!(matches!(stored, Ok(PutOutcome::Stored(_))));
        }
        assert_eq!(state.get(&cache, &key("k"), now), absent());
    }

    #[test]
    fn weight_stays_below_capacity_and_evictions_are_counted() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        for number in 0..10_000_u64 {
            let entry = put(&number.to_string(), b"0123456789", Expiry::Never);
            state.put(&cache, entry, number, now).expect("fits");
            assert!(state.figures().weight <= CAPACITY);
        }
        let figures = state.figures();
        assert!(figures.entries > 250, "{figures:?}");
        assert_eq!(figures.entries + figures.evictions, 10_000);
        // As the library counts them. What is weighed but not in there is the index.
        let slots = state.entries.memory_used().entries as u64;
        let remembered = slots.saturating_sub(figures.entries * SLOT);
        assert!(
            remembered <= CAPACITY / REMEMBERED_PART,
            "{slots} {figures:?}"
        );
    }

    #[test]
    fn one_value_cannot_empty_the_store() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let large = Put {
            value: Value::Data(vec![0; 60_000].into()),
            ..put("large", b"", Expiry::Never)
        };
        state
            .put(&cache, put("k", b"v", Expiry::Never), 1, now)
            .expect("fits");
        let refused = state.put(&cache, large, 2, now).expect_err("too large");
        assert_eq!(refused.cause, Cause::StoreFull);
        assert!(matches!(state.get(&cache, &key("k"), now), Lookup::Hit(_)));
    }

    #[test]
    fn an_entry_does_not_keep_the_message_it_came_in() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let message = bytes::Bytes::from(b"key and value and much more".to_vec());
        let put = Put {
            key: Key::new(message.slice(..3)).expect("key"),
            value: Value::Data(message.slice(8..13)),
            ..put("k", b"", Expiry::Never)
        };
        state.put(&cache, put, 1, now).expect("fits");
        assert!(message.is_unique());
        let Lookup::Hit(hit) = state.get(&cache, &key("key"), now) else {
            panic!("a miss");
        };
        assert_eq!(hit.value, Value::Data(b"value"[..].into()));
    }

    #[test]
    fn sweeping_gives_memory_back() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let ttl = Duration::from_secs(1);
        state
            .put(&cache, put("k", b"v", Expiry::In(ttl)), 1, now)
            .expect("fits");
        sweep(&mut state, now);
        assert_eq!(state.figures().entries, 1);
        sweep(&mut state, later(now, ttl));
        assert_eq!((state.figures().entries, state.figures().weight), (0, 0));
    }

    fn groups(names: &[&str]) -> Groups {
        let name = |name: &&str| GroupName::new(name).expect("group");
        Groups::new(names.iter().map(name)).expect("few")
    }

    #[test]
    fn a_flush_takes_members_and_what_becomes_one_by_waiting() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let names: Vec<GroupName> = groups(&["g"]).iter().cloned().collect();
        let member = Put {
            groups: groups(&["f", "g"]),
            ..put("member", b"v", Expiry::Never)
        };
        state.put(&cache, member, 1, now).expect("fits");
        state
            .put(&cache, put("other", b"v", Expiry::Never), 2, now)
            .expect("fits");
        let added = state.add_to_groups(&cache, &key("early"), &groups(&["g"]), now);
        assert_eq!(added, Ok(false));
        state.flush_groups(&cache, &names, now);
        state
            .put(&cache, put("early", b"v", Expiry::Never), 3, now)
            .expect("fits");
        let mut hit = |name| matches!(state.get(&cache, &key(name), now), Lookup::Hit(_));
        assert_eq!(
            [hit("member"), hit("other"), hit("early")],
            [false, true, false]
        );
        // It waited for one value only.
        state
            .put(&cache, put("early", b"v", Expiry::Never), 4, now)
            .expect("fits");
        assert!(matches!(
            state.get(&cache, &key("early"), now),
            Lookup::Hit(_)
        ));
    }

    #[test]
    fn an_entry_that_joins_keeps_version_and_expiry_and_grows_in_weight() {
        let (mut state, cache, now) = (state(), cache("c"), start());
        let ttl = Duration::from_secs(9);
        state
            .put(&cache, put("k", b"v", Expiry::In(ttl)), 1, now)
            .expect("fits");
        let (before, weight) = (state.get(&cache, &key("k"), now), state.figures().weight);
        let added = state.add_to_groups(&cache, &key("k"), &groups(&["g"]), now);
        assert_eq!(added, Ok(true));
        assert_eq!(state.get(&cache, &key("k"), now), before);
        assert_eq!(state.figures().weight, weight + GROUP + 1);
    }
}
