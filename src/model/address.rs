//! How an entry is addressed: tenant, cache and key.
//!
//! Invariants: names hold no control character and no `::`, and a cache name neither begins nor ends with
//! `:`, so that `[tenant_]cache::key` splits at its first `::` in one way only. A key is never empty.
//!
//! Not here: the limit on the length of keys, which is configuration (`grpc::check`), and the Redis layout
//! (`cache::layout`).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Separates the cache from the key in Redis, in Entando's layout.
pub const SEPARATOR: &str = "::";

/// Why a name was refused. `Display` ends with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A cache or a key without a name.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`CacheName::MAX_BYTES`].
    #[error("is {0} bytes long; at most {max} are allowed", max = CacheName::MAX_BYTES)]
    TooLong(usize),
    /// Holds `::`, or a `:` where it would merge with the separator.
    #[error(
        "must not contain `::` nor begin or end with `:`, which separate cache and key in Redis"
    )]
    Separator,
    /// Holds a control character.
    #[error("must not contain the control character {0:?}")]
    Control(char),
    /// Begins with the name that vedetta keeps for itself.
    #[error("must not begin with `vedetta:`, which vedetta keeps for itself")]
    Reserved,
}

fn check(name: &str) -> Result<(), NameError> {
    if name.len() > CacheName::MAX_BYTES {
        return Err(NameError::TooLong(name.len()));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(NameError::Control(control));
    }
    if name.contains(SEPARATOR) || name.starts_with(':') || name.ends_with(':') {
        return Err(NameError::Separator);
    }
    if name.starts_with("vedetta:") {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// The name of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheName(Arc<str>);

impl CacheName {
    /// The longest cache or tenant name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Accepts a legal cache name.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        check(name)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tenant; the empty name is the primary tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Accepts a legal tenant name.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check(name)?;
        Ok(Self(name.into()))
    }

    /// The tenant without a name.
    pub fn primary() -> Self {
        Self("".into())
    }

    /// Whether this is the primary tenant.
    pub fn is_primary(&self) -> bool {
        self.0.is_empty()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One cache of one tenant: the unit that is cleared, listed and configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheId {
    /// Whose cache it is.
    pub tenant: Tenant,
    /// Which of the tenant's caches.
    pub name: CacheName,
}

impl fmt::Display for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tenant.is_primary() {
            f.write_str(self.name.as_str())
        } else {
            write!(
                f,
                "{} of tenant {}",
                self.name.as_str(),
                self.tenant.as_str()
            )
        }
    }
}

/// A key inside a cache: any bytes, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Bytes);

impl Key {
    /// Accepts a key of at least one byte.
    ///
    /// # Errors
    /// [`NameError::Empty`].
    pub fn new(key: Bytes) -> Result<Self, NameError> {
        if key.is_empty() {
            return Err(NameError::Empty);
        }
        Ok(Self(key))
    }

    /// The same key in memory of its own, rather than in the message that it came in.
    pub fn into_owned(self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

/// The full address of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The cache it is in.
    pub cache: CacheId,
    /// Its key there.
    pub key: Key,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_make_a_redis_key_ambiguous_are_refused() {
        for (name, error) in [
            ("", NameError::Empty),
            ("a::b", NameError::Separator),
            (":a", NameError::Separator),
            ("a:", NameError::Separator),
            ("a\nb", NameError::Control('\n')),
            ("a\u{7f}", NameError::Control('\u{7f}')),
            ("vedetta:stamp", NameError::Reserved),
        ] {
            assert_eq!(CacheName::new(name), Err(error), "{name:?}");
        }
        assert_eq!(
            CacheName::new(&"x".repeat(256)),
            Err(NameError::TooLong(256))
        );
        for name in ["Entando_Cache", "a:b", "città", "with space"] {
            assert_eq!(
                CacheName::new(name).map(|n| n.as_str().to_owned()),
                Ok(name.to_owned())
            );
        }
    }

    #[test]
    fn the_primary_tenant_is_the_empty_name() {
        assert_eq!(Tenant::new(""), Ok(Tenant::primary()));
        assert!(Tenant::primary().is_primary());
        assert_eq!(Tenant::new("t::1"), Err(NameError::Separator));
    }
}
