//! What Redis answers, as sessions.
//!
//! Invariants: a hash without the fields of a session is none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::model::{Cause, Fault};
use crate::upstream::Reply;

use super::super::session::{Attributes, Bounds, Principal, Session, SessionId, Size};
use super::super::store::Found;

/// Before the name of an attribute, so that it is told apart from the fields of the session itself.
const ATTRIBUTE: &str = "a:";

/// What a script that changes a session has to say.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// There is no such session.
    Absent,
    /// Done, and what else it answers.
    Done(Vec<Reply>),
    /// Not done: the session has this principal.
    Belongs(Principal),
}

/// Reads the answer of a script.
pub(super) fn verdict(answer: Reply, bounds: Bounds) -> Result<Verdict, Fault> {
    let mut fields = match answer {
        Reply::Array(fields) => fields.into_iter(),
        Reply::Failed(fault) => return Err(fault),
        _ => return Err(strange()),
    };
    match (fields.next(), fields.as_slice()) {
        (Some(Reply::Int(0)), []) => Ok(Verdict::Absent),
        (Some(Reply::Int(1)), _) => Ok(Verdict::Done(fields.collect())),
        (Some(Reply::Int(2)), [Reply::Bytes(name)]) => {
            let principal = principal(name).ok_or_else(strange)?;
            Ok(Verdict::Belongs(principal))
        }
        (Some(Reply::Int(3)), [Reply::Int(attributes), Reply::Int(bytes)]) => {
            let size = Size {
                attributes: attributes.unsigned_abs(),
                bytes: bytes.unsigned_abs(),
            };
            Err(size.too_large(bounds))
        }
        _ => Err(strange()),
    }
}

/// The session that was created, and when.
pub(super) fn created(answer: &[Reply]) -> Option<(SessionId, SystemTime)> {
    match answer {
        [made, Reply::Int(at)] => Some((id(Some(made))?, time(at.unsigned_abs())?)),
        _ => None,
    }
}

/// An id.
pub(super) fn id(reply: Option<&Reply>) -> Option<SessionId> {
    match reply {
        Some(Reply::Bytes(text)) => SessionId::from_caller(std::str::from_utf8(text).ok()?),
        _ => None,
    }
}

/// All fields of a session; `None` if it does not exist.
pub(super) fn read(id: &SessionId, answer: Reply) -> Result<Option<Session>, Fault> {
    match answer {
        Reply::Map(fields) => Ok(session(id, fields)),
        Reply::Failed(fault) => Err(fault),
        _ => Err(strange()),
    }
}

fn session(id: &SessionId, fields: Vec<(Reply, Reply)>) -> Option<Session> {
    let mut attributes = Attributes::new();
    let (mut owner, mut created, mut accessed, mut max_inactive) = (None, None, None, None);
    for field in fields {
        let (Reply::Bytes(name), Reply::Bytes(value)) = field else {
            return None;
        };
        let name = std::str::from_utf8(&name).ok()?;
        if let Some(name) = name.strip_prefix(ATTRIBUTE) {
            attributes.insert(name.to_owned(), value);
            continue;
        }
        match name {
            "principal" => owner = principal(&value),
            "created" => created = number(&value).and_then(time),
            "accessed" => accessed = number(&value).and_then(time),
            "max_inactive" => max_inactive = number(&value).map(Duration::from_millis),
            _ => {}
        }
    }
    Some(Session {
        id: id.clone(),
        attributes,
        principal: owner?,
        created: created?,
        accessed: accessed?,
        max_inactive: max_inactive?,
    })
}

/// The sessions of a principal.
pub(super) fn found(answer: Reply) -> Result<Found, Fault> {
    let fields = match answer {
        Reply::Array(fields) => fields,
        Reply::Failed(fault) => return Err(fault),
        _ => return Err(strange()),
    };
    let [Reply::Array(ids), Reply::Int(total)] = fields.as_slice() else {
        return Err(strange());
    };
    let ids: Option<Vec<SessionId>> = ids.iter().map(|one| id(Some(one))).collect();
    Ok(Found {
        ids: ids.ok_or_else(strange)?,
        total: total.unsigned_abs(),
    })
}

/// The fault of an answer of the wrong shape.
pub(super) fn strange() -> Fault {
    Fault::unknown(
        Cause::Internal,
        "Redis answered a command about sessions with an unexpected shape",
    )
}

fn principal(name: &Bytes) -> Option<Principal> {
    Principal::from_caller(std::str::from_utf8(name).ok()?)
}

fn number(text: &Bytes) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn time(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        attributes: 2,
        bytes: 10,
    };

    fn bytes(text: &'static str) -> Reply {
        Reply::Bytes(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn answers_of_scripts_are_told_apart() {
        let ada = Principal::from_caller("ada").expect("principal");
        let of = |fields| verdict(Reply::Array(fields), BOUNDS);
        assert_eq!(of(vec![Reply::Int(0)]), Ok(Verdict::Absent));
        assert_eq!(of(vec![Reply::Int(1)]), Ok(Verdict::Done(vec![])));
        let belongs = vec![Reply::Int(2), bytes("ada")];
        assert_eq!(of(belongs), Ok(Verdict::Belongs(ada)));
        let large = of(vec![Reply::Int(3), Reply::Int(4), Reply::Int(50)]).expect_err("too large");
        assert_eq!(large.cause, Cause::SessionTooLarge);
        assert!(large.detail.contains("4 attributes of 50 bytes"), "{large}");
        for odd in [
            vec![],
            vec![Reply::Int(4)],
            vec![Reply::Int(2)],
            vec![bytes("1")],
        ] {
            assert_eq!(of(odd).expect_err("odd").cause, Cause::Internal);
        }
    }

    #[test]
    fn a_hash_that_is_no_session_is_none() {
        let id = SessionId::from_caller("s").expect("id");
        let whole = vec![
            (bytes("principal"), bytes("")),
            (bytes("created"), bytes("1000")),
            (bytes("accessed"), bytes("2000")),
            (bytes("max_inactive"), bytes("3000")),
            (bytes("bytes"), bytes("9")),
            (bytes("a:principal"), bytes("an attribute")),
        ];
        let session = read(&id, Reply::Map(whole.clone()))
            .expect("a map")
            .expect("a session");
        assert_eq!(session.attributes["principal"], "an attribute");
        assert_eq!(session.accessed, UNIX_EPOCH + Duration::from_secs(2));
        for missing in 0..4 {
            let mut fields = whole.clone();
            fields.remove(missing);
            assert_eq!(
                read(&id, Reply::Map(fields)),
                Ok(None),
                "without field {missing}"
            );
        }
        assert_eq!(read(&id, Reply::Map(vec![])), Ok(None));
    }
}
