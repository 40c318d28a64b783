//! The scripts, put together from their parts.
//!
//! EVALSHA with the source as fallback, rather than Redis Functions: a function library is data, which every
//! sidecar of every version would write to the master at each failover; a script is not.

use crate::upstream::Script;

/// Most keys of a script that reads each of them. For a session that it tracks, Redis 7.0 notes all keys of a script at
/// each reading command in it (`call()` in server.c), so its work grows with the square of their number: 1,000 keys that
/// are read hold it up for half a second.
pub(super) const MOST_READ: usize = 16;

macro_rules! script {
    // Those that must know whether an entry of a framed cache is alive.
    (judges, $($part:literal),+) => {
        script!("tracked", "bytes", "digest", "groups", "stamp", "frame", $($part),+)
    };
    // Those of them that store.
    (stores, $($part:literal),+) => {
        script!(writes, "untracked", $($part),+)
    };
    // Those of them whose caller waits until the stamp changes.
    (leases, $($part:literal),+) => {
        script!(writes, "tracked", $($part),+)
    };
    (writes, $read:literal, $($part:literal),+) => {
        script!(
            "room", $read, "bytes", "digest", "groups", "clock", "members", "stamp", "frame", "expire", "deadline",
            "leased", "note", $($part),+
        )
    };
    ($($part:literal),+) => {
        Script::new(concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n"),+))
    };
}

/// A script of one of these kinds that changes entries of a framed cache, with and without counting them.
macro_rules! change {
    (judges, $($part:literal),+) => {
        Change {
            plain: script!(judges, "uncounted", $($part),+),
            counting: script!(judges, "usage", $($part),+),
        }
    };
    (stores, $($part:literal),+) => {
        Change {
            plain: script!(stores, "uncounted", $($part),+),
            counting: script!(stores, "usage", $($part),+),
        }
    };
    ($($before:literal),+; $part:literal) => {
        Change {
            plain: script!($($before),+, "uncounted", $part),
            counting: script!($($before),+, "usage", $part),
        }
    };
}

/// A script that changes what quotas count. Where there is no quota it knows nothing of them.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) plain: Script,
    pub(super) counting: Script,
}

/// Everything that must be atomic.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) read_many: Script,
    pub(super) confirm: Script,
    pub(super) put_framed: Change,
    pub(super) put_plain: Script,
    pub(super) put_raw: Script,
    pub(super) evict_framed: Change,
    pub(super) touch: Change,
    pub(super) add_to_groups: Change,
    pub(super) flush_groups: Script,
    pub(super) flush_again: Script,
    pub(super) clear_framed: Change,
    pub(super) sweep: Script,
    pub(super) sweep_groups: Change,
    pub(super) swept: Script,
    pub(super) increment: Change,
    pub(super) list_edit: Change,
    pub(super) lease: Script,
    pub(super) release: Script,
    pub(super) set_deadline: Change,
    pub(super) mark_deadlines: Script,
    pub(super) forget_deadlines: Script,
    pub(super) ttl: Script,
    pub(super) reconcile: Change,
    pub(super) clear_again: Change,
    pub(super) evict_raw: Script,
    pub(super) load_begin: Script,
    pub(super) load_framed: Change,
    pub(super) load_raw: Script,
    pub(super) load_remove: Change,
    pub(super) load_renew: Script,
    pub(super) load_finish: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            read_many: script!("bytes", "read_many"),
            confirm: script!("bytes", "digest", "confirm"),
            put_framed: change!(stores, "put_framed"),
            put_plain: script!(
                "room",
                "untracked",
                "bytes",
                "stamp",
                "expire",
                "deadline",
                "note",
                "put_plain"
            ),
            put_raw: script!(
                "tracked", "bytes", "digest", "expire", "deadline", "note", "put_raw"
            ),
            evict_framed: change!(judges, "note", "evict_framed"),
            touch: change!(judges, "deadline", "note", "touch"),
            add_to_groups: change!(stores, "add_to_groups"),
            flush_groups: script!("room", "bytes", "clock", "note", "flush_groups"),
            flush_again: script!("bytes", "clock", "flush_again"),
            clear_framed: change!("bytes"; "clear_framed"),
            sweep: script!(judges, "sweep"),
            sweep_groups: change!(judges, "sweep_groups"),
            swept: script!("swept"),
            increment: change!(stores, "increment"),
            list_edit: change!(stores, "list_edit"),
            lease: script!(leases, "lease"),
            release: script!("bytes", "release"),
            set_deadline: change!(judges, "deadline", "note", "set_deadline"),
            mark_deadlines: script!("mark_deadlines"),
            forget_deadlines: script!("forget_deadlines"),
            ttl: script!(judges, "deadline", "ttl"),
            reconcile: change!("bytes", "digest"; "reconcile"),
            clear_again: change!("bytes"; "clear_again"),
            evict_raw: script!("note", "evict_raw"),
            load_begin: script!("tracked", "bytes", "digest", "stamp", "frame", "load_begin"),
            load_framed: change!(stores, "loading", "load_framed"),
            load_raw: script!(
                "tracked", "bytes", "expire", "deadline", "loading", "load_raw"
            ),
            load_remove: change!(judges, "loading", "load_remove"),
            load_renew: script!("loading", "load_renew"),
            load_finish: script!(
                "tracked",
                "bytes",
                "digest",
                "stamp",
                "frame",
                "loading",
                "load_finish"
            ),
        }
    }
}
