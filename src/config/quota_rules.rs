//! The text of quota rules to [`Quotas`].
//!
//! Invariants: a rule is for a cache, a tenant or both, and bounds at least one thing; no two are for the same names;
//! none counts what only raw caches hold, since whoever writes to them needs no vedetta.
//!
//! Not here: looking rules up (`quotas`).

use super::caches::{CacheRules, Encoding, covers};
use super::draft::Draft;
use super::mistake::quoted;
use super::quotas::{Quota, Quotas};
use super::rules::pattern;
use super::suggest::unknown;
use super::units;
use crate::model::Tenant;

const KEY: &str = "quotas";
const PARTS: [&str; 5] = ["cache", "tenant", "entries", "bytes", "rate"];
/// More than any Redis holds, and few enough that sums of them are exact in the numbers of Lua.
const MOST_ENTRIES: usize = 1_000_000_000_000;
const MOST_BYTES: u64 = 1 << 50;
const MOST_RATE: usize = 1_000_000;

/// The rules in effect.
pub(super) fn quotas(draft: &mut Draft, caches: &CacheRules) -> Quotas {
    let text = draft.text(KEY).to_owned();
    let mut rules: Vec<Quota> = Vec::new();
    let items = text.split(',').map(str::trim);
    for item in items.filter(|item| !item.is_empty()) {
        let rule = match rule(item).and_then(|rule| countable(rule, caches)) {
            Ok(rule) => rule,
            Err(problem) => {
                draft.mistake(KEY, format!("has the rule {}, {problem}", quoted(item)));
                continue;
            }
        };
        let same = |other: &Quota| (&other.cache, &other.tenant) == (&rule.cache, &rule.tenant);
        if rules.iter().any(same) {
            let problem = "which is for the same names as one before it; make one of the two";
            draft.mistake(KEY, format!("has the rule {}, {problem}", quoted(item)));
            continue;
        }
        if rules.iter().any(|other| hides(other, &rule)) {
            let problem = "is never reached, because one before it matches the same names";
            draft.notice(format!("the quota {} {problem}", quoted(item)));
        }
        rules.push(rule);
    }
    Quotas::new(rules, caches.clone())
}

/// Whether whatever the later rule matches is matched by the earlier one.
fn hides(earlier: &Quota, later: &Quota) -> bool {
    let all = |earlier: &Option<String>, later: &Option<String>| match (earlier, later) {
        (None, _) => true,
        (Some(earlier), Some(later)) => covers(earlier, later),
        (Some(earlier), None) => earlier == "*",
    };
    earlier.cache.is_none() == later.cache.is_none()
        && all(&earlier.cache, &later.cache)
        && all(&earlier.tenant, &later.tenant)
}

/// One rule: parts `name=value` with blanks between.
fn rule(item: &str) -> Result<Quota, String> {
    let mut rule = Quota::default();
    let mut seen: Vec<&str> = Vec::new();
    for part in item.split_whitespace() {
        let (name, value) = part.split_once('=').ok_or_else(|| {
            format!("whose part {} has no value; write cache=orders entries=1000 bytes=64MiB rate=100/s", quoted(part))
        })?;
        if seen.contains(&name) {
            return Err(format!("which gives {name} twice; remove one of the two"));
        }
        seen.push(name);
        let problem = |problem: String| format!("whose {name} {problem}");
        match name {
            "cache" => rule.cache = Some(pattern(value).map_err(problem)?.to_owned()),
            "tenant" => rule.tenant = Some(tenant(value).map_err(problem)?),
            "entries" => rule.entries = Some(entries(value).map_err(problem)?),
            "bytes" => rule.bytes = Some(units::size(1..=MOST_BYTES)(value).map_err(problem)?),
            "rate" => rule.rate = Some(rate(value).map_err(problem)?),
            _ => return Err(format!("whose {name} {}", unknown(name, PARTS.into_iter()))),
        }
    }
    if rule.cache.is_none() && rule.tenant.is_none() {
        return Err("which is for nobody; add cache=orders, tenant=shop, or * for each".to_owned());
    }
    if (rule.entries, rule.bytes, rule.rate) == (None, None, None) {
        let remedy = "add entries=1000, bytes=64MiB or rate=100/s";
        return Err(format!("which bounds nothing; {remedy}"));
    }
    Ok(rule)
}

/// A rule whose entries and bytes can be counted. One that also matches framed caches counts those.
fn countable(rule: Quota, caches: &CacheRules) -> Result<Quota, String> {
    let counts = rule.entries.is_some() || rule.bytes.is_some();
    match &rule.cache {
        Some(cache) if counts && only_raw(cache, caches) => Err(
            "which bounds what raw caches hold, where others write too; keep rate alone, or make the cache framed"
                .to_owned(),
        ),
        _ => Ok(rule),
    }
}

/// Whether every cache that a pattern matches is raw.
fn only_raw(pattern: &str, caches: &CacheRules) -> bool {
    let touches = |other: &str| covers(other, pattern) || covers(pattern, other);
    let mut rules = caches.rules().iter();
    let first = rules.find(|rule| touches(&rule.pattern));
    first
        .is_some_and(|rule| rule.policy.encoding == Encoding::Raw && covers(&rule.pattern, pattern))
}

fn tenant(text: &str) -> Result<String, String> {
    let remedy =
        "write the name of a tenant, its beginning and one *, or nothing for the primary one";
    let beginning = text.strip_suffix('*').unwrap_or(text);
    if beginning.contains('*') {
        return Err(format!("is {}; {remedy}", quoted(text)));
    }
    // What follows the beginning is free, so any legal character stands for it.
    let example = text.replace('*', "x");
    Tenant::new(&example).map_err(|error| format!("{error}; {remedy}"))?;
    Ok(text.to_owned())
}

fn entries(text: &str) -> Result<u64, String> {
    units::number(1..=MOST_ENTRIES)(text).map(|number| number as u64)
}

fn rate(text: &str) -> Result<u64, String> {
    let Some(number) = text.strip_suffix("/s") else {
        return Err(format!("is {}; write a rate such as 100/s", quoted(text)));
    };
    units::number(1..=MOST_RATE)(number).map(|number| number as u64)
}
