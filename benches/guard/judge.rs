//! Compares counts with those that are recorded.
//!
//! Invariants: counts of another compiler or another kind of processor are shown, but never judged: they differ for
//! reasons that no change of this repository has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A count may differ from the recorded one by that part of it. Ten runs, each with seeds of its own, are within 0.4 %; two
/// more counts of an `Arc` are 2.8 %.
const TOLERANCE: f64 = 0.02;

/// How to record.
const ACCEPT: &str = "cargo run --profile guard -p guard -- --accept";

/// What made the program that was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) compiler: String,
    pub(crate) target: String,
}

/// Instructions for each operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts {
    pub(crate) origin: Origin,
    pub(crate) instructions: BTreeMap<String, f64>,
}

/// What came of it.
pub(crate) struct Verdict {
    pub(crate) table: String,
    /// What there is to say; an error where a count is not as recorded.
    pub(crate) outcome: Result<String, String>,
}

impl Counts {
    /// A line for each count, behind two about its origin.
    pub(crate) fn to_text(&self) -> String {
        let Origin { compiler, target } = &self.origin;
        let mut text = format!("compiler {compiler}\ntarget {target}\n");
        for (name, count) in &self.instructions {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} {count:.1}");
        }
        text
    }

    /// # Errors
    /// It is not what [`Self::to_text`] makes.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let damaged = || format!("counts.txt is damaged; record it again: {ACCEPT}");
        let mut lines = text.lines().map(|line| line.split_once(' '));
        let mut line = || lines.next().flatten();
        let (Some(("compiler", compiler)), Some(("target", target))) = (line(), line()) else {
            return Err(damaged());
        };
        let origin = Origin {
            compiler: compiler.to_owned(),
            target: target.to_owned(),
        };
        let each = |line: Option<(&str, &str)>| {
            let (name, count) = line?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        let instructions: Option<_> = lines.map(each).collect();
        Ok(Self {
            origin,
            instructions: instructions.ok_or_else(damaged)?,
        })
    }
}

/// Compares.
pub(crate) fn judge(counted: &Counts, recorded: &Counts) -> Verdict {
    let comparable = counted.origin == recorded.origin;
    let mut table = format!(
        "{:<12}{:>14}{:>12}",
        "operation", "instructions", "recorded"
    );
    let mut beyond = Vec::new();
    for (name, count) in &counted.instructions {
        let known = recorded.instructions.get(name);
        let change = known.map(|known| count / known - 1.0);
        let shown = known.map_or_else(|| "-".to_owned(), |known| format!("{known:.1}"));
        let percent = change.map_or_else(String::new, |change| format!("{:+.1} %", 100.0 * change));
        // Writing to a string does not fail.
        let _ = write!(table, "\n{name:<12}{count:>14.1}{shown:>12}  {percent}");
        // Not a number is not within the tolerance either.
        if !change.is_some_and(|change| change.abs() <= TOLERANCE) {
            beyond.push((name.as_str(), change));
        }
    }
    let outcome = if !comparable {
        Ok(other_origin(&counted.origin, &recorded.origin))
    } else if beyond.is_empty() {
        let percent = 100.0 * TOLERANCE;
        Ok(format!(
            "every count is within {percent} % of the recorded one"
        ))
    } else {
        Err(explain(&beyond))
    };
    Verdict { table, outcome }
}

fn other_origin(counted: &Origin, recorded: &Origin) -> String {
    format!(
        "NOT COMPARED: what is recorded was compiled by {} for {}, this by {} for {}. Where the continuous integration \
         moves to that compiler for good, record its counts: {ACCEPT}",
        recorded.compiler, recorded.target, counted.compiler, counted.target
    )
}

fn explain(beyond: &[(&str, Option<f64>)]) -> String {
    let mut told = String::new();
    for (name, change) in beyond {
        // Writing to a string does not fail.
        let _ = match change {
            None => writeln!(told, "{name} is not recorded yet."),
            Some(change) if *change > 0.0 => writeln!(
                told,
                "{name} costs {:.1} % more instructions than recorded.",
                100.0 * change
            ),
            Some(change) => writeln!(
                told,
                "{name} costs {:.1} % fewer instructions than recorded; unless that is recorded, the next change may \
                 spend it unseen.",
                -100.0 * change
            ),
        };
    }
    told + "Where a change is not meant, see what the path does now, and did on the commit before: \
            callgrind_annotate target/guard/NAME.callgrind\nWhere it is meant, record the counts, and say in the commit why: "
        + ACCEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compiler: &str, instructions: &[(&str, f64)]) -> Counts {
        let each = instructions
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        Counts {
            origin: Origin {
                compiler: compiler.to_owned(),
                target: "t".to_owned(),
            },
            instructions: each.collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let counts = counts("r", &[("a", 1.5), ("b", 2000.0)]);
        assert_eq!(Counts::from_text(&counts.to_text()), Ok(counts));
        assert!(Counts::from_text("compiler r\\na 1").is_err());
    }

    #[test]
    fn only_what_is_beyond_the_tolerance_fails_and_is_named() {
        let recorded = counts("r", &[("a", 1000.0), ("b", 1000.0)]);
        let outcome = |a, b| judge(&counts("r", &[("a", a), ("b", b)]), &recorded).outcome;
        assert!(outcome(1019.0, 981.0).is_ok());
        let more = outcome(1021.0, 1000.0).expect_err("more");
        assert!(
            more.starts_with("a costs 2.1 % more") && !more.contains("b costs"),
            "{more}"
        );
        assert!(more.contains("--accept"), "{more}");
        let fewer = outcome(1000.0, 900.0).expect_err("fewer");
        assert!(fewer.starts_with("b costs 10.0 % fewer"), "{fewer}");
        assert!(outcome(f64::NAN, 1000.0).is_err());
        let unknown = judge(&counts("r", &[("c", 1.0)]), &recorded).outcome;
        assert!(unknown.is_err_and(|told| told.starts_with("c is not recorded yet")));
    }

    #[test]
    fn counts_of_another_compiler_are_not_judged_but_told() {
        let recorded = counts("rustc 1", &[("a", 1000.0)]);
        let told = judge(&counts("rustc 2", &[("a", 2000.0)]), &recorded).outcome;
        let told = told.expect("not judged");
        assert!(
            told.starts_with("NOT COMPARED")
                && told.contains("rustc 1")
                && told.contains("rustc 2")
        );
    }
}
