//! Groups: names under which entries of a cache are flushed together.
//!
//! Invariants: a name has 1 to 255 bytes, so that its length fits a byte of an entry's header, and no control
//! character; a set has each group once, in order, and no more than an entry may have.
//!
//! Not here: the stamps of groups (`cache::frame`, `near::stamp`).

use std::fmt;
use std::sync::Arc;

use super::{CacheName, NameError};

/// The name of a group of one cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Accepts a legal name. Unlike that of a cache it may hold any separator: in Redis it is escaped.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > CacheName::MAX_BYTES {
            return Err(NameError::TooLong(name.len()));
        }
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(NameError::Control(control));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// More groups than an entry may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names {0} groups; an entry has at most {most}", most = Groups::MOST)]
pub struct TooManyGroups(pub usize);

/// The groups that an entry is put into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(Vec<GroupName>);

impl Groups {
    /// The most that an entry has.
    pub const MOST: usize = 16;

    /// A set of them; who is named twice counts once.
    ///
    /// # Errors
    /// There are more than [`Self::MOST`].
    pub fn new(names: impl IntoIterator<Item = GroupName>) -> Result<Self, TooManyGroups> {
        let mut names: Vec<GroupName> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > Self::MOST {
            return Err(TooManyGroups(names.len()));
        }
        Ok(Self(names))
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, GroupName> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them has that name.
    pub fn contains(&self, name: &GroupName) -> bool {
        self.0.binary_search(name).is_ok()
    }

    /// The length of all names, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|name| name.as_str().len()).sum()
    }

    /// These and those.
    ///
    /// # Errors
    /// There are more than [`Self::MOST`].
    pub fn with(&self, others: &Self) -> Result<Self, TooManyGroups> {
        Self::new(self.iter().chain(others.iter()).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        for (name, error) in [
            ("", NameError::Empty),
            ("a\nb", NameError::Control('\n')),
            ("a\u{85}b", NameError::Control('\u{85}')),
        ] {
            assert_eq!(GroupName::new(name), Err(error), "{name:?}");
        }
        let long = "x".repeat(256);
        assert_eq!(GroupName::new(&long), Err(NameError::TooLong(256)));
        for name in ["PageCacheGroup_homepage", "a::b", ":", "città", &long[1..]] {
            assert!(GroupName::new(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_set_has_each_group_once() {
        let name = |number: usize| GroupName::new(&format!("g{number:02}")).expect("a name");
        let groups = Groups::new([name(2), name(1), name(2)]).expect("few");
        assert_eq!(
            groups.iter().cloned().collect::<Vec<_>>(),
            [name(1), name(2)]
        );
        assert!(groups.contains(&name(2)) && !groups.contains(&name(3)));
        let most = Groups::new((0..16).map(name)).expect("as many as allowed");
        assert_eq!(most.with(&groups), Ok(most.clone()));
        let one = Groups::new([name(16)]).expect("one");
        assert_eq!(most.with(&one), Err(TooManyGroups(17)));
    }
}
