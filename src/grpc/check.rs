//! Requests, checked once: protobuf in, the vocabulary of `model` out, or every mistake with its field and remedy.
//!
//! Invariants: a request is refused as a whole before anything of it is done; a field that asks for what is not possible
//! is refused, never ignored.
//!
//! Not here: what the calls do (`cache`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost_types::Timestamp;
use tonic_types::FieldViolation;

use crate::config::Limits;
use crate::model::{
    CacheId, CacheName, Cause, Condition, Consistency, Expiry, Fault, Key, Tenant, Token, Value,
    Version,
};
use crate::proto::v1;

use super::names::Names;
use super::status::Refusal;

/// The largest `google.protobuf.Duration`, about 10,000 years.
const MAX_SECONDS: i64 = 315_576_000_000;

/// The last second that a `google.protobuf.Timestamp` can name (end of the year 9999).
const MAX_TIMESTAMP: i64 = 253_402_300_799;

/// Collects what is wrong with one request.
pub(super) struct Checker<'a, Admit> {
    pub(super) limits: &'a Limits,
    admit: Admit,
    known: Option<&'a Names>,
    violations: Vec<FieldViolation>,
}

impl<'a, Admit: Fn(&CacheId) -> Result<(), String>> Checker<'a, Admit> {
    /// Checks against these limits, and lets in the caches that `admit` does.
    pub(super) fn new(limits: &'a Limits, admit: Admit) -> Self {
        Self {
            limits,
            admit,
            known: None,
            violations: Vec::new(),
        }
    }

    /// The same, which remembers whom it has let in.
    pub(super) fn knowing(self, known: &'a Names) -> Self {
        Self {
            known: Some(known),
            ..self
        }
    }

    /// Ends the check and puts the parts together, each of which is `None` if it was refused.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with every mistake.
    pub(super) fn finish<T>(self, assemble: impl FnOnce() -> Option<T>) -> Result<T, Refusal> {
        if !self.violations.is_empty() {
            return Err(Refusal::Malformed(self.violations));
        }
        assemble().ok_or_else(|| {
            let detail = "a check failed without saying why";
            Fault::not_applied(Cause::Internal, detail).into()
        })
    }

    pub(super) fn refuse<T>(&mut self, field: &str, description: impl Into<String>) -> Option<T> {
        self.violations
            .push(FieldViolation::new(field, description));
        None
    }

    pub(super) fn tenant(&mut self, name: &str) -> Option<Tenant> {
        match Tenant::new(name) {
            Ok(tenant) => Some(tenant),
            Err(error) => self.refuse("tenant", error.to_string()),
        }
    }

    /// A cache that may be used.
    pub(super) fn cache(&mut self, tenant: &str, name: &str) -> Option<CacheId> {
        if let Some(cache) = self.known.and_then(|known| known.get(tenant, name)) {
            return Some(cache);
        }
        let tenant = self.tenant(tenant);
        let name = match CacheName::new(name) {
            Ok(name) => Some(name),
            Err(error) => self.refuse("cache", error.to_string()),
        };
        let cache = CacheId {
            tenant: tenant?,
            name: name?,
        };
        match (self.admit)(&cache) {
            Ok(()) => {
                if let Some(known) = self.known {
                    known.admit(&cache);
                }
                Some(cache)
            }
            Err(problem) => self.refuse("cache", problem),
        }
    }

    /// The caches of a scope; none for all.
    pub(super) fn caches(&mut self, tenant: &str, names: &[String]) -> Option<Vec<CacheName>> {
        self.places("caches", names.len())?;
        let tenant = Tenant::new(tenant).ok();
        let checked: Vec<Option<CacheName>> = names
            .iter()
            .enumerate()
            .map(|(place, name)| self.watched_cache(place, tenant.clone(), name))
            .collect();
        checked.into_iter().collect()
    }

    /// The bound on the names in a scope.
    pub(super) fn places(&mut self, field: &str, names: usize) -> Option<()> {
        let most = self.limits.batch_items;
        if names > most {
            let problem =
                format!("has {names} names; at most {most} are allowed (limits.batch_items)");
            return self.refuse(field, problem);
        }
        Some(())
    }

    fn watched_cache(
        &mut self,
        place: usize,
        tenant: Option<Tenant>,
        name: &str,
    ) -> Option<CacheName> {
        let field = format!("caches[{place}]");
        let name = match CacheName::new(name) {
            Ok(name) => name,
            Err(error) => return self.refuse(&field, error.to_string()),
        };
        let cache = CacheId {
            tenant: tenant?,
            name,
        };
        match (self.admit)(&cache) {
            Ok(()) => Some(cache.name),
            Err(problem) => self.refuse(&field, problem),
        }
    }

    /// The keys of a scope; none for all.
    pub(super) fn watched_keys(&mut self, keys: Vec<Bytes>, caches: usize) -> Option<Vec<Key>> {
        if keys.is_empty() {
            return Some(Vec::new());
        }
        if caches != 1 {
            return self.refuse("keys", "needs exactly one name in `caches`");
        }
        self.keys(keys)
    }

    pub(super) fn key(&mut self, field: &str, key: Bytes) -> Option<Key> {
        let limit = self.limits.key;
        if key.len() as u64 > limit {
            let problem = format!(
                "is {} bytes long; at most {limit} are allowed (limits.key)",
                key.len()
            );
            return self.refuse(field, problem);
        }
        match Key::new(key) {
            Ok(key) => Some(key),
            Err(error) => self.refuse(field, error.to_string()),
        }
    }

    /// Keys of a batch, each named by its place.
    pub(super) fn keys(&mut self, keys: Vec<Bytes>) -> Option<Vec<Key>> {
        self.batch("keys", keys.len(), keys.iter().map(Bytes::len).sum())?;
        let checked: Vec<Option<Key>> = keys
            .into_iter()
            .enumerate()
            .map(|(place, key)| self.key(&format!("keys[{place}]"), key))
            .collect();
        checked.into_iter().collect()
    }

    /// The bounds on a batch of any kind.
    pub(super) fn batch(&mut self, field: &str, items: usize, bytes: usize) -> Option<()> {
        let Limits {
            batch_items,
            batch_bytes,
            ..
        } = *self.limits;
        if items > batch_items {
            let problem = format!(
                "holds {items} items; at most {batch_items} are allowed (limits.batch_items)"
            );
            return self.refuse(field, problem);
        }
        if bytes as u64 > batch_bytes {
            let problem = format!(
                "holds {bytes} bytes; at most {batch_bytes} are allowed (limits.batch_bytes)"
            );
            return self.refuse(field, problem);
        }
        Some(())
    }

    pub(super) fn value(&mut self, path: &str, value: Option<Value>) -> Option<Value> {
        let limit = self.limits.value;
        match value {
            Some(value) if value.len() as u64 > limit => {
                let problem = format!(
                    "is {} bytes long; at most {limit} are allowed (limits.value)",
                    value.len()
                );
                self.refuse(&format!("{path}value"), problem)
            }
            Some(value) => Some(value),
            None => self.refuse(
                &format!("{path}content"),
                "is missing; set `value` or `null`",
            ),
        }
    }

    pub(super) fn expiry(&mut self, path: &str, expiry: Option<v1::Expiry>) -> Option<Expiry> {
        use v1::expiry::When;
        match expiry.and_then(|expiry| expiry.when) {
            None | Some(When::CacheDefault(_)) => Some(Expiry::CacheDefault),
            Some(When::Keep(_)) => Some(Expiry::Keep),
            Some(When::None(_)) => Some(Expiry::Never),
            Some(When::Ttl(ttl)) => {
                let field = format!("{path}expiry.ttl");
                let ttl = self.duration(&field, ttl)?;
                if ttl.is_zero() {
                    return self.refuse(&field, "must be positive; evict the entry to remove it");
                }
                Some(Expiry::In(ttl))
            }
            Some(When::Deadline(deadline)) => {
                self.deadline(&format!("{path}expiry.deadline"), deadline)
            }
        }
    }

    /// The expiry of a call that changes nothing else, for which `keep` would mean nothing.
    pub(super) fn new_expiry(&mut self, expiry: Option<v1::Expiry>) -> Option<Expiry> {
        match self.expiry("", expiry)? {
            Expiry::Keep => self.refuse(
                "expiry.keep",
                "changes nothing; set `ttl`, `deadline` or `none`",
            ),
            expiry => Some(expiry),
        }
    }

    /// A duration that is not negative.
    pub(super) fn duration(
        &mut self,
        field: &str,
        duration: prost_types::Duration,
    ) -> Option<Duration> {
        let prost_types::Duration { seconds, nanos } = duration;
        if seconds < 0 || nanos < 0 {
            return self.refuse(field, "must not be negative");
        }
        match u32::try_from(nanos) {
            Ok(nanos) if nanos < 1_000_000_000 && seconds <= MAX_SECONDS => {
                Some(Duration::new(seconds.unsigned_abs(), nanos))
            }
            _ => self.refuse(
                field,
                format!("is out of range; at most {MAX_SECONDS} s, nanos below 1,000,000,000"),
            ),
        }
    }

    fn deadline(&mut self, field: &str, deadline: Timestamp) -> Option<Expiry> {
        self.time(field, deadline).map(Expiry::At)
    }

    pub(super) fn time(&mut self, field: &str, deadline: Timestamp) -> Option<SystemTime> {
        let Timestamp { seconds, nanos } = deadline;
        let time = u32::try_from(nanos)
            .ok()
            .filter(|nanos| *nanos < 1_000_000_000 && (0..=MAX_TIMESTAMP).contains(&seconds))
            .and_then(|nanos| UNIX_EPOCH.checked_add(Duration::new(seconds.unsigned_abs(), nanos)));
        match time {
            Some(time) => Some(time),
            None => self.refuse(
                field,
                "is out of range; set a time between the years 1970 and 9999",
            ),
        }
    }

    pub(super) fn condition(
        &mut self,
        path: &str,
        condition: Option<v1::Condition>,
    ) -> Option<Condition> {
        use v1::condition::MustBe;
        match condition.and_then(|condition| condition.must_be) {
            None => Some(Condition::None),
            Some(MustBe::Absent(_)) => Some(Condition::Absent),
            Some(MustBe::Present(_)) => Some(Condition::Present),
            Some(MustBe::Version(version)) => match Version::from_caller(version) {
                Some(version) => Some(Condition::Version(version)),
                None => self.refuse(
                    &format!("{path}condition.version"),
                    "must not be empty; use `absent` for \"no entry\"",
                ),
            },
        }
    }

    pub(super) fn consistency(
        &mut self,
        consistency: Option<v1::Consistency>,
    ) -> Option<Consistency> {
        use v1::consistency::Level;
        match consistency.and_then(|consistency| consistency.level) {
            None => Some(Consistency::Fresh(None)),
            Some(Level::Master(_)) => Some(Consistency::Master),
            Some(Level::AtLeast(token)) => match Token::from_caller(&token) {
                Some(token) => Some(Consistency::AtLeast(token)),
                None => {
                    let problem = "is not a token; send back what a write returned, unchanged";
                    self.refuse("consistency.at_least", problem)
                }
            },
            Some(Level::Fresh(fresh)) => match fresh.max_staleness {
                None => Some(Consistency::Fresh(None)),
                Some(bound) => self
                    .duration("consistency.fresh.max_staleness", bound)
                    .map(|bound| Consistency::Fresh(Some(bound))),
            },
            Some(Level::StaleOk(stale)) => match stale.max_age {
                Some(bound) => self
                    .duration("consistency.stale_ok.max_age", bound)
                    .map(Consistency::StaleOk),
                None => {
                    let problem = "is missing; say how old is too old";
                    self.refuse("consistency.stale_ok.max_age", problem)
                }
            },
        }
    }
}
