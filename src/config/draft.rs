//! The working copy of a load: the winning text of each setting, and what was noticed on the way.
//!
//! Invariants: of two values of one setting the one of the higher [`Origin::level`] stays, whatever the order
//! in which they arrive; blank text never displaces a value of a setting for which blank means unset.
//!
//! Not here: what the text means (`server`, `store`, `rules`).

use std::collections::BTreeMap;

use super::mistake::{Mistake, Mistakes};
use super::origin::Origin;
use super::rules::RawRule;
use super::setting::{Setting, find, settings};
use super::types::Config;

/// A valid configuration, with what to tell the operator about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What an operator should know: one sentence each, logged at start.
    pub notices: Vec<String>,
    /// Every setting as it took effect, in the order of the table.
    pub effective: Vec<EffectiveLine>,
}

/// One setting as it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveLine {
    /// The dotted key.
    pub key: String,
    /// The text; `***` for a secret, empty if unset.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

struct Value {
    text: String,
    origin: Origin,
}

/// The working copy.
pub(super) struct Draft {
    values: BTreeMap<&'static str, Value>,
    /// The `[[cache]]` tables of the file, if it has any.
    pub(super) file_rules: Vec<RawRule>,
    /// Whether `REDIS_ACTIVE` is `true`.
    pub(super) redis_active: bool,
    mistakes: Vec<Mistake>,
    notices: Vec<String>,
}

impl Draft {
    /// Every setting at its default.
    pub(super) fn new() -> Self {
        let at_default = |setting: &Setting| Value {
            text: setting.default.to_owned(),
            origin: Origin::Default,
        };
        Self {
            values: settings().iter().map(|s| (s.key, at_default(s))).collect(),
            file_rules: Vec::new(),
            redis_active: false,
            mistakes: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Offers a value, which stays unless a higher one is there or it says nothing.
    pub(super) fn put(&mut self, setting: &Setting, text: &str, origin: Origin) {
        let blank = text.trim().is_empty();
        if blank && setting.blank_is_unset() || origin.level() < self.origin(setting.key).level() {
            return;
        }
        // White space at the ends of a password may be part of it.
        let text = if setting.secret { text } else { text.trim() };
        self.set(setting.key, text, origin);
    }

    /// Replaces a value by one that follows from another setting.
    pub(super) fn set(&mut self, key: &str, text: &str, origin: Origin) {
        if let Some(value) = self.values.get_mut(key) {
            value.text = text.to_owned();
            value.origin = origin;
        }
    }

    /// Puts a setting back to its default.
    pub(super) fn clear(&mut self, key: &str) {
        let default = find(key).map_or("", |setting| setting.default);
        self.set(key, default, Origin::Default);
    }

    /// The text of a setting, empty if it is unset.
    pub(super) fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |value| &value.text)
    }

    /// Where the text of a setting came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let value = self.values.get(key);
        value.map_or(Origin::Default, |value| value.origin.clone())
    }

    /// Whether somebody asked for the value of a setting.
    pub(super) fn is_explicit(&self, key: &str) -> bool {
        self.origin(key).is_explicit()
    }

    /// Parses a setting; `None` after a mistake, which is noted.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.text(key)) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.mistake(key, problem);
                None
            }
        }
    }

    /// Parses a setting that may be unset.
    pub(super) fn read_optional<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        if self.text(key).is_empty() {
            return Some(None);
        }
        self.read(key, parse).map(Some)
    }

    /// Notes a mistake in a setting.
    pub(super) fn mistake(&mut self, key: &str, problem: impl Into<String>) {
        let origin = self.origin(key).to_string();
        self.mistake_at(key, origin, problem);
    }

    /// Notes a mistake in something that is not a setting, or is not in effect.
    pub(super) fn mistake_at(
        &mut self,
        field: impl Into<String>,
        origin: impl Into<String>,
        problem: impl Into<String>,
    ) {
        self.mistakes.push(Mistake {
            field: field.into(),
            origin: origin.into(),
            problem: problem.into(),
        });
    }

    /// Notes something that an operator should know.
    pub(super) fn notice(&mut self, sentence: impl Into<String>) {
        self.notices.push(sentence.into());
    }

    /// The outcome, where `config` is present unless a mistake prevented it.
    pub(super) fn finish(self, config: Option<Config>) -> Result<Loaded, Mistakes> {
        let effective = self.effective();
        match config {
            Some(config) if self.mistakes.is_empty() => Ok(Loaded {
                config,
                notices: self.notices,
                effective,
            }),
            _ => {
                debug_assert!(!self.mistakes.is_empty(), "refused without a mistake");
                Err(Mistakes(self.mistakes))
            }
        }
    }

    fn effective(&self) -> Vec<EffectiveLine> {
        let line = |setting: &Setting| {
            let text = self.text(setting.key);
            let hidden = setting.secret && !text.is_empty();
            EffectiveLine {
                key: setting.key.to_owned(),
                value: if hidden { "***" } else { text }.to_owned(),
                origin: self.origin(setting.key).to_string(),
            }
        };
        settings().iter().map(line).collect()
    }
}
