//! Reading a whole cache, step by step.
//!
//! Invariants: one step is held at a time; only live entries are told, as Get on the master would tell them, whoever
//! else has keys of the same name. No promise of one moment.
//!
//! Not here: listing keys (`load::Bulk`), the stream (`grpc`).

use std::sync::Arc;

use crate::call::Call;
use crate::model::{CacheId, Cause, Consistency, Fault, Hit, Key, Lookup};

use super::load::Cursor;
use super::path::Cache;
use super::store::Store;

/// Entries that are read in one step.
const STEP: usize = 250;

/// A cache being read.
#[derive(Debug)]
pub struct Scanning<S> {
    cache: Arc<Cache<S>>,
    call: Call,
    id: CacheId,
    keys: Vec<Key>,
    cursor: Option<Cursor>,
    listed: bool,
}

impl<S: Store> Cache<S> {
    /// Begins to read a cache.
    pub fn scan(self: &Arc<Self>, call: Call, id: CacheId) -> Scanning<S> {
        Scanning {
            cache: self.clone(),
            call,
            id,
            keys: Vec::new(),
            cursor: None,
            listed: false,
        }
    }
}

impl<S: Store> Scanning<S> {
    /// Some more entries; `None` when there are no more.
    ///
    /// # Errors
    /// See [`Fault`]; begin again.
    pub async fn next(&mut self) -> Result<Option<Vec<(Key, Hit)>>, Fault> {
        loop {
            if !self.keys.is_empty() {
                let found = self.read().await?;
                if !found.is_empty() {
                    return Ok(Some(found));
                }
            } else if self.listed {
                return Ok(None);
            } else {
                let deadline = self.call.deadline();
                let listed = self
                    .cache
                    .store()
                    .keys(&self.id, self.cursor.take(), deadline);
                (self.keys, self.cursor) = self.call.read(listed).await?;
                self.listed = self.cursor.is_none();
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<(Key, Hit)>, Fault> {
        let rest = self.keys.len().saturating_sub(STEP);
        let keys = self.keys.split_off(rest);
        self.cache.allowance.debit(&self.id, keys.len());
        let read = self
            .cache
            .read(self.call, &self.id, &keys, Consistency::Master);
        let items = read.await?;
        let mut found = Vec::new();
        for (place, (key, item)) in keys.into_iter().zip(items).enumerate() {
            match item {
                Ok(Lookup::Hit(hit)) => found.push((key, hit)),
                Ok(Lookup::Miss(_)) => {}
                // It fits as soon as it is asked for without those before it, dead or alive.
                Err(fault) if fault.cause == Cause::AnswerTooLarge && place > 0 => {
                    self.keys.push(key);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(found)
    }
}
