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
        script!("bytes", "digest", "groups", "frame", $($part),+)
    };
    // Those of them that change or remove.
    (changes, $($part:literal),+) => {
        script!(judges, "usage", $($part),+)
    };
    // Those of them that store.
    (stores, $part:literal) => {
        script!(
            "room", "bytes", "digest", "groups", "clock", "members", "frame", "expire", "deadline", "leased", "usage",
            $part
        )
    };
    ($($part:literal),+) => {
        Script::new(concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n"),+))
    };
}

/// Everything that must be atomic.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) read_many: Script,
    pub(super) confirm: Script,
    pub(super) put_framed: Script,
    pub(super) put_raw: Script,
    pub(super) evict_framed: Script,
    pub(super) touch: Script,
    pub(super) add_to_groups: Script,
    pub(super) flush_groups: Script,
    pub(super) flush_again: Script,
    pub(super) clear_framed: Script,
    pub(super) sweep: Script,
    pub(super) sweep_groups: Script,
    pub(super) swept: Script,
    pub(super) increment: Script,
    pub(super) list_edit: Script,
    pub(super) lease: Script,
    pub(super) release: Script,
    pub(super) set_deadline: Script,
    pub(super) mark_deadlines: Script,
    pub(super) forget_deadlines: Script,
    pub(super) ttl: Script,
    pub(super) reconcile: Script,
    pub(super) clear_again: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            read_many: script!("bytes", "read_many"),
            confirm: script!("bytes", "digest", "confirm"),
            put_framed: script!(stores, "put_framed"),
            put_raw: script!("bytes", "digest", "expire", "deadline", "put_raw"),
            evict_framed: script!(changes, "evict_framed"),
            touch: script!(changes, "deadline", "touch"),
            add_to_groups: script!(stores, "add_to_groups"),
            flush_groups: script!("room", "bytes", "clock", "flush_groups"),
            flush_again: script!("bytes", "clock", "flush_again"),
            clear_framed: script!("bytes", "usage", "clear_framed"),
            sweep: script!(judges, "sweep"),
            sweep_groups: script!(changes, "sweep_groups"),
            swept: script!("swept"),
            increment: script!(stores, "increment"),
            list_edit: script!(stores, "list_edit"),
            lease: script!(stores, "lease"),
            release: script!("bytes", "release"),
            set_deadline: script!(changes, "deadline", "set_deadline"),
            mark_deadlines: script!("mark_deadlines"),
            forget_deadlines: script!("forget_deadlines"),
            ttl: script!(judges, "deadline", "ttl"),
            reconcile: script!("bytes", "digest", "usage", "reconcile"),
            clear_again: script!("bytes", "usage", "clear_again"),
        }
    }
}
