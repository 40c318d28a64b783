//! The scripts, put together from their parts.
//!
//! EVALSHA with the source as fallback, rather than Redis Functions: a function library is data, which every
//! sidecar of every version would write to the master at each failover; a script is not.

use crate::upstream::Script;

macro_rules! script {
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
    pub(super) reconcile: Script,
    pub(super) clear_again: Script,
    pub(super) evict_raw: Script,
    pub(super) load_begin: Script,
    pub(super) load_framed: Script,
    pub(super) load_raw: Script,
    pub(super) load_remove: Script,
    pub(super) load_renew: Script,
    pub(super) load_finish: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            read_many: script!("bytes", "read_many"),
            confirm: script!("bytes", "digest", "confirm"),
            put_framed: script!(
                "bytes",
                "digest",
                "groups",
                "clock",
                "members",
                "frame",
                "expire",
                "note",
                "put_framed"
            ),
            put_raw: script!("bytes", "digest", "expire", "note", "put_raw"),
            evict_framed: script!("bytes", "digest", "groups", "frame", "note", "evict_framed"),
            touch: script!("bytes", "digest", "groups", "frame", "touch"),
            add_to_groups: script!(
                "bytes",
                "digest",
                "groups",
                "clock",
                "members",
                "frame",
                "add_to_groups"
            ),
            flush_groups: script!("bytes", "clock", "flush_groups"),
            flush_again: script!("bytes", "clock", "flush_again"),
            clear_framed: script!("clear_framed"),
            sweep: script!("bytes", "digest", "groups", "frame", "sweep"),
            sweep_groups: script!("bytes", "digest", "groups", "frame", "sweep_groups"),
            swept: script!("swept"),
            increment: script!(
                "bytes",
                "digest",
                "groups",
                "clock",
                "members",
                "frame",
                "expire",
                "note",
                "increment"
            ),
            reconcile: script!("bytes", "digest", "reconcile"),
            clear_again: script!("clear_again"),
            evict_raw: script!("note", "evict_raw"),
            load_begin: script!("bytes", "digest", "frame", "load_begin"),
            load_framed: script!(
                "bytes",
                "digest",
                "groups",
                "clock",
                "members",
                "frame",
                "expire",
                "load_framed"
            ),
            load_raw: script!("bytes", "expire", "load_raw"),
            load_remove: script!("bytes", "digest", "groups", "frame", "load_remove"),
            load_renew: script!("load_renew"),
            load_finish: script!("bytes", "digest", "frame", "load_finish"),
        }
    }
}
