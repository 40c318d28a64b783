//! Scripts that must know whether an entry is alive, where that depends on its groups.
//!
//! A script may look at the keys that were declared, and only the entry knows whose stamps it needs. So the caller
//! declares what it believes in, and a script that meets other groups changes nothing and asks for them
//! (`scripts/groups.lua`); then it is sent again with those declared as well. That ends as soon as nobody changes the
//! groups of the entry in between, and after [`ROUNDS`] in any case.
//!
//! Invariants: a batch answers in order, one reply for each item; an item comes after those of its own key that were
//! before it in the batch, also where one of these had to ask. What was answered in an earlier round stays answered when
//! the link breaks in a later one.
//!
//! Not here: reads of values, which judge for themselves (`read`).

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Bound;
use crate::model::{CacheId, Cause, Fault, GroupName, Groups, Key};
use crate::upstream::{Batch, Effect, Operation, Reply, Script, Session};

use super::super::layout::{Layout, Usage};
use super::super::quota::Whose;
use super::scripts::Change;
use super::write::only;
use super::{Core, Sent};

/// How often an item is sent. More than one change of its groups between two of them is very unlikely.
const ROUNDS: usize = 5;

/// What a script answers first when it asks for groups.
const ASKS: Reply = Reply::Int(-1);

/// What a script answers when an entry would be in too many groups.
const TOO_MANY: Reply = Reply::Int(-2);

/// What a script answers first when a write would be more than a quota allows; then whose, of what, and how much is used.
const BEYOND: Reply = Reply::Int(-3);

/// Groups whose stamps a script may look at.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    names: Vec<GroupName>,
}

impl Declared {
    /// Those that an entry is about to join.
    pub(super) fn joining(groups: &Groups) -> Self {
        Self {
            names: groups.iter().cloned().collect(),
        }
    }

    /// These.
    pub(super) fn these(names: Vec<GroupName>) -> Self {
        Self { names }
    }

    fn add(&mut self, names: Vec<GroupName>) {
        for name in names {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    /// Appends a call of a script that includes `groups.lua`.
    pub(super) fn call(
        &self,
        batch: &mut Batch,
        script: &Script,
        call: (Vec<Bytes>, Vec<Bytes>),
        place: (&Layout, &CacheId),
    ) {
        self.append(batch, script, call, place, &Usage::default());
    }

    /// The same of a script that changes entries, and counts them where that is asked for.
    pub(super) fn change(
        &self,
        batch: &mut Batch,
        change: &Change,
        call: (Vec<Bytes>, Vec<Bytes>),
        (layout, cache): (&Layout, &CacheId),
    ) {
        let usage = layout.usage(cache);
        let script = match usage.keys.is_empty() {
            true => &change.plain,
            false => &change.counting,
        };
        self.append(batch, script, call, (layout, cache), &usage);
    }

    fn append(
        &self,
        batch: &mut Batch,
        script: &Script,
        (mut keys, mut arguments): (Vec<Bytes>, Vec<Bytes>),
        (layout, cache): (&Layout, &CacheId),
        usage: &Usage,
    ) {
        keys.extend_from_slice(&usage.keys);
        keys.extend(self.names.iter().map(|name| layout.group(cache, name)));
        let name = |name: &GroupName| Bytes::copy_from_slice(name.as_str().as_bytes());
        arguments.extend(self.names.iter().map(name));
        arguments.push(format!("{}{}", self.names.len(), usage.bounds).into());
        batch.script(script, &keys, &arguments);
    }
}

/// One item of a batch.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) key: &'a Key,
    /// Whether its script judges the entry, and so may ask.
    pub(super) judges: bool,
    pub(super) declared: Declared,
}

/// How far an item is.
struct Pending<'a> {
    item: Item<'a>,
    sent: usize,
    reply: Option<Reply>,
}

impl Core {
    /// Sends a write for each item, and those again that ask for groups. `add` appends the command of the item at that
    /// place, with the groups that are declared.
    ///
    /// # Errors
    /// The first fault, if nothing was answered before it; else it is that of the items that were not answered.
    pub(super) async fn send_judged(
        &self,
        session: &Arc<Session>,
        (operation, cache): (Operation, &CacheId),
        items: Vec<Item<'_>>,
        add: impl Fn(&mut Batch, usize, &Declared),
    ) -> Result<Sent, Fault> {
        let pending = |item| Pending {
            item,
            sent: 0,
            reply: None,
        };
        let mut items: Vec<Pending<'_>> = items.into_iter().map(pending).collect();
        let (mut token, mut attached) = (None, 0);
        loop {
            let round = next_round(&items);
            if round.is_empty() {
                break;
            }
            let mut batch = Batch::new(operation, Effect::Write);
            for at in &round {
                add(&mut batch, *at, &items[*at].item.declared);
            }
            let sent = match operation {
                Operation::Put | Operation::Load => self.send_puts(session, cache, batch).await,
                _ => self.send_write(session, batch).await,
            };
            match sent {
                Ok(sent) => {
                    (token, attached) = (sent.token, sent.attached);
                    for (at, reply) in round.into_iter().zip(sent.replies) {
                        items[at].answered(reply);
                    }
                }
                Err(fault) if items.iter().all(|item| item.reply.is_none()) => return Err(fault),
                Err(fault) => {
                    let unsent = |at: usize| !round.contains(&at);
                    let waits = Fault::not_applied(fault.cause, fault.detail.clone());
                    for (at, item) in items.iter_mut().enumerate() {
                        let fault = if unsent(at) { &waits } else { &fault };
                        item.reply
                            .get_or_insert_with(|| Reply::Failed(fault.clone()));
                    }
                }
            }
        }
        let replies = items.into_iter().filter_map(|item| item.reply);
        let replies = replies.map(|reply| self.within_quota(cache, reply));
        let replies = replies.collect();
        Ok(Sent {
            replies,
            token,
            attached,
        })
    }
}

impl Core {
    /// The reply, or the fault of one that says that the write would be more than a quota allows.
    fn within_quota(&self, cache: &CacheId, reply: Reply) -> Reply {
        let Reply::Array(fields) = &reply else {
            return reply;
        };
        let [
            BEYOND,
            Reply::Int(whose),
            Reply::Int(bound),
            Reply::Int(used),
        ] = fields.as_slice()
        else {
            return reply;
        };
        let whose = match whose {
            1 => Whose::Cache,
            _ => Whose::Tenant,
        };
        let bound = match bound {
            1 => Bound::Entries,
            _ => Bound::Bytes,
        };
        let used = used.unsigned_abs();
        Reply::Failed(self.allowance.exceeded((cache, whose), bound, used))
    }

    /// As [`Self::send_judged`], for one script that changes nothing; returns what it answers.
    pub(super) async fn ask_judged(
        &self,
        session: &Arc<Session>,
        operation: Operation,
        add: impl Fn(&mut Batch, &Declared),
    ) -> Result<Reply, Fault> {
        let mut declared = Declared::default();
        for _ in 0..ROUNDS {
            let mut batch = Batch::new(operation, Effect::Read);
            add(&mut batch, &declared);
            let reply = only(self.send(session, batch).await?)?;
            match asked_for(&reply) {
                None => return Ok(reply),
                Some(names) => declared.add(names),
            }
        }
        Err(contended())
    }
}

impl Pending<'_> {
    fn answered(&mut self, reply: Reply) {
        self.sent += 1;
        self.reply = match asked_for(&reply) {
            None => Some(reply),
            Some(_) if self.sent >= ROUNDS => Some(Reply::Failed(contended())),
            Some(names) => {
                self.item.declared.add(names);
                None
            }
        };
    }
}

/// What is sent next: everything that is not answered, but nothing that comes after an item of its own key that may ask.
fn next_round(items: &[Pending<'_>]) -> Vec<usize> {
    let mut asking: HashSet<&Key> = HashSet::new();
    let mut round = Vec::new();
    for (at, pending) in items.iter().enumerate() {
        if pending.reply.is_some() || asking.contains(pending.item.key) {
            continue;
        }
        round.push(at);
        if pending.item.judges {
            asking.insert(pending.item.key);
        }
    }
    round
}

/// The groups that a script asks for; names that are none are of no entry of ours.
fn asked_for(reply: &Reply) -> Option<Vec<GroupName>> {
    let Reply::Array(fields) = reply else {
        return None;
    };
    let (first, names) = fields.split_first()?;
    let name = |name: &Reply| match name {
        Reply::Bytes(name) => GroupName::new(std::str::from_utf8(name).ok()?).ok(),
        _ => None,
    };
    // Without a name it is an answer, as that of an entry without expiry is.
    let asks = *first == ASKS && !names.is_empty();
    asks.then(|| names.iter().filter_map(name).collect())
}

/// Whether a script refused because an entry would be in too many groups.
pub(super) fn is_too_many(fields: &[Reply]) -> bool {
    fields == [TOO_MANY]
}

fn contended() -> Fault {
    Fault::not_applied(
        Cause::Contended,
        format!(
            "others changed the groups of the entry in each of {ROUNDS} attempts; repeat the call"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Key {
        Key::new(Bytes::from_static(name.as_bytes())).expect("key")
    }

    fn items<'a>(keys: &'a [Key], judges: &[bool]) -> Vec<Pending<'a>> {
        let item = |(key, judges): (&'a Key, &bool)| Pending {
            item: Item {
                key,
                judges: *judges,
                declared: Declared::default(),
            },
            sent: 0,
            reply: None,
        };
        keys.iter().zip(judges).map(item).collect()
    }

    fn asks(name: &'static str) -> Reply {
        Reply::Array(vec![
            ASKS,
            Reply::Bytes(Bytes::from_static(name.as_bytes())),
        ])
    }

    #[test]
    fn an_item_waits_for_those_of_its_key_that_may_ask() {
        let keys = [key("a"), key("a"), key("b"), key("a"), key("b")];
        let mut items = items(&keys, &[false, true, true, false, false]);
        assert_eq!(next_round(&items), [0, 1, 2]);
        items[0].answered(Reply::Int(1));
        items[1].answered(asks("g"));
        items[2].answered(Reply::Int(1));
        assert_eq!(next_round(&items), [1, 4]);
        assert_eq!(items[1].item.declared.names.len(), 1);
        items[1].answered(Reply::Int(1));
        items[4].answered(Reply::Int(1));
        assert_eq!(next_round(&items), [3]);
    }

    #[test]
    fn asking_ends() {
        let keys = [key("a")];
        let mut items = items(&keys, &[true]);
        for name in ["a", "b", "c", "d", "e"] {
            assert_eq!(next_round(&items), [0]);
            items[0].answered(asks(name));
        }
        assert_eq!(next_round(&items), [0; 0]);
        assert!(matches!(
            &items[0].reply,
            Some(Reply::Failed(fault)) if fault.cause == Cause::Contended
        ));
    }
}
