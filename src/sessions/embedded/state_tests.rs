//! The rules by value: when a session ends, what it may weigh, and whose it is.

use crate::failover::REMEMBERED;

use super::*;

const CAPACITY: u64 = 10_000;
const LIFE: Duration = Duration::from_millis(100);

fn state() -> State {
    let bounds = Bounds {
        attributes: 3,
        bytes: 4_000,
    };
    State::new(CAPACITY, bounds)
}

fn start() -> Now {
    Now {
        clock: Instant::now(),
        wall: SystemTime::now(),
    }
}

fn later(now: Now, by: Duration) -> Now {
    Now {
        clock: now.clock + by,
        wall: now.wall + by,
    }
}

fn id(text: &str) -> SessionId {
    SessionId::from_caller(text).expect("id")
}

fn principal(name: &str) -> Principal {
    Principal::from_caller(name).expect("principal")
}

fn attributes(pairs: &[(&str, usize)]) -> Attributes {
    let one = |(name, length): &(&str, usize)| ((*name).to_owned(), vec![7; *length].into());
    pairs.iter().map(one).collect()
}

fn create(owner: &str, pairs: &[(&str, usize)]) -> Create {
    Create {
        attributes: attributes(pairs),
        principal: principal(owner),
        max_inactive: LIFE,
        operation_id: Bytes::new(),
    }
}

fn set(pairs: &[(&str, usize)]) -> Save {
    Save {
        set: attributes(pairs),
        ..Save::default()
    }
}

fn found(state: &mut State, owner: &str, now: Now) -> Vec<String> {
    let found = state.find(&Tenant::primary(), &principal(owner), 10, now);
    assert_eq!(found.total, found.ids.len() as u64);
    found.ids.iter().map(|id| id.as_str().to_owned()).collect()
}

#[test]
fn a_session_is_gone_from_the_moment_it_ends_for_every_call() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    state
        .create(&tenant, create("ada", &[("a", 1)]), id("s"), now)
        .expect("room");
    let before = later(now, LIFE - Duration::from_nanos(1));
    assert!(state.load(&tenant, &id("s"), before).is_some());
    assert_eq!(found(&mut state, "ada", before), ["s"]);
    let end = later(now, LIFE);
    assert!(state.load(&tenant, &id("s"), end).is_none());
    assert_eq!(
        state.save(&tenant, &id("s"), set(&[("a", 2)]), end),
        Ok(false)
    );
    assert!(!state.touch(&tenant, &id("s"), end));
    assert_eq!(state.change_id(&tenant, &id("s"), id("t"), b"", end), None);
    assert!(found(&mut state, "ada", end).is_empty());
    assert!(!state.delete(&tenant, &id("s"), end));
}

#[test]
fn touching_and_saving_extend_a_life_and_reading_does_not() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    for name in ["touched", "saved", "read", "renamed"] {
        state
            .create(&tenant, create("", &[]), id(name), now)
            .expect("room");
    }
    let half = later(now, LIFE / 2);
    assert!(state.touch(&tenant, &id("touched"), half));
    assert_eq!(
        state.save(&tenant, &id("saved"), Save::default(), half),
        Ok(true)
    );
    assert!(state.load(&tenant, &id("read"), half).is_some());
    state
        .change_id(&tenant, &id("renamed"), id("new"), b"", half)
        .expect("it exists");
    let end = later(now, LIFE);
    for (name, alive) in [
        ("touched", true),
        ("saved", true),
        ("read", false),
        ("new", false),
    ] {
        let loaded = state.load(&tenant, &id(name), end);
        assert_eq!(loaded.is_some(), alive, "{name}");
        if let Some(session) = loaded {
            assert_eq!((session.created, session.accessed), (now.wall, half.wall));
        }
    }
}

#[test]
fn a_shorter_life_begins_with_the_save_that_sets_it() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    state
        .create(&tenant, create("", &[]), id("s"), now)
        .expect("room");
    let save = Save {
        max_inactive: Some(LIFE / 10),
        ..Save::default()
    };
    assert_eq!(state.save(&tenant, &id("s"), save, now), Ok(true));
    assert!(
        state
            .load(&tenant, &id("s"), later(now, LIFE / 10))
            .is_none()
    );
}

#[test]
fn memory_is_bounded_and_comes_back() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    let large = || create("ada", &[("a", 3_000)]);
    for name in ["1", "2"] {
        state.create(&tenant, large(), id(name), now).expect("room");
    }
    let full = state.create(&tenant, large(), id("3"), now);
    assert_eq!(full.expect_err("full").cause, Cause::StoreFull);
    let grown = state.save(&tenant, &id("1"), set(&[("b", 990), ("c", 0)]), now);
    assert_eq!(grown, Ok(true));
    assert!(state.figures().1 <= CAPACITY);
    let end = later(now, LIFE);
    state.create(&tenant, large(), id("3"), end).expect("swept");
    assert_eq!(state.figures().0, 1);
    assert!(state.delete(&tenant, &id("3"), end));
    assert_eq!(state.figures(), (0, 0));
    assert!(state.owned.is_empty());
}

#[test]
fn a_session_that_would_be_too_large_stays_as_it_was() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    state
        .create(&tenant, create("", &[("a", 1), ("b", 1)]), id("s"), now)
        .expect("room");
    let before = state.load(&tenant, &id("s"), now);
    for save in [set(&[("c", 1), ("d", 1)]), set(&[("a", 4_000)])] {
        let refused = state.save(&tenant, &id("s"), save, later(now, LIFE / 2));
        assert_eq!(
            refused.expect_err("too large").cause,
            Cause::SessionTooLarge
        );
        assert_eq!(state.load(&tenant, &id("s"), now), before);
    }
    let exchange = Save {
        remove: vec!["a".to_owned()],
        ..set(&[("c", 1), ("d", 1)])
    };
    assert_eq!(state.save(&tenant, &id("s"), exchange, now), Ok(true));
}

#[test]
fn operations_are_done_once_for_two_minutes() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    let once = || Create {
        operation_id: Bytes::from_static(b"o"),
        max_inactive: 10 * REMEMBERED,
        ..create("", &[])
    };
    let mut make = |name, at| {
        let made = state.create(&tenant, once(), id(name), at).expect("room");
        (made.id, made.created)
    };
    let first = make("1", now);
    assert_eq!(make("2", later(now, REMEMBERED - LIFE)), first);
    assert_eq!(make("3", later(now, REMEMBERED)).0, id("3"));
    let change =
        |state: &mut State, old, new| state.change_id(&tenant, &id(old), id(new), b"o", now);
    assert_eq!(change(&mut state, "1", "4"), Some(id("4")));
    assert_eq!(change(&mut state, "1", "5"), Some(id("4")));
    assert_eq!(change(&mut state, "4", "5"), Some(id("5")));
}

#[test]
fn a_session_does_not_keep_the_message_it_came_in() {
    let (mut state, tenant, now) = (state(), Tenant::primary(), start());
    let message = Bytes::from(b"a message".to_vec());
    let made = Create {
        attributes: [("a".to_owned(), message.slice(2..4))].into(),
        ..create("", &[])
    };
    state.create(&tenant, made, id("s"), now).expect("room");
    let save = Save {
        set: [("b".to_owned(), message.slice(2..4))].into(),
        ..Save::default()
    };
    assert_eq!(state.save(&tenant, &id("s"), save, now), Ok(true));
    assert!(message.is_unique());
}
