//! Collects every source into one draft, and refuses names that no setting has.
//!
//! Invariants: a `VEDETTA_*` variable is a setting, a name that the client commands read, or one that
//! Kubernetes puts into every pod beside a Service called vedetta; anything else is a mistake, because a
//! misspelt variable would otherwise silently do nothing.
//!
//! Not here: precedence (`origin`, `draft`); the file (`file`); `REDIS_*` variables (`alias`).

use super::alias;
use super::draft::Draft;
use super::file;
use super::origin::Origin;
use super::setting::{find, settings};
use super::suggest::unknown;

/// Variables that other parts of vedetta read.
const NOT_SETTINGS: [&str; 2] = ["VEDETTA_CONFIG", "VEDETTA_ADDRESS"];

/// All text that a configuration is made of.
pub struct Sources<'a> {
    /// Path and text of the file, if there is one.
    pub file: Option<(String, String)>,
    /// The whole environment, names and values.
    pub env: Vec<(String, String)>,
    /// Dotted keys and values from the command line.
    pub flags: Vec<(String, String)>,
    /// Reads the file that a `*_file` setting names.
    pub read_secret: &'a dyn Fn(&str) -> Result<String, String>,
}

/// The winning text of every setting.
pub(super) fn gather(sources: &Sources<'_>) -> Draft {
    let mut draft = Draft::new();
    if let Some((path, text)) = &sources.file {
        file::read(&mut draft, path, text);
    }
    alias::read(&mut draft, &sources.env);
    for (name, value) in &sources.env {
        variable(&mut draft, name, value);
    }
    for (key, value) in &sources.flags {
        flag(&mut draft, key, value);
    }
    draft
}

fn variable(draft: &mut Draft, name: &str, value: &str) {
    if !name.starts_with("VEDETTA_") {
        return;
    }
    if let Some(setting) = settings().iter().find(|setting| setting.env == name) {
        draft.put(setting, value, Origin::Env(setting.env));
    } else if !NOT_SETTINGS.contains(&name) && !is_from_kubernetes(name, value) {
        let names = settings().iter().map(|setting| setting.env);
        draft.mistake_at(name, name, unknown(name, names.chain(NOT_SETTINGS)));
    }
}

fn flag(draft: &mut Draft, key: &str, value: &str) {
    if let Some(setting) = find(key) {
        draft.put(setting, value, Origin::Flag(setting.flag()));
    } else {
        let keys = settings().iter().map(|setting| setting.key);
        draft.mistake_at(key, "flag", unknown(key, keys));
    }
}

/// Whether a variable describes a Service called `vedetta` or `vedetta-something`: `VEDETTA_SERVICE_HOST`,
/// `VEDETTA_PORT`, `VEDETTA_ADMIN_PORT_17071_TCP_ADDR`. A pod cannot keep Kubernetes from setting these.
fn is_from_kubernetes(name: &str, value: &str) -> bool {
    if name == "VEDETTA_PORT" || name.starts_with("VEDETTA_SERVICE_") {
        return true;
    }
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.starts_with("VEDETTA_PORT_")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT") && value.contains("://")
        || name.split("_PORT_").skip(1).any(numbered)
}
