//! Where values come from: precedence, the file, unknown names, all mistakes at once, secrets.

use super::given;
use crate::config::settings;

const SECRET: &str = "hunter2";

#[test]
fn the_higher_source_wins() {
    let mut all = given();
    let effective = |g: &super::Given| g.effective("sentinel.master_name");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(effective(&all), pair("mymaster", "default"));
    all = all.file("[sentinel]\nmaster_name = 'file'");
    assert_eq!(
        effective(&all),
        pair("file", "vedetta.toml: sentinel.master_name")
    );
    all = all.env("REDIS_MASTER_NAME", "alias");
    assert_eq!(effective(&all), pair("alias", "REDIS_MASTER_NAME"));
    all = all.env("VEDETTA_SENTINEL_MASTER_NAME", "env");
    assert_eq!(effective(&all), pair("env", "VEDETTA_SENTINEL_MASTER_NAME"));
    all = all.flag("sentinel.master_name", "flag");
    assert_eq!(effective(&all), pair("flag", "flag --sentinel-master-name"));
}

#[test]
fn blank_text_of_an_optional_setting_leaves_the_lower_source() {
    let g = given()
        .file("[redis]\naddress = 'a'\npassword = 'pw'\nprefix = 'p'")
        .env("VEDETTA_REDIS_ADDRESS", " ")
        .env("VEDETTA_REDIS_PASSWORD", "");
    assert_eq!(g.effective("redis.address").0, "a:6379");
    assert_eq!(g.effective("redis.password").0, "***");
    // An empty prefix is a prefix, and replaces another.
    assert_eq!(g.effective("redis.prefix").0, "p");
    let g = g.env("VEDETTA_REDIS_PREFIX", "");
    assert_eq!(g.effective("redis.prefix").0, "");
    assert!(
        given()
            .env("VEDETTA_LISTEN", "")
            .mistake()
            .starts_with("api.listen")
    );
}

#[test]
fn white_space_around_a_value_is_dropped_except_in_a_password() {
    let g = given().env("VEDETTA_DRAIN", " 7s\n");
    assert_eq!(g.config().api.drain.as_secs(), 7);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let g = given()
        .file("[api]\nworkers = 0\nlisten = 3\n[limits]\nkey = '64'\n[log]\nformt = 'text'")
        .env("VEDETTA_PROFILE", "liferay")
        .env("VEDETTA_SOCKET", "relative.sock")
        .env("VEDETTA_DRAIN", "5")
        .env("VEDETTA_SENTINEL_ADDRESSES", "a,a")
        .env("VEDETTA_SENTINEL_EVENTS", "yes")
        .env("VEDETTA_CACHES", "a:cooked")
        .env("VEDETTA_LISTN", "127.0.0.1:1")
        .env("REDIS_IO_THREAD_POOL_SIZE", "many")
        .flag("admin.listen", "everywhere")
        .flag("log.level", "");
    let mistakes = g.load().unwrap_err();
    let mut fields: Vec<&str> = mistakes.0.iter().map(|m| m.field.as_str()).collect();
    fields.sort_unstable();
    let expected = [
        "REDIS_IO_THREAD_POOL_SIZE",
        "VEDETTA_LISTN",
        "admin.listen",
        "api.drain",
        "api.listen",
        "api.socket",
        "api.workers",
        "caches",
        "limits.key",
        "log.formt",
        "log.level",
        "profile",
        "sentinel.addresses",
        "sentinel.events",
    ];
    assert_eq!(fields, expected);
    let text = g.mistakes();
    assert_eq!(text.lines().count(), expected.len());
    for line in [
        "vedetta.toml: api.workers is 0, which is out of range; write 1 to 64",
        "vedetta.toml: api.listen is a number; write text in quotes",
        "api.drain (from VEDETTA_DRAIN) is \"5\", which has no unit; \
         write a duration such as 250ms, 5s or 4h",
        "admin.listen (from flag --admin-listen) is \"everywhere\"; \
         write IP:port such as 0.0.0.0:17071",
        "VEDETTA_LISTN is not a setting; did you mean VEDETTA_LISTEN?",
    ] {
        assert!(
            text.lines().any(|other| other == line),
            "{line}\nnot in\n{text}"
        );
    }
}

const WRONG_TYPES: &[(&str, &str)] = &[
    (
        "[api]\nsocket = false",
        "api.socket is true or false; write text in quotes",
    ),
    (
        "[api]\nworkers = '2'",
        "api.workers is text; write a whole number without quotes",
    ),
    (
        "[api]\nworkers = 2.5",
        "api.workers is a number with a fraction; write a whole number",
    ),
    (
        "[api]\ndrain = 5",
        "api.drain is a number; write a duration with its unit in quotes",
    ),
    (
        "[limits]\nvalue = 65536",
        "limits.value is a number; write a size with its unit in",
    ),
    (
        "[redis]\ntls = 'true'",
        "redis.tls is text; write true or false without quotes",
    ),
    (
        "[redis]\npassword = 8812",
        "redis.password is a number; write text in quotes",
    ),
    (
        "[sentinel]\naddresses = ['a', 1]",
        "sentinel.addresses is an array; write an array of",
    ),
    (
        "[api.listen]\nport = 1",
        "api.listen is a table; write text in quotes",
    ),
    (
        "profile = 2020-01-01",
        "profile is a date; write text in quotes",
    ),
    ("api = 3", "api is a number; write a table [api]"),
    ("cache = 'a:raw'", "cache is text; write [[cache]] tables"),
    (
        "[cache]\nname = 'a'",
        "cache is a table; write [[cache]] tables",
    ),
    (
        "caches = 'a:raw'",
        "caches is text; write [[cache]] tables in the file instead",
    ),
];

#[test]
fn toml_values_of_the_wrong_type_are_mistakes() {
    for (text, line) in WRONG_TYPES {
        let mistake = given().file(text).mistake();
        assert!(
            mistake.starts_with(&format!("vedetta.toml: {line}")),
            "{text}: {mistake}"
        );
        assert!(!mistake.contains("8812"), "{mistake}");
    }
    let g = given().file("[api]\nworkers = 3\n[sentinel]\naddresses = ['a', 'b']\nevents = false");
    assert_eq!(g.effective("api.workers").0, "3");
    assert_eq!(g.effective("sentinel.addresses").0, "a,b");
    assert_eq!(g.effective("sentinel.events").0, "false");
}

#[test]
fn toml_syntax_is_one_mistake_with_its_line_and_without_its_text() {
    for (text, line) in [
        ("[redis]\n\npassword = hunter2", 3),
        ("[redis]\npassword = 'hunter2", 2),
        ("[redis]\npassword = \"hunter2\\q\"", 2),
        ("[redis]\npassword = 'hunter2'\npassword = 'hunter2'", 3),
        ("[redis\npassword = 'hunter2'", 1),
        ("password 'hunter2'", 1),
    ] {
        let mistake = given().file(text).mistake();
        assert!(
            mistake.starts_with(&format!("vedetta.toml line {line}: ")),
            "{text}: {mistake}"
        );
        assert!(mistake.ends_with("; correct the TOML there"), "{mistake}");
        assert!(!mistake.contains(SECRET), "{mistake}");
    }
}

const UNKNOWN: &[(&str, &str)] = &[
    (
        "[api]\nlistn = 'x'",
        "api.listn is not a setting; did you mean api.listen?",
    ),
    (
        "[sentinell]\nevents = true",
        "sentinell.events is not a setting; did you mean sentinel",
    ),
    (
        "[redis]\npasword = 'hunter2'",
        "redis.pasword is not a setting; did you mean redis.pass",
    ),
    (
        "[[cachs]]\nname = 'a'",
        "cachs is not a setting; did you mean cache?",
    ),
    (
        "[[cache]]\nname = 'a'\ntll = '4h'",
        "cache[1].tll is not a setting; did you mean ttl?",
    ),
    (
        "[server]",
        "server is not a setting; remove it or take a name from the list",
    ),
    (
        "port = 1",
        "port is not a setting; remove it or take a name from the list",
    ),
    (
        "[api.tls]\ncert = ''",
        "api.tls.cert is not a setting; remove it or take",
    ),
];

#[test]
fn unknown_names_are_mistakes_with_the_nearest_known_one() {
    for (text, line) in UNKNOWN {
        let mistake = given().file(text).mistake();
        assert!(
            mistake.starts_with(&format!("vedetta.toml: {line}")),
            "{text}: {mistake}"
        );
        assert!(!mistake.contains(SECRET), "{mistake}");
    }
    let mistake = given().env("VEDETTA_REDIS_PASWORD", SECRET).mistake();
    assert!(
        mistake.ends_with("did you mean VEDETTA_REDIS_PASSWORD?"),
        "{mistake}"
    );
    assert!(!mistake.contains(SECRET));
    assert!(
        given()
            .env("VEDETTA_ADMIN_PORT", "17071")
            .mistake()
            .starts_with("VEDETTA_ADMIN_PORT")
    );
    assert!(
        given()
            .env("VEDETTA_COLOUR", "red")
            .mistake()
            .contains("remove it")
    );
    let mistake = given().flag("api.lisen", "x").mistake();
    assert_eq!(
        mistake,
        "api.lisen (from flag) is not a setting; did you mean api.listen?"
    );
}

#[test]
fn names_that_others_put_into_the_environment_are_accepted() {
    let mut g = given();
    for name in [
        "VEDETTA_CONFIG",
        "VEDETTA_ADDRESS",
        "VEDETTA_PORT",
        "VEDETTA_PORT_17070_TCP",
        "VEDETTA_PORT_17070_TCP_ADDR",
        "VEDETTA_SERVICE_HOST",
        "VEDETTA_SERVICE_PORT_GRPC",
        "VEDETTA_ADMIN_SERVICE_HOST",
        "VEDETTA_ADMIN_SERVICE_PORT",
        "VEDETTA_ADMIN_PORT",
        "VEDETTA_ADMIN_PORT_17071_TCP_PROTO",
        "REDIS_MAXMEMORY",
        "HOME",
    ] {
        g = g.env(name, "tcp://10.0.0.1:17070");
    }
    assert_eq!(g.notices(), "");
}

#[test]
fn no_secret_is_ever_shown() {
    let secrets = [
        ("REDIS_PASSWORD", SECRET),
        ("VEDETTA_REDIS_PASSWORD", SECRET),
        ("VEDETTA_SENTINEL_PASSWORD", SECRET),
        ("VEDETTA_REDIS_ADDRESS", "redis://user:hunter2@redis:6379/0"),
    ];
    for (name, value) in secrets {
        for sentinel in ["", "a"] {
            let loaded = given()
                .env(name, value)
                .env("REDIS_ADDRESSES", sentinel)
                .loaded();
            assert!(
                !format!("{loaded:?}").contains(SECRET),
                "{name}: {loaded:?}"
            );
        }
        let mistakes = given()
            .env(name, value)
            .env("VEDETTA_DRAIN", "x")
            .mistakes();
        assert!(!mistakes.contains(SECRET), "{name}: {mistakes}");
    }
    let g = given().env("VEDETTA_REDIS_PASSWORD", SECRET);
    assert_eq!(
        g.effective("redis.password"),
        ("***".into(), "VEDETTA_REDIS_PASSWORD".into())
    );
    assert_eq!(given().effective("redis.password").0, "");
    let g = given().env("VEDETTA_REDIS_ADDRESS", "rediss://user:hunter2@redis");
    assert_eq!(g.effective("redis.address").0, "rediss://redis:6379");
    assert_eq!(g.effective("redis.password").0, "***");
    assert_eq!(g.effective("redis.username").0, "user");
}

#[test]
fn effective_lines_follow_the_table() {
    let lines = given().loaded().effective;
    let keys: Vec<&str> = lines.iter().map(|line| line.key.as_str()).collect();
    let table: Vec<&str> = settings().iter().map(|setting| setting.key).collect();
    assert_eq!(keys, table);
    for (line, setting) in lines.iter().zip(settings()) {
        assert_eq!(
            (line.value.as_str(), line.origin.as_str()),
            (setting.default, "default")
        );
    }
}
