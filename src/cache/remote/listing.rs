//! Listing the keys that have the name of a cache, in steps.
//!
//! Not here: whether their entries are alive, which is for whoever reads or removes them.

use std::sync::Arc;

use crate::model::{CacheId, Fault, Key};
use crate::upstream::{Operation, Session};

use super::super::load::Cursor;
use super::super::store::other_lineage;
use super::Core;
use super::sweep::start;

impl Core {
    /// One step. A cursor is good on the node and in the history that it came from.
    pub(super) async fn keys_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<Key>, Option<Cursor>), Fault> {
        let lineage = session.lineage();
        let at = match cursor {
            None => start(),
            Some(cursor) if cursor.lineage == lineage => cursor.at.clone(),
            Some(_) => return Err(other_lineage()),
        };
        let (next, names) = self
            .sweeper
            .scan(&session, cache, &at, Operation::Scan)
            .await?;
        let keys = names.iter().filter_map(|name| self.layout.key(cache, name));
        let next = (next != start()).then_some(Cursor { at: next, lineage });
        Ok((keys.collect(), next))
    }
}
