//! A vedetta whose near cache answers FRESH for no longer than a given time after its last proof.
//!
//! Not here: what its answers are held against (`partition`, `history`).

use std::time::Duration;

use crate::support::Vedetta;

/// Whether this build has a near cache: its flags are refused otherwise, and no answer comes from it.
pub(crate) const LANDED: bool = true;

/// Starts one with that bound, in the profile that has raw and framed caches.
pub(crate) fn start(bound: Duration, environment: &[(&str, &str)]) -> Vedetta {
    let flags = flags(bound);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let profile = [("VEDETTA_PROFILE", "entando")];
    let all: Vec<(&str, &str)> = profile.iter().chain(environment).copied().collect();
    Vedetta::start(&flags, &all)
}

fn flags(bound: Duration) -> Vec<String> {
    if !LANDED {
        return Vec::new();
    }
    vec![
        "--near-staleness".to_owned(),
        format!("{}ms", bound.as_millis()),
    ]
}
