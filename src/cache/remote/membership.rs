//! Judging what a read found by its groups.
//!
//! An entry is alive only while the stamp of each of its groups is the one in its header. Which groups these are is known
//! when the entry has been read, so their stamps are those of the local table, where it knows them, or are read then, on
//! the same session. That they are read later than the entry is right: a stamp never comes back, so if it is the same
//! later, it was the same at the moment of the read; and if it is not, there was a flush in between, at which the entry
//! was a miss.
//!
//! The table is as good as a read on the session that keeps it, up to pushes that are on their way: enough for an answer
//! that may be as old as the staleness bound, and not for one that must reflect a flush that was just acknowledged.
//!
//! Not here: writes, whose scripts judge (`judged`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{CacheId, Fault, GroupName, Token};
use crate::near::{Found, Mark, Slot, group_mark};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame::{Member, STAMP_BYTES};
use super::Core;
use super::read::{Seen, no_reply};

/// Stamps in one command, so that no command holds Redis up for long.
const STEP: usize = 1000;

/// Length of what the key of a group's stamp holds: the stamp, and the number of the flush.
const HELD_BYTES: usize = STAMP_BYTES + 8;

/// Whether the local table will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamps {
    /// What it knows is not read again.
    Known,
    /// Every stamp is read after the entry.
    Asked,
}

impl Stamps {
    /// For a read with that bound which must reflect that write.
    pub(super) fn of(bound: Duration, token: Option<Token>) -> Self {
        if token.is_some() || bound.is_zero() {
            Self::Asked
        } else {
            Self::Known
        }
    }
}

/// What a read found, if its groups agree.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) seen: Seen,
    pub(super) members: Vec<Member>,
}

/// What is known about the stamp of a group.
struct Group {
    key: Bytes,
    slot: Option<Arc<Slot>>,
    mark: Option<Mark>,
}

impl Core {
    /// Judges one.
    pub(super) async fn judge(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        claim: Claim,
        stamps: Stamps,
    ) -> Result<Seen, Fault> {
        if claim.members.is_empty() {
            return Ok(claim.seen);
        }
        let judged = self
            .judge_all(session, cache, vec![Ok(claim)], stamps)
            .await?;
        judged.into_iter().next().unwrap_or_else(|| Err(no_reply()))
    }

    /// Judges several, with one read for the stamps of all of them.
    pub(super) async fn judge_all(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        claims: Vec<Result<Claim, Fault>>,
        stamps: Stamps,
    ) -> Result<Vec<Result<Seen, Fault>>, Fault> {
        let mut groups = HashMap::new();
        let members = claims.iter().flatten().flat_map(|claim| &claim.members);
        for member in members {
            if !groups.contains_key(&member.group) {
                let known = self.group(session, cache, &member.group, stamps);
                groups.insert(member.group.clone(), known);
            }
        }
        let unknown = groups.values_mut().filter(|group| group.mark.is_none());
        self.ask_for_stamps(session, unknown.collect()).await?;
        let judge = |claim: Result<Claim, Fault>| Ok(verdict(claim?, &groups));
        Ok(claims.into_iter().map(judge).collect())
    }

    fn group(&self, session: &Session, cache: &CacheId, name: &GroupName, stamps: Stamps) -> Group {
        let near = &self.coherence.near;
        let key = self.layout.group(cache, name);
        let slot = near
            .slot(&self.layout.stamp(cache), cache)
            .and_then(|of| near.group(&key, &of, name));
        let mark = match &slot {
            Some(slot) if stamps == Stamps::Known => slot.known_in(session.generation()),
            _ => None,
        };
        Group { key, slot, mark }
    }

    async fn ask_for_stamps(
        &self,
        session: &Arc<Session>,
        mut groups: Vec<&mut Group>,
    ) -> Result<(), Fault> {
        if groups.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        for step in groups.chunks(STEP) {
            let keys: Vec<&[u8]> = step.iter().map(|group| group.key.as_ref()).collect();
            batch.command("MGET", &keys);
        }
        // Before the read is sent: a push that overtakes it is one more.
        let pushes: Vec<u64> = groups
            .iter()
            .map(|group| group.slot.as_ref().map_or(0, |slot| slot.pushes()))
            .collect();
        let replies = self.send(session, batch).await?;
        let mut held = Vec::with_capacity(groups.len());
        for reply in replies {
            match reply {
                Reply::Array(values) => held.extend(values),
                Reply::Failed(fault) => return Err(fault),
                _ => return Err(no_reply()),
            }
        }
        if held.len() != groups.len() {
            return Err(no_reply());
        }
        for ((group, held), pushes) in groups.iter_mut().zip(&held).zip(pushes) {
            let mark = mark(held);
            if let Some(slot) = &group.slot {
                slot.learn(session.generation(), mark, pushes);
            }
            group.mark = Some(mark);
        }
        Ok(())
    }
}

/// What counts of the key of a stamp; what is damaged is as good as lost.
fn mark(held: &Reply) -> Mark {
    match held {
        Reply::Bytes(held) if held.len() == HELD_BYTES => {
            held.first_chunk().and_then(|stamp| group_mark(*stamp))
        }
        _ => None,
    }
}

fn verdict(claim: Claim, groups: &HashMap<GroupName, Group>) -> Seen {
    let of = |member: &Member| groups.get(&member.group);
    let current = |member: &Member| {
        of(member).is_some_and(|group| group.mark == Some(group_mark(member.stamp)))
    };
    if !claim.members.iter().all(current) {
        return Seen {
            found: Found::Absent,
            ttl: None,
            ..claim.seen
        };
    }
    let kept = |member: &Member| Some((of(member)?.slot.clone()?, group_mark(member.stamp)));
    Seen {
        members: claim.members.iter().map(kept).collect(),
        ..claim.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> GroupName {
        GroupName::new(name).expect("group")
    }

    fn claim(members: &[(&str, u8)]) -> Claim {
        Claim {
            seen: Seen {
                found: Found::Present(
                    crate::model::Value::Null,
                    crate::model::Version::unique(1, 2, 3),
                ),
                mark: None,
                ttl: None,
                members: Some(Vec::new()),
            },
            members: members
                .iter()
                .map(|(group, stamp)| Member {
                    group: name(group),
                    stamp: [*stamp; STAMP_BYTES],
                })
                .collect(),
        }
    }

    fn held(stamp: u8) -> Reply {
        Reply::Bytes(Bytes::from(
            [[stamp; STAMP_BYTES].to_vec(), vec![0; 8]].concat(),
        ))
    }

    #[test]
    fn an_entry_is_alive_while_all_its_groups_are() {
        let group = |reply: &Reply| Group {
            key: Bytes::new(),
            slot: None,
            mark: Some(mark(reply)),
        };
        let groups = HashMap::from([
            (name("a"), group(&held(1))),
            (name("b"), group(&held(2))),
            (name("lost"), group(&Reply::Nil)),
            (
                name("cut"),
                group(&Reply::Bytes(Bytes::from_static(&[3; STAMP_BYTES]))),
            ),
        ]);
        let alive = |members| verdict(claim(members), &groups).found != Found::Absent;
        assert!(alive(&[]));
        assert!(alive(&[("a", 1), ("b", 2)]));
        assert!(!alive(&[("a", 1), ("b", 1)]));
        assert!(!alive(&[("lost", 0)]) && !alive(&[("cut", 3)]) && !alive(&[("never", 0)]));
        // Without a place for its stamps it is alive, and not kept.
        assert!(verdict(claim(&[("a", 1)]), &groups).members.is_none());
        assert!(verdict(claim(&[]), &groups).members.is_some());
    }
}
