//! What a session is, how it is called, and what it may hold.
//!
//! Invariants: an id that was made here is 144 random bits from the operating system, as URL-safe text; `Debug` of an
//! id does not show it, because whoever knows it has the session.
//!
//! Not here: how it is stored (`remote`, `embedded`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::model::{Cause, Expiry, Fault};

/// The longest id that is looked for, in bytes. Ours have 24; those of other session stores may still be in cookies.
const MOST_ID_BYTES: usize = 64;

/// Random bytes of an id; a multiple of three, so that its text needs no padding.
const RANDOM_BYTES: usize = 18;

/// The longest name of an attribute or a principal, in bytes.
pub const MOST_NAME_BYTES: usize = 255;

/// The longest that a session may live without being used.
pub const MAX_INACTIVE: Duration = Duration::from_secs(366 * 86_400);

/// The secret name of a session.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// An id that nobody else has.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn new() -> Result<Self, Fault> {
        let mut random = [0; RANDOM_BYTES];
        OsRng.try_fill_bytes(&mut random).map_err(|error| {
            let detail = format!("the operating system gives no random bytes: {error}");
            Fault::not_applied(Cause::Internal, detail)
        })?;
        Ok(Self(URL_SAFE_NO_PAD.encode(random).into()))
    }

    /// An id from outside; `None` if no session can have it.
    pub fn from_caller(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=MOST_ID_BYTES).contains(&text.len());
        (fits && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// Whose a session is; the empty name is nobody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Nobody.
    pub fn nobody() -> Self {
        Self("".into())
    }

    /// A name from outside; `None` if it is too long or holds control characters.
    pub fn from_caller(name: &str) -> Option<Self> {
        let legal = name.len() <= MOST_NAME_BYTES && !name.chars().any(char::is_control);
        legal.then(|| Self(name.into()))
    }

    /// Whether this is nobody.
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names and values.
pub type Attributes = BTreeMap<String, Bytes>;

/// A session as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// What the application keeps in it.
    pub attributes: Attributes,
    /// Whose it is.
    pub principal: Principal,
    /// When it began.
    pub created: SystemTime,
    /// When it was last created, saved or touched.
    pub accessed: SystemTime,
    /// How long it lives after that.
    pub max_inactive: Duration,
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct Create {
    /// What is in it.
    pub attributes: Attributes,
    /// Whose it is.
    pub principal: Principal,
    /// How long it lives without being used; whole milliseconds.
    pub max_inactive: Duration,
    /// Names the call, so that it is done once however often it is sent; empty for none.
    pub operation_id: Bytes,
}

/// Changes of a session. No attribute is both set and removed.
#[derive(Debug, Clone, Default)]
pub struct Save {
    /// Attributes that get these values.
    pub set: Attributes,
    /// Attributes that go.
    pub remove: Vec<String>,
    /// Whose it is from now on.
    pub principal: Option<Principal>,
    /// How long it lives without being used from now on; whole milliseconds.
    pub max_inactive: Option<Duration>,
}

/// How large a session may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Attributes.
    pub attributes: u64,
    /// Bytes of their names and values.
    pub bytes: u64,
}

/// How large a session is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) attributes: u64,
    pub(super) bytes: u64,
}

impl Create {
    /// Its payload, in bytes.
    pub(super) fn weight(&self) -> u64 {
        Size::of(&self.attributes).bytes
    }
}

impl Save {
    /// Its payload, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let removed: usize = self.remove.iter().map(String::len).sum();
        Size::of(&self.set).bytes + removed as u64
    }
}

impl Size {
    pub(super) fn of(attributes: &Attributes) -> Self {
        let bytes = |(name, value): (&String, &Bytes)| (name.len() + value.len()) as u64;
        Self {
            attributes: attributes.len() as u64,
            bytes: attributes.iter().map(bytes).sum(),
        }
    }

    /// Whether a session may become that large. One that is too large already, because the bounds were lowered, may
    /// still shrink.
    pub(super) fn check(self, before: Self, bounds: Bounds) -> Result<(), Fault> {
        let grows = |now: u64, before: u64, most: u64| now > most && now > before;
        if grows(self.attributes, before.attributes, bounds.attributes)
            || grows(self.bytes, before.bytes, bounds.bytes)
        {
            return Err(self.too_large(bounds));
        }
        Ok(())
    }

    /// The fault of a session that would become that large.
    pub(super) fn too_large(self, bounds: Bounds) -> Fault {
        Fault::not_applied(
            Cause::SessionTooLarge,
            format!(
                "the session would hold {} attributes of {} bytes; at most {} (limits.session_attributes) and {} \
                 (limits.session) are allowed; remove some of them in the same call",
                self.attributes, self.bytes, bounds.attributes, bounds.bytes
            ),
        )
    }
}

/// Whole milliseconds of a life, as both stores count it.
pub(super) fn millis(life: Duration) -> u64 {
    u64::try_from(Expiry::whole_millis(life)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_long_different_and_not_shown() {
        let ids: HashSet<SessionId> = (0..1000)
            .map(|_| SessionId::new().expect("random"))
            .collect();
        assert_eq!(ids.len(), 1000);
        for id in &ids {
            assert_eq!(id.as_str().len(), 24);
            assert_eq!(SessionId::from_caller(id.as_str()).as_ref(), Some(id));
            assert!(!format!("{id:?}").contains(id.as_str()));
        }
    }

    #[test]
    fn ids_that_no_session_can_have_are_told_apart() {
        for text in ["", "a b", "a:b", "a\n", "a=", "città", &"x".repeat(65)] {
            assert_eq!(SessionId::from_caller(text), None, "{text:?}");
        }
        for text in ["a", "0-_.Z", &"x".repeat(64)] {
            assert!(SessionId::from_caller(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn principals_are_short_and_printable() {
        assert!(Principal::from_caller("").is_some_and(|name| name.is_nobody()));
        assert!(Principal::from_caller("a:b@città").is_some());
        assert_eq!(Principal::from_caller("a\0"), None);
        assert_eq!(Principal::from_caller(&"x".repeat(256)), None);
    }

    #[test]
    fn a_session_that_is_too_large_may_only_shrink() {
        let bounds = Bounds {
            attributes: 2,
            bytes: 10,
        };
        let size = |attributes, bytes| Size { attributes, bytes };
        for (now, before, legal) in [
            (size(2, 10), size(0, 0), true),
            (size(3, 10), size(2, 10), false),
            (size(2, 11), size(2, 10), false),
            (size(5, 50), size(6, 60), true),
            (size(5, 50), size(5, 50), true),
            (size(5, 51), size(5, 50), false),
            (size(3, 1), size(2, 50), false),
        ] {
            let checked = now.check(before, bounds);
            assert_eq!(checked.is_ok(), legal, "{now:?} after {before:?}");
            if let Err(fault) = checked {
                assert_eq!(fault.cause, Cause::SessionTooLarge);
            }
        }
    }
}
