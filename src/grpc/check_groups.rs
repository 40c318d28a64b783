//! The parts of requests that name groups.
//!
//! Not here: what all requests have (`check`).

use crate::config::Encoding;
use crate::model::{CacheId, GroupName, Groups};

use super::check::Checker;

/// Why a raw cache has none.
const RAW: &str = "cannot be kept in a raw cache, whose entries have no header to name them in; leave them out, or make \
                   the cache framed (caches)";

impl<Admit: Fn(&CacheId) -> Result<(), String>> Checker<'_, Admit> {
    /// The groups that an entry is to be in.
    pub(super) fn groups(
        &mut self,
        field: &str,
        names: &[String],
        encoding: Option<Encoding>,
    ) -> Option<Groups> {
        let names = self.group_names(field, names, encoding)?;
        match Groups::new(names) {
            Ok(groups) => Some(groups),
            Err(error) => self.refuse(field, format!("{error}; name fewer")),
        }
    }

    /// The same, at least one.
    pub(super) fn some_groups(
        &mut self,
        field: &str,
        names: &[String],
        encoding: Option<Encoding>,
    ) -> Option<Groups> {
        if names.is_empty() {
            return self.refuse(field, "is empty; name at least one group");
        }
        self.groups(field, names, encoding)
    }

    /// Groups to be flushed, each once.
    pub(super) fn flushed_groups(
        &mut self,
        field: &str,
        names: &[String],
        encoding: Option<Encoding>,
    ) -> Option<Vec<GroupName>> {
        if names.is_empty() {
            return self.refuse(field, "is empty; name at least one group");
        }
        let mut names = self.group_names(field, names, encoding)?;
        names.sort_unstable();
        names.dedup();
        Some(names)
    }

    /// The groups of a scope; none for all.
    pub(super) fn watched_groups(
        &mut self,
        names: &[String],
        caches: usize,
        encoding: Option<Encoding>,
    ) -> Option<Vec<GroupName>> {
        if !names.is_empty() && caches != 1 {
            return self.refuse("groups", "needs exactly one name in `caches`");
        }
        self.group_names("groups", names, encoding)
    }

    fn group_names(
        &mut self,
        field: &str,
        names: &[String],
        encoding: Option<Encoding>,
    ) -> Option<Vec<GroupName>> {
        if !names.is_empty() && encoding == Some(Encoding::Raw) {
            return self.refuse(field, RAW);
        }
        self.batch(field, names.len(), names.iter().map(String::len).sum())?;
        let mut group = |(place, name): (usize, &String)| match GroupName::new(name) {
            Ok(name) => Some(name),
            Err(error) => self.refuse(&format!("{field}[{place}]"), error.to_string()),
        };
        // Every name is looked at before a wrong one ends the assembly.
        let checked: Vec<Option<GroupName>> = names.iter().enumerate().map(&mut group).collect();
        checked.into_iter().collect()
    }
}
