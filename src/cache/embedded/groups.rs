//! Groups in the embedded store.
//!
//! Nobody else has copies that a stamp would have to tell, so a flush removes the members, as a clear removes entries.
//!
//! Not here: what waits for a value (`pending`).

use crate::model::{CacheId, Fault, GroupName, Groups, Key};

use super::super::store::too_many_groups;
use super::entries::weight;
use super::state::{Now, State, own_place};

impl State {
    /// The groups of an entry.
    pub(super) fn groups(&mut self, cache: &CacheId, key: &Key, now: Now) -> Groups {
        let entry = self.live(cache, key, now);
        entry.map(|entry| entry.groups).unwrap_or_default()
    }

    /// Makes a live entry a member; before there is one, the groups wait for it. Tells whether there was one.
    pub(super) fn add_to_groups(
        &mut self,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
        now: Now,
    ) -> Result<bool, Fault> {
        let Some(mut entry) = self.live(cache, key, now) else {
            self.pending.add(cache, key, groups, now.clock)?;
            return Ok(false);
        };
        entry.groups = entry.groups.with(groups).map_err(|_| too_many_groups())?;
        self.check_weight(weight(key, &entry.value, &entry.groups))?;
        self.entries.insert(own_place(cache, key), entry);
        Ok(true)
    }

    /// Removes the members of these groups. There is nobody else whom a stamp could tell.
    pub(super) fn flush_groups(&mut self, cache: &CacheId, groups: &[GroupName], now: Now) {
        self.entries.retain(|place, entry| {
            let member = groups.iter().any(|group| entry.groups.contains(group));
            place.cache != *cache || !member
        });
        self.pending.forget_old(now.clock);
        self.pending.flush(cache, groups);
        self.leases.flush(cache, groups);
        self.loads.flush(cache, groups);
    }
}
