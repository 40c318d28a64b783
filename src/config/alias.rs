//! The `REDIS_*` variables with the meaning that they have for Entando, whose operators set them already.
//!
//! Invariants: a blank variable counts as absent; `REDIS_ACTIVE` other than `true` silences all of them, and
//! never what was configured in vedetta's own words.
//!
//! Not here: the names that simply stand for a setting (`setting`); which address wins (`store`).

use super::draft::Draft;
use super::mistake::quoted;
use super::origin::Origin;
use super::setting::settings;
use super::units::digits;

/// Accepted so that an Entando deployment starts unchanged, without an effect here: name, and the reason.
const WITHOUT_EFFECT: [(&str, &str); 2] = [
    (
        "REDIS_FEC_CHECK_DELAY_SEC",
        "vedetta asks the Sentinels every sentinel.poll_interval",
    ),
    (
        "REDIS_IO_THREAD_POOL_SIZE",
        "vedetta uses one connection, and api.workers threads to serve calls",
    ),
];

/// Takes over what the `REDIS_*` variables say.
pub(super) fn read(draft: &mut Draft, env: &[(String, String)]) {
    let given = |name: &str| {
        let found = env.iter().rev().find(|(other, _)| other == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.trim().is_empty())
    };
    match given("REDIS_ACTIVE").map(str::trim) {
        None => {}
        Some("true") => draft.redis_active = true,
        Some(other) => {
            draft.notice(format!(
                "REDIS_ACTIVE is {} and not true, so the REDIS_* variables are ignored",
                quoted(other)
            ));
            return;
        }
    }
    for setting in settings() {
        if let Some((alias, value)) = setting.alias.and_then(|alias| Some((alias, given(alias)?))) {
            draft.put(setting, value, Origin::Alias(alias));
        }
    }
    for (name, reason) in WITHOUT_EFFECT {
        match given(name).map(str::trim) {
            None => {}
            Some(text) if digits(text).is_some() => {
                draft.notice(format!("{name} has no effect, because {reason}"));
            }
            Some(text) => {
                let problem = format!("is {}; write a whole number or remove it", quoted(text));
                draft.mistake_at(name, name, problem);
            }
        }
    }
}
