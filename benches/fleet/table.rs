//! The figures as text for a person: a line for each, a column for each fleet.

use crate::figures::{Figures, delay, write};
use crate::keys::Holders;
use crate::measured::Compared;
use crate::writes::Writer;

/// What is shown of an idle fleet, and of connections in BCAST mode.
const OTHERS: [(&str, &str); 13] = [
    ("Redis CPU per miss, us", "miss/cpu_us"),
    ("idle: Redis CPU, us/s", "idle/redis/cpu_us"),
    ("idle: Redis commands/s", "idle/redis/commands"),
    ("idle: Redis bytes/s", "idle/redis/bytes"),
    ("idle: Redis connections", "idle/redis/connections"),
    ("idle: each Sentinel's CPU, us/s", "idle/sentinel/cpu_us"),
    ("idle: each Sentinel's commands/s", "idle/sentinel/commands"),
    ("idle: each Sentinel's bytes/s", "idle/sentinel/bytes"),
    (
        "idle: each Sentinel's connections",
        "idle/sentinel/connections",
    ),
    ("idle: each sidecar's CPU, us/s", "idle/sidecar/cpu_us"),
    ("idle: each sidecar's RSS, KiB", "idle/sidecar/resident_kib"),
    (
        "as many BCAST connections: Redis CPU per SET, us",
        "broadcast/alone/cpu_us",
    ),
    ("the same, 50 at once", "broadcast/batch/cpu_us"),
];

/// Prints them.
pub(crate) fn print(figures: &Figures, sizes: &[usize], compared: &[Compared]) {
    let line = |what: &str, name: &str, quantile: f64| {
        let value = |size: &usize| match figures.quantile(*size, name, quantile) {
            Ok(value) => format!("{value:>10.1}"),
            Err(_) => format!("{:>10}", "-"),
        };
        println!("{what:<54}{}", sizes.iter().map(value).collect::<String>());
    };
    let heads = sizes.iter().map(|size| format!("{size:>10}"));
    println!("\n{:<54}{}", "sidecars", heads.collect::<String>());
    for writer in Writer::ALL {
        for holders in Holders::ALL {
            let (by, held) = (writer.text(), holders.text());
            let what = format!("Redis CPU per {by}, held by {held}, us");
            line(&what, &write(writer, holders, "cpu_us"), 0.5);
        }
    }
    for writer in [Writer::Foreign, Writer::Sidecar] {
        for (quantile, name) in [(0.5, "p50"), (0.99, "p99"), (1.0, "max")] {
            let by = writer.text();
            let what = format!("told after the acknowledged {by}, {name}, us");
            line(&what, &delay(writer), quantile);
        }
    }
    for (what, name) in OTHERS {
        line(what, name, 0.5);
    }
    println!("\nthe largest fleet at work, as predicted from smaller ones");
    for one in compared {
        let (what, predicted, measured) = (one.what, one.predicted, one.measured);
        let deviation = one.deviation();
        println!(
            "  {what:<24} {predicted:>10.3} predicted {measured:>10.3} measured {deviation:>+7.1} %"
        );
    }
}
