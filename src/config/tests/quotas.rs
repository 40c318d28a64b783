//! Quotas: rules, sources, mistakes.

use super::given;
use crate::config::{Applying, Quota};
use crate::model::{CacheId, CacheName, Tenant};

fn cache(tenant: &str, name: &str) -> CacheId {
    CacheId {
        tenant: Tenant::new(tenant).expect(tenant),
        name: CacheName::new(name).expect(name),
    }
}

#[test]
fn rules_come_from_the_variable_and_from_the_file_alike() {
    let text = "cache=orders* tenant=shop  entries=10 bytes=64KiB rate=5/s";
    let expected = Quota {
        cache: Some("orders*".to_owned()),
        tenant: Some("shop".to_owned()),
        entries: Some(10),
        bytes: Some(65_536),
        rate: Some(5),
    };
    let of_primary = Quota {
        tenant: Some(String::new()),
        rate: Some(7),
        ..Quota::default()
    };
    for given in [
        given().env("VEDETTA_QUOTAS", &format!("{text}, tenant= rate=7/s,")),
        given().file(&format!("quotas = ['{text}', 'tenant= rate=7/s']")),
    ] {
        let quotas = given.config().quotas;
        let of_shop = quotas.of(&cache("shop", "orders1"));
        let other = quotas.of(&cache("", "orders1"));
        assert_eq!(of_shop.cache, Some(&expected));
        assert_eq!(of_shop.tenant, None);
        assert_eq!((other.cache, other.tenant), (None, Some(&of_primary)));
        let written: Vec<String> = quotas.rules().iter().map(Quota::to_string).collect();
        assert_eq!(written, [&text.replace("  ", " "), "tenant= rate=7/s"]);
    }
    assert!(given().config().quotas.is_empty());
    let shown = given().env("VEDETTA_QUOTAS", text).effective("quotas");
    assert_eq!(shown, (text.to_owned(), "VEDETTA_QUOTAS".to_owned()));
}

/// A rule, and what is wrong with it.
const MISTAKES: [(&str, &str); 13] = [
    (
        "orders",
        "whose part \"orders\" has no value; write cache=orders entries=1000 bytes=64MiB rate=100/s",
    ),
    (
        "entries=1",
        "which is for nobody; add cache=orders, tenant=shop, or * for each",
    ),
    (
        "cache=a",
        "which bounds nothing; add entries=1000, bytes=64MiB or rate=100/s",
    ),
    (
        "cache=a entry=1",
        "whose entry is not a setting; remove it or take a name from the list of settings",
    ),
    (
        "cache=a entrie=1",
        "whose entrie is not a setting; did you mean entries?",
    ),
    (
        "cache=a entries=0",
        "whose entries is 0, which is out of range; write 1 to 1000000000000",
    ),
    (
        "cache=a entries=many",
        "whose entries is \"many\"; write a whole number from 1 to 1000000000000",
    ),
    (
        "cache=a bytes=5",
        "whose bytes is \"5\", which has no unit; write a size such as 65536B, 64KiB, 16MiB or 1GiB",
    ),
    (
        "cache=a rate=5",
        "whose rate is \"5\"; write a rate such as 100/s",
    ),
    (
        "cache=a rate=0/s",
        "whose rate is 0, which is out of range; write 1 to 1000000",
    ),
    (
        "cache=a* cache=b rate=5/s",
        "which gives cache twice; remove one of the two",
    ),
    (
        "cache=a*b rate=5/s",
        "whose cache is \"a*b\"; write the name of a cache, or its beginning and one *",
    ),
    (
        "tenant=a*b rate=5/s",
        "whose tenant is \"a*b\"; write the name of a tenant, its beginning and one *, or nothing for the primary one",
    ),
];

#[test]
fn a_mistake_in_a_rule_names_the_part_and_the_remedy() {
    for (rule, problem) in MISTAKES {
        let mistake = given().env("VEDETTA_QUOTAS", rule).mistake();
        let expected = format!("quotas (from VEDETTA_QUOTAS) has the rule {rule:?}, {problem}");
        assert_eq!(mistake, expected);
    }
    let both = given().env("VEDETTA_QUOTAS", "cache=a rate=x,tenant=b bytes=1");
    assert_eq!(both.mistakes().lines().count(), 2);
    let twice = given().env("VEDETTA_QUOTAS", "cache=a rate=1/s,cache=a bytes=1KiB");
    assert!(
        twice
            .mistake()
            .ends_with("which is for the same names as one before it; make one of the two")
    );
}

#[test]
fn what_only_raw_caches_hold_is_not_counted() {
    let raw = "which bounds what raw caches hold, where others write too; keep rate alone, or make the cache framed";
    let caches = "a1:framed,a*:raw,b:raw,c*:raw";
    let load = |quota: &str| {
        given()
            .env("VEDETTA_CACHES", caches)
            .env("VEDETTA_QUOTAS", quota)
    };
    for quota in [
        "cache=b entries=1",
        "cache=a2 bytes=1KiB rate=1/s",
        "cache=c* entries=1",
        "cache=c1* entries=1",
    ] {
        assert!(load(quota).mistake().ends_with(raw), "{quota}");
    }
    for quota in [
        "cache=b rate=1/s",
        "cache=a1 entries=1",
        "cache=a* entries=1",
        "cache=* entries=1",
        "tenant=* bytes=1KiB",
    ] {
        load(quota).loaded();
    }
    let quotas = load("cache=* entries=1").config().quotas;
    let counted = |name| quotas.of_stored(&cache("", name)).is_some();
    assert_eq!(
        [counted("a1"), counted("a2"), counted("d")],
        [true, false, true]
    );
    let Applying { cache, .. } = quotas.of(&cache("", "a2"));
    assert!(cache.is_some());
}

#[test]
fn a_quota_that_is_never_reached_is_noticed() {
    let notices = |quotas: &str| given().env("VEDETTA_QUOTAS", quotas).notices();
    assert_eq!(
        notices("cache=a* rate=1/s,cache=ab tenant=t rate=2/s"),
        "the quota \"cache=ab tenant=t rate=2/s\" is never reached, because one before it matches the same names"
    );
    assert_eq!(
        notices("tenant=* rate=1/s,tenant=t rate=2/s")
            .lines()
            .count(),
        1
    );
    for quotas in [
        "cache=a* tenant=t rate=1/s,cache=ab rate=2/s",
        "tenant=* rate=1/s,cache=a rate=2/s",
        "cache=ab rate=1/s,cache=a* rate=2/s",
    ] {
        assert_eq!(notices(quotas), "", "{quotas}");
    }
}
