//! The scripts, put together from their parts. Every key that one touches is declared.

use crate::upstream::Script;

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("scripts/session.lua"),
            include_str!(concat!("scripts/", $name, ".lua"))
        ))
    };
}

/// Everything that must be atomic.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) save: Script,
    pub(super) touch: Script,
    pub(super) change_id: Script,
    pub(super) delete: Script,
    pub(super) find: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            create: script!("create"),
            save: script!("save"),
            touch: script!("touch"),
            change_id: script!("change_id"),
            delete: script!("delete"),
            find: script!("find"),
        }
    }
}
