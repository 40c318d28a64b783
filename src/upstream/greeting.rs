//! What a session asks its node before anybody uses it, and how the answers are read.
//!
//! Sources: <https://redis.io/docs/latest/commands/role/>, <https://redis.io/docs/latest/commands/client-tracking/>,
//! <https://redis.io/docs/latest/commands/client-trackinginfo/>, <https://redis.io/docs/latest/commands/info/>.

use crate::model::{Cause, Fault, History, HistoryId, Lineage, Master, Point};

use super::batch::{Batch, Effect, Operation};
use super::reply::Reply;

/// Role, tracking, what became of it, history.
pub(super) fn batch(tracking: bool) -> Batch {
    let mut batch = Batch::new(Operation::Greeting, Effect::Read);
    batch
        .command("ROLE", &[])
        .command("INFO", &[b"replication"]);
    if tracking {
        batch
            .command("CLIENT", &[b"TRACKING", b"ON"])
            .command("CLIENT", &[b"TRACKINGINFO"]);
    }
    batch
}

/// Which writes a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) lineage: Lineage,
    pub(super) history: History,
}

/// The past of a master that, if asked to, tracks what this connection reads.
pub(super) fn read(replies: Vec<Reply>, tracking: bool, master: &Master) -> Result<Past, Fault> {
    let mut replies = replies.into_iter();
    master_offset(replies.next().as_ref(), master)?;
    let refused = |fault: Fault, what: &str| {
        let detail = format!(
            "{}: {what} is refused ({}); allow the ACL user +@connection +info",
            master.endpoint, fault.detail
        );
        Fault::not_applied(fault.cause, detail)
    };
    let found = match replies.next() {
        Some(Reply::Bytes(text)) => past(&String::from_utf8_lossy(&text), master.epoch),
        Some(Reply::Failed(fault)) => return Err(refused(fault, "INFO")),
        _ => None,
    };
    let past = found.ok_or_else(|| shapeless("INFO"))?;
    if !tracking {
        return Ok(past);
    }
    if let Some(Reply::Failed(fault)) = replies.next() {
        return Err(refused(fault, "CLIENT TRACKING"));
    }
    match replies.next() {
        Some(Reply::Map(fields)) if is_default_mode(&fields) => Ok(past),
        Some(Reply::Failed(fault)) => Err(refused(fault, "CLIENT TRACKINGINFO")),
        _ => Err(Fault::not_applied(
            Cause::RedisRefused,
            format!(
                "{} does not track what it is asked to; is there a proxy in between?",
                master.endpoint
            ),
        )),
    }
}

/// The offset in the answer to ROLE of a master.
pub(super) fn master_offset(reply: Option<&Reply>, master: &Master) -> Result<u64, Fault> {
    let fields = match reply {
        Some(Reply::Array(fields)) => fields,
        Some(Reply::Failed(fault)) => return Err(fault.clone()),
        _ => return Err(shapeless("ROLE")),
    };
    match fields.as_slice() {
        [Reply::Bytes(role), Reply::Int(offset), ..] if role.as_ref() == b"master" => {
            Ok(u64::try_from(*offset).unwrap_or(0))
        }
        [Reply::Bytes(role), ..] if role.as_ref() != b"master" => Err(Fault::not_applied(
            Cause::NotAMaster,
            format!(
                "{} has the role {}",
                master.endpoint,
                String::from_utf8_lossy(role)
            ),
        )),
        _ => Err(shapeless("ROLE")),
    }
}

/// Exactly "on": each other flag (bcast, optin, noloop, broken_redirect ...) breaks a premise of the near cache.
fn is_default_mode(fields: &[(Reply, Reply)]) -> bool {
    fields.iter().any(|(name, value)| {
        matches!(name, Reply::Bytes(name) if name.as_ref() == b"flags")
            && matches!(value, Reply::Array(flags)
                if matches!(flags.as_slice(), [Reply::Bytes(flag)] if flag.as_ref() == b"on"))
    })
}

fn past(info: &str, epoch: u64) -> Option<Past> {
    let field = |name: &str| {
        let mut values = info.lines().filter_map(|line| line.strip_prefix(name));
        values
            .next()
            .and_then(|rest| rest.strip_prefix(':'))
            .map(str::trim)
    };
    let id = field("master_replid").filter(|id| !id.is_empty())?;
    // The offset of the first byte that is not shared; -1 where there is no other history.
    let unshared = field("second_repl_offset").and_then(|offset| offset.parse::<u64>().ok());
    let before = unshared
        .zip(field("master_replid2"))
        .map(|(unshared, id)| Point {
            history: HistoryId::new(id),
            offset: unshared.saturating_sub(1),
        });
    Some(Past {
        lineage: Lineage::new(epoch, id),
        history: History {
            id: HistoryId::new(id),
            before,
        },
    })
}

fn shapeless(command: &str) -> Fault {
    Fault::not_applied(
        Cause::RedisRefused,
        format!("{command} was answered with an unexpected shape"),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn text(text: &'static str) -> Reply {
        Reply::Bytes(Bytes::from_static(text.as_bytes()))
    }

    fn master() -> Master {
        Master {
            endpoint: "10.0.0.1:6379".parse().expect("endpoint"),
            epoch: 1,
        }
    }

    fn replies(flags: Vec<Reply>) -> Vec<Reply> {
        vec![
            Reply::Array(vec![text("master"), Reply::Int(7), Reply::Array(vec![])]),
            text(
                "# Replication\r\nrole:master\r\nmaster_replid:abc\r\nmaster_replid2:def\r\n\
                 master_repl_offset:90\r\nsecond_repl_offset:71\r\n",
            ),
            text("OK"),
            Reply::Map(vec![
                (text("flags"), Reply::Array(flags)),
                (text("redirect"), Reply::Int(0)),
            ]),
        ]
    }

    #[test]
    fn a_master_that_tracks_tells_its_history() {
        let past = read(replies(vec![text("on")]), true, &master()).expect("a master");
        assert_eq!(past.lineage, Lineage::new(1, "abc"));
        let at = |id, offset| Point {
            history: HistoryId::new(id),
            offset,
        };
        assert!(past.history.includes(at("abc", 90)));
        assert!(past.history.includes(at("def", 70)));
        assert!(!past.history.includes(at("def", 71)));
    }

    #[test]
    fn tracking_in_any_other_mode_is_refused() {
        for flags in [
            vec![],
            vec![text("off")],
            vec![text("on"), text("noloop")],
            vec![text("on"), text("bcast")],
        ] {
            let fault = read(replies(flags), true, &master()).expect_err("refused");
            assert_eq!(fault.cause, Cause::RedisRefused);
        }
    }

    #[test]
    fn a_replica_is_no_master() {
        let mut replies = replies(vec![text("on")]);
        replies[0] = Reply::Array(vec![text("slave"), text("10.0.0.2"), Reply::Int(6379)]);
        let fault = read(replies, true, &master()).expect_err("refused");
        assert_eq!(fault.cause, Cause::NotAMaster);
    }

    #[test]
    fn a_refused_command_names_the_remedy() {
        let mut replies = replies(vec![text("on")]);
        let noperm = Fault::not_applied(Cause::RedisPermissionDenied, "NOPERM");
        replies[2] = Reply::Failed(noperm);
        let fault = read(replies, true, &master()).expect_err("refused");
        assert_eq!(fault.cause, Cause::RedisPermissionDenied);
        assert!(fault.detail.contains("+@connection"), "{}", fault.detail);
    }
}
