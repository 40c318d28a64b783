//! The reference of an in-process cache (L0), `tests/clients/python/near.py`, against real vedettas on a real Redis:
//! what `docs/clients.md` promises to whoever keeps its contract, and that breaking it is noticed.
//!
//! Not here: the stories themselves (`tests/clients/python/near_test.py`, which starts its vedettas by itself, because
//! it pauses and restarts them).

use crate::python::run;
use crate::support::{Redis, RedisOptions, binary};

fn tell(what: &str) {
    let redis = Redis::start(&RedisOptions::default());
    let (vedetta, address) = (binary(), redis.address().to_string());
    let vedetta = vedetta.get_program().to_string_lossy().into_owned();
    let arguments = [what, "--vedetta", &vedetta, "--redis", &address];
    let output = run("near_test.py", &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", output.status);
    assert!(text.contains(" passed, 0 failed"), "no sum");
}

#[test]
fn whatever_changes_reaches_the_l0_within_the_bound() {
    tell("stories");
}

#[test]
fn races_leave_nothing_old_and_broken_tokens_are_noticed() {
    tell("races");
}
