//! The parts of requests that only sessions have. Nothing said here holds a name, a value or an id.
//!
//! Not here: what all requests have (`check`); how large a session may become, which only its store knows.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;

use crate::config::Limits;
use crate::model::{CacheId, Expiry};
use crate::sessions::{Attributes, MAX_INACTIVE, MOST_NAME_BYTES, Principal, Save, SessionId};

use super::check::Checker;

/// Lets no cache in: the request has none.
pub(super) type NoCache = fn(&CacheId) -> Result<(), String>;

impl<'a> Checker<'a, NoCache> {
    /// Checks requests that name no cache.
    pub(super) fn without_caches(limits: &'a Limits) -> Self {
        Self::new(limits, |_| Err("is not part of this request".to_owned()))
    }
}

impl<Admit: Fn(&CacheId) -> Result<(), String>> Checker<'_, Admit> {
    pub(super) fn session_id(&mut self, id: &str) -> Option<SessionId> {
        let problem = "is not an id that vedetta makes; take it as no session, or create one";
        SessionId::from_caller(id).or_else(|| self.refuse("id", problem))
    }

    pub(super) fn principal(&mut self, name: &str) -> Option<Principal> {
        let problem =
            format!("is too long or has control characters; write at most {MOST_NAME_BYTES} bytes");
        Principal::from_caller(name).or_else(|| self.refuse("principal", problem))
    }

    /// A principal that sessions can be looked for with.
    pub(super) fn somebody(&mut self, name: &str) -> Option<Principal> {
        let principal = self.principal(name)?;
        if principal.is_nobody() {
            return self.refuse("principal", "is missing; say whose sessions are wanted");
        }
        Some(principal)
    }

    /// Whole milliseconds; an inner `None` where the caller does not say.
    pub(super) fn max_inactive(
        &mut self,
        asked: Option<prost_types::Duration>,
    ) -> Option<Option<Duration>> {
        let field = "max_inactive";
        let Some(asked) = asked else {
            return Some(None);
        };
        let life = self.duration(field, asked)?;
        if life.is_zero() {
            return self.refuse(field, "must be positive; delete the session to end it");
        }
        if life > MAX_INACTIVE {
            return self.refuse(field, "is too long; at most 366 days are allowed");
        }
        let millis = u64::try_from(Expiry::whole_millis(life)).unwrap_or(u64::MAX);
        Some(Some(Duration::from_millis(millis)))
    }

    /// Attributes, each of which is small enough for itself.
    pub(super) fn attributes(
        &mut self,
        field: &str,
        attributes: HashMap<String, Bytes>,
    ) -> Option<Attributes> {
        let limits = self.limits;
        let (most, largest) = (limits.session_attributes, limits.session_attribute);
        if attributes.len() > most {
            let count = attributes.len();
            let problem = format!(
                "holds {count} attributes; at most {most} are allowed (limits.session_attributes)"
            );
            return self.refuse(field, problem);
        }
        if !attributes.keys().all(|name| is_name(name)) {
            return self.refuse(field, name_problem());
        }
        match attributes.values().map(Bytes::len).max() {
            Some(longest) if longest as u64 > largest => {
                let problem = format!(
                    "has an attribute of {longest} bytes; at most {largest} are allowed (limits.session_attribute)"
                );
                self.refuse(field, problem)
            }
            _ => Some(attributes.into_iter().collect()),
        }
    }

    /// Attributes that are small enough all together.
    pub(super) fn new_session(&mut self, attributes: Attributes) -> Option<Attributes> {
        let largest = self.limits.session;
        let bytes = |(name, value): (&String, &Bytes)| (name.len() + value.len()) as u64;
        let all: u64 = attributes.iter().map(bytes).sum();
        if all > largest {
            let problem =
                format!("hold {all} bytes; at most {largest} are allowed (limits.session)");
            return self.refuse("attributes", problem);
        }
        Some(attributes)
    }

    pub(super) fn save(
        &mut self,
        set: HashMap<String, Bytes>,
        remove: Vec<String>,
        principal: Option<String>,
        max_inactive: Option<prost_types::Duration>,
    ) -> Option<Save> {
        let both = remove.iter().any(|name| set.contains_key(name));
        let set = self.attributes("set", set);
        let remove = self.removals(remove);
        if both {
            let problem = "names an attribute that `set` has too; leave it out of one of the two";
            self.refuse::<()>("remove", problem);
        }
        let principal = match principal {
            Some(name) => self.principal(&name).map(Some),
            None => Some(None),
        };
        let max_inactive = self.max_inactive(max_inactive);
        Some(Save {
            set: set?,
            remove: remove?,
            principal: principal?,
            max_inactive: max_inactive?,
        })
    }

    fn removals(&mut self, names: Vec<String>) -> Option<Vec<String>> {
        let (count, most) = (names.len(), self.limits.session_attributes);
        if count > most {
            let problem = format!(
                "holds {count} names; at most {most} are allowed (limits.session_attributes)"
            );
            return self.refuse("remove", problem);
        }
        if !names.iter().all(|name| is_name(name)) {
            return self.refuse("remove", name_problem());
        }
        // A name that is there twice would be counted twice.
        let once: BTreeSet<String> = names.into_iter().collect();
        Some(once.into_iter().collect())
    }
}

fn is_name(name: &str) -> bool {
    (1..=MOST_NAME_BYTES).contains(&name.len())
}

fn name_problem() -> String {
    format!(
        "has an attribute without a name, or with too long a one; write 1 to {MOST_NAME_BYTES} bytes"
    )
}
