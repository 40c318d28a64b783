//! The text of cache rules to [`CacheRules`], and the built-in rules of the profiles.
//!
//! Invariants: explicit rules come first, in the order given, and then the profile's; a pattern stands there
//! once; every pattern can be the name of a cache or the beginning of one.
//!
//! Not here: the shape of `[[cache]]` tables (`file`); looking rules up (`caches`).

use std::time::Duration;

use super::caches::{CachePolicy, CacheRule, CacheRules, Encoding};
use super::draft::Draft;
use super::mistake::quoted;
use super::origin::Origin;
use super::types::Profile;
use super::units;
use crate::model::CacheName;

/// The shortest lifetime that Redis can express.
const SHORTEST: Duration = Duration::from_millis(1);
/// Ten years of 365.25 days, as `humantime` counts them: longer than any cache is kept, and `none` says "for
/// ever" better.
const LONGEST: Duration = Duration::from_secs(315_576_000);
/// The most of a lifetime that may be taken off at random, in percent.
const MOST_JITTER: u8 = 50;
/// How long Entando's general cache keeps an entry.
const ENTANDO_TTL: Duration = Duration::from_secs(4 * 3600);

/// A rule as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawRule {
    /// What a mistake calls it.
    field: String,
    /// Where it stands.
    origin: Origin,
    /// Whether a mistake in it was noted already.
    pub(super) broken: bool,
    pub(super) pattern: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) ttl: Option<String>,
    pub(super) jitter: Option<String>,
}

impl RawRule {
    /// A rule without content.
    pub(super) fn new(field: String, origin: Origin) -> Self {
        Self {
            field,
            origin,
            broken: false,
            pattern: None,
            encoding: None,
            ttl: None,
            jitter: None,
        }
    }

    /// Notes a mistake in one part. In the file each part has a place of its own; elsewhere the rule must be
    /// told from its neighbours.
    pub(super) fn mistake(&self, draft: &mut Draft, part: &str, problem: String) {
        if let Origin::File(path, _) = &self.origin {
            let field = format!("{}.{part}", self.field);
            let origin = Origin::File(path.clone(), field.clone());
            draft.mistake_at(field, origin.to_string(), problem);
        } else {
            let pattern = quoted(self.pattern.as_deref().unwrap_or_default());
            let problem = format!("has the rule {pattern}, whose {part} {problem}");
            draft.mistake_at(&self.field, self.origin.to_string(), problem);
        }
    }
}

/// The rules in effect: those of a flag or variable, else those of the file; then those of the profile.
pub(super) fn rules(draft: &mut Draft, profile: Profile) -> CacheRules {
    let origin = draft.origin("caches");
    let raw = if origin.is_explicit() {
        if !draft.file_rules.is_empty() {
            draft.notice(format!(
                "the [[cache]] tables of the file are replaced by {origin}"
            ));
        }
        split(draft, &origin)
    } else {
        draft.file_rules.clone()
    };
    let mut rules: Vec<CacheRule> = Vec::new();
    for raw in raw {
        let Some(rule) = check(draft, &raw) else {
            continue;
        };
        if rules.iter().any(|other| other.pattern == rule.pattern) {
            let pattern = quoted(&rule.pattern);
            let problem = format!("gives {pattern} a second rule; remove one of the two");
            draft.mistake_at(raw.field, raw.origin.to_string(), problem);
            continue;
        }
        if let Some(first) = rules.iter().find(|other| other.matches(&rule.pattern)) {
            draft.notice(format!(
                "the cache rule {} is never reached, because {} before it matches the same names",
                quoted(&rule.pattern),
                quoted(&first.pattern)
            ));
        }
        rules.push(rule);
    }
    show(draft, &rules, profile);
    for rule in built_in(profile) {
        if rules.iter().all(|other| other.pattern != rule.pattern) {
            rules.push(rule);
        }
    }
    CacheRules::new(rules)
}

fn built_in(profile: Profile) -> Vec<CacheRule> {
    let rule = |pattern: &str, encoding, ttl| CacheRule {
        pattern: pattern.to_owned(),
        policy: CachePolicy {
            encoding,
            ttl,
            jitter: 0,
        },
    };
    match profile {
        Profile::Default => Vec::new(),
        Profile::Entando => vec![
            rule("Entando_Cache", Encoding::Framed, Some(ENTANDO_TTL)),
            rule("Entando_*", Encoding::Raw, None),
        ],
    }
}

/// Makes the explicit rules, or else the profile's, what `caches` shows as effective.
fn show(draft: &mut Draft, explicit: &[CacheRule], profile: Profile) {
    let built_in = built_in(profile);
    let file = draft.file_rules.first().map(|raw| &raw.origin);
    let (rules, origin) = match (explicit, file) {
        ([], _) if built_in.is_empty() => return,
        ([], _) => (built_in.as_slice(), Origin::Profile("entando")),
        (explicit, Some(Origin::File(path, _))) if !draft.is_explicit("caches") => {
            (explicit, Origin::File(path.clone(), "cache".to_owned()))
        }
        (explicit, _) => (explicit, draft.origin("caches")),
    };
    let one = |rule: &CacheRule| {
        let encoding = rule.policy.encoding.name();
        let ttl = rule
            .policy
            .ttl
            .map(|ttl| format!(":{}", humantime::format_duration(ttl)));
        let jitter = match rule.policy.jitter {
            0 => String::new(),
            percent => format!(":{percent}%"),
        };
        let ttl = ttl.unwrap_or_default();
        format!("{}:{encoding}{ttl}{jitter}", rule.pattern)
    };
    let text: Vec<String> = rules.iter().map(one).collect();
    draft.set("caches", &text.join(","), origin);
}

/// Takes `pattern:encoding[:ttl[:jitter]],...` apart. From the right, because the name of a cache may hold a colon.
fn split(draft: &mut Draft, origin: &Origin) -> Vec<RawRule> {
    let text = draft.text("caches").to_owned();
    let mut rules = Vec::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let mut rule = RawRule::new("caches".to_owned(), origin.clone());
        let (item, jitter) = match item.rsplit_once(':') {
            Some((rest, last)) if last.ends_with('%') => (rest, Some(last.to_owned())),
            _ => (item, None),
        };
        let parts = match item.rsplit_once(':') {
            Some((pattern, last)) if encoding(last).is_ok() => Some((pattern, last, None)),
            Some((rest, ttl)) => rest
                .rsplit_once(':')
                .map(|(pattern, encoding)| (pattern, encoding, Some(ttl.to_owned()))),
            None => None,
        };
        let Some((pattern, encoding, ttl)) = parts else {
            let problem = format!(
                "has the rule {}; write pattern:framed or pattern:raw:4h",
                quoted(item)
            );
            draft.mistake("caches", problem);
            continue;
        };
        rule.pattern = Some(pattern.to_owned());
        rule.encoding = Some(encoding.to_owned());
        rule.ttl = ttl;
        rule.jitter = jitter;
        rules.push(rule);
    }
    rules
}

/// A valid rule, or `None` after noting what is wrong with each of its parts.
fn check(draft: &mut Draft, raw: &RawRule) -> Option<CacheRule> {
    let mut note = |part: &str, problem: String| raw.mistake(draft, part, problem);
    let name = raw.pattern.as_deref();
    let name = name.ok_or_else(|| "is missing; write name = \"...\"".to_owned());
    let pattern = name.and_then(pattern).map_err(|problem| {
        if raw.pattern.is_some() || !raw.broken {
            note("name", problem);
        }
    });
    let encoding = raw
        .encoding
        .as_deref()
        .map_or(Ok(Encoding::Framed), encoding);
    let encoding = encoding.map_err(|problem| note("encoding", problem));
    let ttl = raw.ttl.as_deref().map_or(Ok(None), ttl);
    let ttl = ttl.map_err(|problem| note("ttl", problem));
    let jitter = raw.jitter.as_deref().map_or(Ok(0), jitter);
    let jitter = jitter.and_then(|percent| match ttl {
        Ok(None) if percent > 0 => Err("shortens a ttl, and there is none; give a ttl".to_owned()),
        _ => Ok(percent),
    });
    let jitter = jitter.map_err(|problem| note("jitter", problem));
    Some(CacheRule {
        pattern: pattern.ok()?.to_owned(),
        policy: CachePolicy {
            encoding: encoding.ok()?,
            ttl: ttl.ok()?,
            jitter: jitter.ok()?,
        },
    })
}

/// The name of a cache, or the beginning of names and one `*`.
pub(super) fn pattern(text: &str) -> Result<&str, String> {
    let remedy = "write the name of a cache, or its beginning and one *";
    let beginning = text.strip_suffix('*');
    if beginning.unwrap_or(text).contains('*') {
        return Err(format!("is {}; {remedy}", quoted(text)));
    }
    // What follows the beginning is free, so any legal character stands for it.
    let example = beginning.map_or_else(|| text.to_owned(), |beginning| format!("{beginning}x"));
    match CacheName::new(&example) {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{error}; {remedy}")),
    }
}

fn encoding(text: &str) -> Result<Encoding, String> {
    let known = [Encoding::Framed, Encoding::Raw]
        .into_iter()
        .find(|known| known.name() == text);
    known.ok_or_else(|| format!("is {}; write framed or raw", quoted(text)))
}

fn ttl(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    units::duration(SHORTEST..=LONGEST)(text)
        .map(Some)
        .map_err(|problem| format!("{problem}, or none"))
}

fn jitter(text: &str) -> Result<u8, String> {
    let percent = text.strip_suffix('%').and_then(|n| n.parse().ok());
    let percent = percent.filter(|percent| *percent <= MOST_JITTER);
    percent.ok_or_else(|| format!("is {}; write 0% to {MOST_JITTER}%", quoted(text)))
}
