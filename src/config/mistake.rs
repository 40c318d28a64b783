//! What is wrong with a configuration, in words that tell the reader what to do.
//!
//! Invariants: a problem ends with its remedy and without a full stop, and takes one line; it quotes a value
//! only through [`quoted`], and never one that may hold a secret.
//!
//! Not here: where a value came from (`origin`).

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The dotted key of the setting, or the name of the variable or file that is not one.
    pub field: String,
    /// Where the text came from.
    pub origin: String,
    /// What is wrong and what to do about it.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name out of a file may hold a line break, and a mistake is one line.
        let problem = self.problem.replace(char::is_control, " ");
        let origin = self.origin.replace(char::is_control, " ");
        let field = self.field.replace(char::is_control, " ");
        if origin.ends_with(&field) {
            write!(f, "{origin} {problem}")
        } else {
            write!(f, "{field} (from {origin}) {problem}")
        }
    }
}

/// Everything that is wrong, at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The longest piece of a value that is worth repeating to its author, in characters.
const QUOTED_CHARS: usize = 80;

/// A value in quotes, escaped and cut, to stand in a problem.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().count() <= QUOTED_CHARS {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(QUOTED_CHARS).collect();
    format!("{start:?}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line_and_a_quotation_is_short() {
        let mistake = Mistake {
            field: "a\nb".to_owned(),
            origin: "x.toml: a\nb".to_owned(),
            problem: "is odd\n; remove it".to_owned(),
        };
        assert_eq!(mistake.to_string(), "x.toml: a b is odd ; remove it");
        assert_eq!(quoted("a\n\""), r#""a\n\"""#);
        assert_eq!(
            quoted(&"x".repeat(81)),
            format!("\"{}\"...", "x".repeat(80))
        );
    }
}
