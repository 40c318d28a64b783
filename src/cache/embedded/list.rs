//! Lists of the embedded store.
//!
//! Not here: what a list looks like, and how it is changed (`cache::list`).

use crate::model::{CacheId, Condition, Expiry, Fault, PutOutcome, Value};

use super::super::list;
use super::super::store::{Edited, ListEdit, Put};
use super::state::{Now, State};

impl State {
    /// Changes a list, once per operation; tells whether anything was changed just now.
    pub(super) fn edit_list(
        &mut self,
        cache: &CacheId,
        edit: ListEdit,
        random: u64,
        now: Now,
    ) -> Result<(Edited, bool), Fault> {
        let id = bytes::Bytes::copy_from_slice(&edit.operation_id);
        let named = (cache.clone(), edit.key.clone().into_owned(), id);
        let once = !edit.operation_id.is_empty();
        if once && let Some(answer) = self.edits.answer(&named, now.clock) {
            return Ok((answer, false));
        }
        let held = self.entry(cache, &edit.key, now);
        let before = match &held {
            None => Vec::new(),
            Some((Value::Null, _)) => return Err(list::not_a_list()),
            Some((Value::Data(bytes), _)) => list::decode(bytes)?,
        };
        let members = list::edit(&before, &edit);
        let bytes = list::encode(&members);
        list::check(&members, &bytes, edit.largest)?;
        let (version, changed) = match held {
            Some((_, version)) if members == before => {
                // What is being loaded may lack what the list has.
                self.loads.note(cache, &edit.key);
                (version, false)
            }
            held => {
                // A list stays in its groups.
                let groups = self.groups(cache, &edit.key, now);
                let put = Put {
                    key: edit.key,
                    value: Value::Data(bytes),
                    expiry: match held {
                        Some(_) => Expiry::Keep,
                        None => Expiry::CacheDefault,
                    },
                    condition: Condition::None,
                    groups,
                    lease: None,
                };
                match self.put(cache, put, random, now)? {
                    PutOutcome::Stored(version) => (version, true),
                    PutOutcome::NotStored(_) => return Err(list::not_a_list()),
                }
            }
        };
        let answer = Edited { members, version };
        if once {
            self.edits.remember(named, answer.clone(), now.clock);
        }
        Ok((answer, changed))
    }
}
