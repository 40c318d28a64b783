//! What subscribers are told, and what each of them wants to hear.

use std::time::SystemTime;

use crate::model::{CacheId, CacheName, GroupName, Key, Tenant};

/// A point of the stream of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Of the process and of its session.
    pub generation: u64,
    /// Of the record.
    pub sequence: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Keys that may have been handed out changed, or may have.
    Invalidated {
        /// In which cache.
        cache: CacheId,
        /// Which.
        keys: Vec<Key>,
    },
    /// Every member of these groups may be gone.
    GroupsFlushed {
        /// In which cache.
        cache: CacheId,
        /// Which.
        groups: Vec<GroupName>,
    },
    /// Every entry of a cache may be gone.
    Cleared(CacheId),
    /// Something may have been missed.
    Discontinuity(Reason),
    /// There is no session to a master any more.
    FailoverStarted,
    /// There is one again.
    FailoverFinished {
        /// To whom.
        master: String,
    },
    /// Acknowledged writes are missing.
    DataLoss {
        /// Of some of these caches at least.
        caches: Vec<CacheId>,
        /// What was acknowledged before is there; `None` if that cannot be told.
        since: Option<SystemTime>,
    },
}

/// Why something may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The subscription begins here.
    Started,
    /// The point to resume from is not remembered any more, or is of another process.
    ResumeTooOld,
    /// The link to Redis was lost.
    SessionLost,
    /// The data are those of another history.
    MasterChanged,
    /// Somebody emptied the database.
    Flushed,
    /// A key changed whose cache or group is one of more than are remembered.
    TooManyCaches,
}

impl Reason {
    /// Every reason, for registering metrics.
    pub const ALL: [Self; 6] = [
        Self::Started,
        Self::ResumeTooOld,
        Self::SessionLost,
        Self::MasterChanged,
        Self::Flushed,
        Self::TooManyCaches,
    ];

    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ResumeTooOld => "resume_too_old",
            Self::SessionLost => "session_lost",
            Self::MasterChanged => "master_changed",
            Self::Flushed => "flushed",
            Self::TooManyCaches => "too_many_caches",
        }
    }
}

/// What a subscriber wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whose caches.
    pub tenant: Tenant,
    /// Which; empty for all.
    pub caches: Vec<CacheName>,
    /// Which keys; empty for all, or for none if groups are named.
    pub keys: Vec<Key>,
    /// Which groups; empty for all.
    pub groups: Vec<GroupName>,
}

impl Scope {
    /// The part of an event that is inside.
    pub fn narrow(&self, event: &Event) -> Option<Event> {
        match event {
            Event::Invalidated { cache, keys } if self.holds(cache) => {
                let all = self.keys.is_empty() && self.groups.is_empty();
                let keys: Vec<Key> = keys
                    .iter()
                    .filter(|key| all || self.keys.contains(key))
                    .cloned()
                    .collect();
                (!keys.is_empty()).then(|| Event::Invalidated {
                    cache: cache.clone(),
                    keys,
                })
            }
            Event::GroupsFlushed { cache, groups } if self.holds(cache) => {
                let groups: Vec<GroupName> = groups
                    .iter()
                    .filter(|group| self.groups.is_empty() || self.groups.contains(group))
                    .cloned()
                    .collect();
                (!groups.is_empty()).then(|| Event::GroupsFlushed {
                    cache: cache.clone(),
                    groups,
                })
            }
            Event::Cleared(cache) if self.holds(cache) => Some(event.clone()),
            Event::Invalidated { .. } | Event::GroupsFlushed { .. } | Event::Cleared(_) => None,
            Event::DataLoss { caches, since } => {
                let caches: Vec<CacheId> = caches
                    .iter()
                    .filter(|cache| self.holds(cache))
                    .cloned()
                    .collect();
                let since = *since;
                (!caches.is_empty()).then_some(Event::DataLoss { caches, since })
            }
            Event::Discontinuity(_) | Event::FailoverStarted | Event::FailoverFinished { .. } => {
                Some(event.clone())
            }
        }
    }

    fn holds(&self, cache: &CacheId) -> bool {
        self.tenant == cache.tenant && (self.caches.is_empty() || self.caches.contains(&cache.name))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn cache(tenant: &str, name: &str) -> CacheId {
        CacheId {
            tenant: Tenant::new(tenant).expect("tenant"),
            name: CacheName::new(name).expect("cache"),
        }
    }

    fn key(name: &'static str) -> Key {
        Key::new(Bytes::from_static(name.as_bytes())).expect("key")
    }

    fn changed(tenant: &str, name: &str, keys: &[&'static str]) -> Event {
        Event::Invalidated {
            cache: cache(tenant, name),
            keys: keys.iter().map(|name| key(name)).collect(),
        }
    }

    #[test]
    fn a_scope_lets_through_what_it_names() {
        let all = Scope {
            tenant: Tenant::primary(),
            caches: Vec::new(),
            keys: Vec::new(),
            groups: Vec::new(),
        };
        let one = Scope {
            caches: vec![CacheName::new("c").expect("cache")],
            keys: vec![key("a")],
            ..all.clone()
        };
        let event = changed("", "c", &["a", "b"]);
        assert_eq!(all.narrow(&event), Some(event.clone()));
        assert_eq!(one.narrow(&event), Some(changed("", "c", &["a"])));
        assert_eq!(one.narrow(&changed("", "c", &["b"])), None);
        assert_eq!(one.narrow(&changed("", "d", &["a"])), None);
        assert_eq!(all.narrow(&changed("t", "c", &["a"])), None);
        assert_eq!(one.narrow(&Event::Cleared(cache("", "d"))), None);
        assert!(one.narrow(&Event::Cleared(cache("", "c"))).is_some());
        assert!(one.narrow(&Event::Discontinuity(Reason::Flushed)).is_some());
        let since = Some(SystemTime::UNIX_EPOCH);
        let loss = |caches| Event::DataLoss { caches, since };
        let ours = loss(vec![cache("", "c")]);
        let all = loss(vec![cache("t", "c"), cache("", "c")]);
        assert_eq!(one.narrow(&all), Some(ours));
    }

    #[test]
    fn a_scope_of_groups_hears_of_them_and_of_what_concerns_every_entry() {
        let group = |name| GroupName::new(name).expect("group");
        let flushed = |names: &[&'static str]| Event::GroupsFlushed {
            cache: cache("", "c"),
            groups: names.iter().map(|name| group(name)).collect(),
        };
        let all = Scope {
            tenant: Tenant::primary(),
            caches: vec![CacheName::new("c").expect("cache")],
            keys: Vec::new(),
            groups: Vec::new(),
        };
        let keys = Scope {
            keys: vec![key("a")],
            ..all.clone()
        };
        let groups = Scope {
            groups: vec![group("g")],
            ..all.clone()
        };
        let both = Scope {
            keys: vec![key("a")],
            ..groups.clone()
        };
        let event = flushed(&["g", "h"]);
        // A key may be in any group.
        for scope in [&all, &keys] {
            assert_eq!(scope.narrow(&event), Some(event.clone()));
        }
        for scope in [&groups, &both] {
            assert_eq!(scope.narrow(&event), Some(flushed(&["g"])));
            assert_eq!(scope.narrow(&flushed(&["h"])), None);
            assert!(scope.narrow(&Event::Cleared(cache("", "c"))).is_some());
            let loss = Event::DataLoss {
                caches: vec![cache("", "c")],
                since: None,
            };
            assert!(scope.narrow(&loss).is_some());
        }
        assert_eq!(groups.narrow(&changed("", "c", &["a"])), None);
        assert_eq!(
            both.narrow(&changed("", "c", &["a", "b"])),
            Some(changed("", "c", &["a"]))
        );
        let elsewhere = Event::GroupsFlushed {
            cache: cache("t", "c"),
            groups: vec![group("g")],
        };
        assert_eq!(groups.narrow(&elsewhere), None);
    }
}
