//! Cache rules: order, sources, profile, mistakes.

use std::time::Duration;

use super::{Given, given};
use crate::config::{CachePolicy, Encoding};
use crate::model::CacheName;

const HOUR: u64 = 3600;

fn policy(given: &Given, cache: &str) -> (Encoding, Option<u64>) {
    let name = CacheName::new(cache).expect(cache);
    let CachePolicy { encoding, ttl, .. } = given.config().caches.policy(&name);
    (encoding, ttl.map(|ttl| Duration::as_secs(&ttl)))
}

#[test]
fn explicit_rules_come_in_order_before_those_of_the_profile() {
    let g = given().file(
        "profile = 'entando'\n\
         [[cache]]\nname = 'Entando_Hot'\nencoding = 'framed'\nttl = '1h'\n\
         [[cache]]\nname = 'Entando_Cache*'\nttl = 'none'\n\
         [[cache]]\nname = 'shop:items'\nencoding = 'raw'",
    );
    for (cache, expected) in [
        ("Entando_Hot", (Encoding::Framed, Some(HOUR))),
        ("Entando_Cache", (Encoding::Framed, None)),
        ("Entando_Other", (Encoding::Raw, None)),
        ("shop:items", (Encoding::Raw, None)),
        ("shop:items2", (Encoding::Framed, None)),
    ] {
        assert_eq!(policy(&g, cache), expected, "{cache}");
    }
    assert_eq!(
        g.effective("caches"),
        (
            "Entando_Hot:framed:1h,Entando_Cache*:framed,shop:items:raw".to_owned(),
            "vedetta.toml: cache".to_owned()
        )
    );
    assert_eq!(g.notices(), "");
}

#[test]
fn the_entando_profile_frames_its_general_cache_only() {
    let g = given().env("VEDETTA_PROFILE", "entando");
    assert_eq!(
        policy(&g, "Entando_Cache"),
        (Encoding::Framed, Some(4 * HOUR))
    );
    assert_eq!(policy(&g, "Entando_Pages"), (Encoding::Raw, None));
    assert_eq!(policy(&g, "Entando_Cache2"), (Encoding::Raw, None));
    assert_eq!(policy(&g, "other"), (Encoding::Framed, None));
    assert!(g.config().caches.named("Entando_Pages") && !g.config().caches.named("other"));
    let expected = "Entando_Cache:framed:4h,Entando_*:raw";
    assert_eq!(
        g.effective("caches"),
        (expected.into(), "profile entando".into())
    );
    assert_eq!(policy(&given(), "Entando_Pages"), (Encoding::Framed, None));
}

#[test]
fn an_explicit_rule_replaces_the_profiles_rule_of_that_pattern() {
    let g = given()
        .env("VEDETTA_PROFILE", "entando")
        .env("VEDETTA_CACHES", "Entando_*:raw:10m");
    let rules = g.config().caches;
    let patterns: Vec<&str> = rules
        .rules()
        .iter()
        .map(|rule| rule.pattern.as_str())
        .collect();
    assert_eq!(patterns, ["Entando_*", "Entando_Cache"]);
    assert_eq!(policy(&g, "Entando_Cache"), (Encoding::Raw, Some(600)));
}

#[test]
fn the_variable_replaces_the_file() {
    let g = given()
        .file("[[cache]]\nname = 'a'\nencoding = 'raw'")
        .env("VEDETTA_CACHES", " b:raw:4h , c:d:framed:none, *:raw,");
    assert_eq!(policy(&g, "b"), (Encoding::Raw, Some(4 * HOUR)));
    assert_eq!(policy(&g, "c:d"), (Encoding::Framed, None));
    assert_eq!(policy(&g, "a"), (Encoding::Raw, None));
    assert_eq!(g.config().caches.rules().len(), 3);
    assert_eq!(
        g.notices(),
        "the [[cache]] tables of the file are replaced by VEDETTA_CACHES"
    );
    let expected = "b:raw:4h,c:d:framed,*:raw";
    assert_eq!(
        g.effective("caches"),
        (expected.into(), "VEDETTA_CACHES".into())
    );
}

#[test]
fn jitter_is_a_share_of_a_ttl() {
    let jitter = |given: &Given, cache: &str| {
        let name = CacheName::new(cache).expect(cache);
        given.config().caches.policy(&name).jitter
    };
    let g = given().env("VEDETTA_CACHES", "a:framed:1h:10%,b:c:raw:4h,d:raw:1s:0%");
    assert_eq!((jitter(&g, "a"), jitter(&g, "b:c")), (10, 0));
    assert_eq!((jitter(&g, "d"), jitter(&g, "none")), (0, 0));
    let expected = "a:framed:1h:10%,b:c:raw:4h,d:raw:1s";
    assert_eq!(g.effective("caches").0, expected);
    let g = given().file("[[cache]]\nname = 'a'\nttl = '1h'\njitter = '50%'");
    assert_eq!(jitter(&g, "a"), 50);
    for (rule, problem) in [
        ("ttl = '1h'\njitter = '51%'", "is \"51%\"; write 0% to 50%"),
        ("ttl = '1h'\njitter = '-1%'", "is \"-1%\"; write 0% to 50%"),
        ("ttl = '1h'\njitter = '5'", "is \"5\"; write 0% to 50%"),
        (
            "jitter = '5%'",
            "shortens a ttl, and there is none; give a ttl",
        ),
    ] {
        let mistake = given().file(&format!("[[cache]]\nname = 'a'\n{rule}"));
        let expected = format!("vedetta.toml: cache[1].jitter {problem}");
        assert_eq!(mistake.mistake(), expected);
    }
    assert_eq!(
        given().env("VEDETTA_CACHES", "a:raw:5%").mistake(),
        "caches (from VEDETTA_CACHES) has the rule \"a\", whose jitter shortens a ttl, and there is none; give a ttl"
    );
}

#[test]
fn a_rule_that_is_never_reached_is_noticed() {
    let notices = given()
        .env("VEDETTA_CACHES", "a*:raw,ab*:framed,b:raw")
        .notices();
    assert_eq!(
        notices,
        "the cache rule \"ab*\" is never reached, because \"a*\" before it matches the same names"
    );
    assert_eq!(
        given().env("VEDETTA_CACHES", "ab:raw,a*:framed").notices(),
        ""
    );
}

#[test]
fn mistakes_in_tables_name_the_table_and_the_part() {
    for (table, expected) in [
        (
            "encoding = 'raw'",
            "cache[2].name is missing; write name = \"...\"",
        ),
        (
            "name = 'b'\nencoding = 'zip'",
            "cache[2].encoding is \"zip\"; write framed or raw",
        ),
        (
            "name = 'b'\nttl = '4'",
            "cache[2].ttl is \"4\", which has no unit; write a duration such as 250ms, 5s or 4h, or none",
        ),
        (
            "name = 'b'\nttl = '0s'",
            "cache[2].ttl is 0s, which is out of range; write 1ms to 10years, or none",
        ),
        (
            "name = 'b'\nttl = 4",
            "cache[2].ttl is a number; write text in quotes, such as \"raw\" or \"4h\"",
        ),
        (
            "name = 3",
            "cache[2].name is a number; write text in quotes, such as \"raw\" or \"4h\"",
        ),
        (
            "name = 'a'",
            "cache[2] gives \"a\" a second rule; remove one of the two",
        ),
        (
            "name = 'b*c'",
            "cache[2].name is \"b*c\"; write the name of a cache, or its beginning and one *",
        ),
        (
            "name = 'b**'",
            "cache[2].name is \"b**\"; write the name of a cache, or its beginning and one *",
        ),
        (
            "name = 'b::*'",
            "cache[2].name must not contain `::` nor begin or end with `:`, which separate cache \
             and key in Redis; write the name of a cache, or its beginning and one *",
        ),
    ] {
        let file = format!("[[cache]]\nname = 'a'\n[[cache]]\n{table}");
        assert_eq!(
            given().file(&file).mistake(),
            format!("vedetta.toml: {expected}")
        );
    }
}

#[test]
fn mistakes_in_the_variable_quote_the_rule() {
    for (text, expected) in [
        (
            "a",
            "has the rule \"a\"; write pattern:framed or pattern:raw:4h",
        ),
        (
            "a:4h",
            "has the rule \"a:4h\"; write pattern:framed or pattern:raw:4h",
        ),
        (
            "a:zip:4h",
            "has the rule \"a\", whose encoding is \"zip\"; write framed or raw",
        ),
        (
            ":raw",
            "has the rule \"\", whose name must not be empty; \
             write the name of a cache, or its beginning and one *",
        ),
        (
            "a:raw,a:framed",
            "gives \"a\" a second rule; remove one of the two",
        ),
    ] {
        let mistake = given().env("VEDETTA_CACHES", text).mistake();
        assert_eq!(
            mistake,
            format!("caches (from VEDETTA_CACHES) {expected}"),
            "{text}"
        );
    }
    let three = given().env("VEDETTA_CACHES", "a:zip:4,b*b:raw").mistakes();
    assert_eq!(three.lines().count(), 3, "{three}");
}
