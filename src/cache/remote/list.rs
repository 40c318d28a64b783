//! Lists.
//!
//! Invariants: as for counters, a call that bears an operation id is done once, and one without is not sent again when
//! it may have been applied. Unlike a counter, a list is a value: what a failover loses of it goes by the journal.
//!
//! Not here: what a list looks like (`cache::list`).

use std::sync::Arc;

use bytes::Bytes;

use crate::config::Encoding;
use crate::failover::Repeat;
use crate::model::{CacheId, Durability, Expiry, Fault, Value, Version};
use crate::upstream::{Batch, Operation, Reply, Session};

use super::super::frame;
use super::super::list::{self, MOST_MEMBERS, not_a_list, too_large};
use super::super::store::{Edited, ListEdit, Write, Written};
use super::expiry::arguments;
use super::journal::Wrote;
use super::judged::{Declared, Item};
use super::write::only;
use super::{Core, new_stamp, new_version, strange};

impl Core {
    pub(super) async fn edit(
        &self,
        cache: &CacheId,
        edit: &ListEdit,
        write: Write,
    ) -> Result<Written<Edited>, Fault> {
        let mut own = self.own_write(cache, [edit.key.clone()]);
        let repeat = Repeat::harmless(!edit.operation_id.is_empty());
        let attempt = |session| self.edit_once(session, cache, edit, write.durability);
        let patience = self.patience(&write, edit.weight());
        let edited = self.passage.persist(patience, repeat, attempt).await;
        let (edited, changed) = edited.inspect_err(|fault| own.failed(fault))?;
        own.changed([changed]);
        Ok(edited)
    }

    /// Also tells whether anything was changed.
    async fn edit_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        edit: &ListEdit,
        durability: Durability,
    ) -> Result<(Written<Edited>, bool), Fault> {
        let version = new_version(&session);
        let add = |batch: &mut Batch, _, declared: &Declared| {
            batch.answered_at_length();
            let call = self.edit_call(cache, edit, &version);
            let script = &self.scripts.list_edit;
            declared.change(batch, script, call, (&self.layout, cache));
        };
        let item = Item {
            key: &edit.key,
            judges: true,
            declared: Declared::default(),
        };
        let wrote = |version| (&edit.key, Wrote::Value(version));
        let what = (Operation::ListEdit, cache);
        let sent = match self.send_judged(&session, what, vec![item], add).await {
            Ok(sent) => sent,
            Err(fault) => {
                return Err(self.doubted(&session, cache, [wrote(version.clone())], fault));
            }
        };
        let Reply::Array(fields) = only(sent.replies.clone())? else {
            return Err(strange(only(sent.replies)?));
        };
        let (version, bytes, changed) = match fields.as_slice() {
            [
                Reply::Int(1),
                Reply::Bytes(version),
                Reply::Bytes(bytes),
                Reply::Int(changed),
            ] => {
                let version = Version::from_caller(version.clone());
                let version = version.ok_or_else(|| strange(Reply::Nil))?;
                (version, bytes, *changed == 1)
            }
            [Reply::Int(0), Reply::Bytes(why)] if why.as_ref() == b"L" => return Err(too_large()),
            [Reply::Int(0), Reply::Bytes(_)] => return Err(not_a_list()),
            _ => return Err(strange(Reply::Nil)),
        };
        if changed {
            self.remember(cache, wrote(version.clone()), session.place(sent.token));
        }
        self.secure(&session, &sent, durability).await?;
        let members = list::decode(bytes).map_err(|_| strange(Reply::Nil))?;
        let written = Written {
            answer: Edited { members, version },
            token: sent.token,
        };
        Ok((written, changed))
    }

    fn edit_call(
        &self,
        cache: &CacheId,
        edit: &ListEdit,
        version: &Version,
    ) -> (Vec<Bytes>, Vec<Bytes>) {
        let kept = match edit.operation_id.is_empty() {
            true => Bytes::new(),
            false => {
                let kept = self.passage.remembered();
                kept.as_millis().to_string().into()
            }
        };
        let mut keys = vec![
            self.layout.entry(cache, &edit.key),
            self.layout.operation(cache, &edit.key, &edit.operation_id),
            self.layout.deadline(cache, &edit.key),
            self.layout.deadlines(cache),
            self.layout.load_notes(cache),
        ];
        let policy = self.rules.policy(&cache.name);
        let header = match policy.encoding {
            Encoding::Framed => {
                keys.push(self.layout.stamp(cache));
                keys.push(self.layout.pending(cache, &edit.key));
                keys.push(self.layout.lease(cache, &edit.key));
                frame::header(&Value::Data(Bytes::new()), version)
            }
            Encoding::Raw => Bytes::new(),
        };
        let expiry = arguments(Expiry::CacheDefault, policy.default_ttl(rand::random()));
        let number = |number: u64| Bytes::from(number.to_string());
        let mut arguments = vec![
            expiry.kind,
            expiry.ms,
            kept,
            new_stamp(),
            header,
            number(edit.largest),
            number(MOST_MEMBERS as u64),
            number(edit.remove.len() as u64),
            number(edit.add.len() as u64),
        ];
        arguments.extend(edit.remove.iter().chain(&edit.add).cloned());
        (keys, arguments)
    }
}
