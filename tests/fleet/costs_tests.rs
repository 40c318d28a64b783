//! What a write costs is taken apart as it was put together.

use super::costs::*;

/// What a write costs that consists of these parts.
fn cost(parts: Parts, holders: f64, batch: f64) -> f64 {
    let Parts {
        wake,
        command,
        note,
        send,
    } = parts;
    wake / batch + command + holders * (note + send / batch)
}

#[test]
fn the_parts_of_a_write_come_out_as_they_went_in() {
    let made_of = Parts {
        wake: 20.0,
        command: 12.0,
        note: 0.5,
        send: 3.0,
    };
    let writes = |holders| Writes {
        holders,
        alone: cost(made_of, holders, 1.0),
        batched: cost(made_of, holders, 50.0),
    };
    let found = parts(writes(0.0), writes(10.0), 50.0);
    for (found, wanted) in [
        (found.wake, 20.0),
        (found.command, 12.0),
        (found.note, 0.5),
        (found.send, 3.0),
    ] {
        assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
    }
}

#[test]
fn noise_makes_no_part_negative() {
    let writes = |holders, alone, batched| Writes {
        holders,
        alone,
        batched,
    };
    let found = parts(writes(0.0, 10.0, 11.0), writes(10.0, 9.0, 12.0), 50.0);
    assert_eq!((found.wake, found.command), (0.0, 10.0));
    assert_eq!((found.note, found.send), (0.0, 0.0));
}
