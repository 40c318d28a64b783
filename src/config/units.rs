//! Text to durations, sizes, numbers and switches, each within its bounds.
//!
//! Invariants: a duration or a size without a unit is refused, because its author and its reader would guess
//! differently. Problems quote the text and end with the remedy.
//!
//! Not here: which bounds a setting has (`server`, `store`).

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::mistake::quoted;

/// The units of a size, largest first so that `MiB` is not read as `B`.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A duration in one of the range.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let remedy = "write a duration such as 250ms, 5s or 4h";
        if text.parse::<f64>().is_ok() {
            return Err(format!("is {}, which has no unit; {remedy}", quoted(text)));
        }
        let duration = humantime::parse_duration(text)
            .map_err(|_| format!("is {}; {remedy}", quoted(text)))?;
        bounded(duration, &range, |d| {
            humantime::format_duration(d).to_string()
        })
    }
}

/// A number of bytes in the range.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let remedy = "write a size such as 65536B, 64KiB, 16MiB or 1GiB";
        if text.parse::<f64>().is_ok() {
            return Err(format!("is {}, which has no unit; {remedy}", quoted(text)));
        }
        let bytes = SIZES
            .iter()
            .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))
            .and_then(|(count, bytes)| digits(count)?.checked_mul(*bytes))
            .ok_or_else(|| format!("is {}; {remedy}", quoted(text)))?;
        bounded(bytes, &range, format_size)
    }
}

/// A whole number in the range.
pub(super) fn number(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> {
    move |text| {
        let number = digits(text)
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| {
                let (from, to) = (range.start(), range.end());
                format!(
                    "is {}; write a whole number from {from} to {to}",
                    quoted(text)
                )
            })?;
        bounded(number, &range, |n| n.to_string())
    }
}

/// `true` or `false`, and nothing that merely looks like it.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("is {}; write true or false", quoted(text))),
    }
}

/// A number of decimal digits only: `str::parse` would take a sign.
pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A size in its largest unit that divides it.
pub(super) fn format_size(bytes: u64) -> String {
    let unit = SIZES
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{bytes}B"),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

fn bounded<T: PartialOrd + Copy>(
    value: T,
    range: &RangeInclusive<T>,
    show: impl Fn(T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(out_of_range(
        show(value),
        show(*range.start()),
        show(*range.end()),
    ))
}

fn out_of_range(
    value: impl fmt::Display,
    from: impl fmt::Display,
    to: impl fmt::Display,
) -> String {
    format!("is {value}, which is out of range; write {from} to {to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn durations_need_a_unit_and_keep_their_bounds() {
        let parse = duration(10 * MS..=3_600_000 * MS);
        for (text, millis) in [
            ("10ms", 10),
            ("1h", 3_600_000),
            ("1m 30s", 90_000),
            ("5s", 5_000),
        ] {
            assert_eq!(parse(text), Ok(millis * MS), "{text}");
        }
        for bare in ["0", "5", "1.5", "-3"] {
            let problem = parse(bare).unwrap_err();
            assert!(
                problem.contains("no unit") && problem.ends_with("250ms, 5s or 4h"),
                "{problem}"
            );
        }
        for odd in ["", "soon", "5 parsecs", "s5", "99999999999999999999s"] {
            assert!(
                parse(odd).unwrap_err().ends_with("250ms, 5s or 4h"),
                "{odd}"
            );
        }
        for out in ["9ms", "1h 1ms"] {
            let problem = parse(out).unwrap_err();
            assert!(
                problem.ends_with("out of range; write 10ms to 1h"),
                "{problem}"
            );
        }
    }

    #[test]
    fn sizes_need_a_binary_unit_and_keep_their_bounds() {
        let parse = size(1024..=64 << 30);
        for (text, bytes) in [
            ("1024B", 1024),
            ("64KiB", 65_536),
            ("16MiB", 16 << 20),
            ("64GiB", 64 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert!(parse("65536").unwrap_err().contains("no unit"));
        for odd in [
            "",
            "B",
            "64KB",
            "64Mi",
            "64 MiB",
            "+64MiB",
            "1.5MiB",
            "99999999999GiB",
        ] {
            let problem = parse(odd).unwrap_err();
            assert!(
                problem.ends_with("65536B, 64KiB, 16MiB or 1GiB"),
                "{odd}: {problem}"
            );
        }
        for out in ["1023B", "65GiB"] {
            assert!(
                parse(out).unwrap_err().ends_with("write 1KiB to 64GiB"),
                "{out}"
            );
        }
    }

    #[test]
    fn numbers_are_digits_within_bounds() {
        let parse = number(1..=64);
        assert_eq!((parse("1"), parse("64")), (Ok(1), Ok(64)));
        for odd in ["", "two", "+2", "2.0", "99999999999999999999"] {
            assert!(
                parse(odd)
                    .unwrap_err()
                    .ends_with("write a whole number from 1 to 64"),
                "{odd}"
            );
        }
        for out in ["0", "65"] {
            assert!(
                parse(out)
                    .unwrap_err()
                    .ends_with("out of range; write 1 to 64"),
                "{out}"
            );
        }
    }

    #[test]
    fn a_switch_is_exactly_true_or_false() {
        assert_eq!((switch("true"), switch("false")), (Ok(true), Ok(false)));
        for odd in ["", "TRUE", "yes", "1", "on"] {
            assert!(
                switch(odd).unwrap_err().ends_with("write true or false"),
                "{odd}"
            );
        }
    }
}
