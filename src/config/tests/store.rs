//! Which store serves, with which credentials and encryption.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Given, given};
use crate::config::{Credentials, RedisConfig, SentinelConfig, StoreConfig};

pub(super) fn redis(given: &Given) -> RedisConfig {
    match given.config().store {
        StoreConfig::Redis(redis) => redis,
        other => panic!("not one Redis: {other:?}"),
    }
}

pub(super) fn sentinel(given: &Given) -> (RedisConfig, SentinelConfig) {
    match given.config().store {
        StoreConfig::Sentinel(redis, sentinel) => (redis, *sentinel),
        other => panic!("no Sentinels: {other:?}"),
    }
}

pub(super) fn password(credentials: &Credentials) -> Option<&str> {
    credentials
        .password
        .as_ref()
        .map(ExposeSecret::expose_secret)
}

#[test]
fn one_address_is_one_redis() {
    let g = given().file(
        "[redis]\naddress = 'redis:7000'\nusername = 'u'\npassword = ' p '\nprefix = 'shop'\n\
         connect_timeout = '250ms'\ncommand_timeout = '2s'",
    );
    let redis = redis(&g);
    assert_eq!(
        redis.endpoint.expect("an endpoint").to_string(),
        "redis:7000"
    );
    assert_eq!(redis.credentials.username.as_deref(), Some("u"));
    assert_eq!(password(&redis.credentials), Some(" p "));
    assert_eq!((redis.prefix.as_str(), redis.tls), ("shop", None));
    assert_eq!(redis.connect_timeout, Duration::from_millis(250));
    assert_eq!(redis.command_timeout, Duration::from_secs(2));
    assert_eq!(g.notices(), "");
}

#[test]
fn addresses_are_sentinels_with_credentials_of_their_own() {
    let g = given().file(
        "[redis]\npassword = 'r'\ntls = true\n[sentinel]\naddresses = ['a', 'b:1']\n\
         master_name = 'm'\nusername = 'u'\npassword = 's'\nevents = false\n\
         poll_interval = '100ms'\ntls = true\ntls_ca_file = '/ca.pem'",
    );
    let (redis, sentinel) = sentinel(&g);
    assert_eq!(
        (redis.endpoint, password(&redis.credentials)),
        (None, Some("r"))
    );
    assert_eq!(redis.tls.expect("TLS").ca_file, None);
    let shown: Vec<String> = sentinel.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["a:26379", "b:1"]);
    assert_eq!(
        (sentinel.master_name.as_str(), sentinel.events),
        ("m", false)
    );
    assert_eq!(password(&sentinel.credentials), Some("s"));
    assert_eq!(sentinel.credentials.username.as_deref(), Some("u"));
    assert_eq!(sentinel.poll_interval, Duration::from_millis(100));
    let ca_file = sentinel.tls.expect("TLS").ca_file.expect("a file");
    assert_eq!(ca_file.to_str(), Some("/ca.pem"));
    assert_eq!(g.notices(), "");
}

#[test]
fn the_credentials_of_an_address_fill_what_is_unset() {
    let url = given().env("VEDETTA_REDIS_ADDRESS", "redis://u:p@redis");
    let credentials = |g: &Given| redis(g).credentials;
    assert_eq!(credentials(&url).username.as_deref(), Some("u"));
    assert_eq!(password(&credentials(&url)), Some("p"));
    let other = url.clone().file("[redis]\npassword = 'q'");
    assert_eq!(credentials(&other).username.as_deref(), Some("u"));
    assert_eq!(password(&credentials(&other)), Some("q"));
    let other = url
        .env("VEDETTA_REDIS_PASSWORD_FILE", "/secret")
        .file("redis.username = 'v'");
    let file = credentials(&other).password_file.expect("a file");
    assert_eq!(file.to_str(), Some("/secret"));
    assert_eq!(credentials(&other).username.as_deref(), Some("v"));
    assert_eq!(password(&credentials(&other)), Some("from-file"));
}

#[test]
fn of_password_and_password_file_the_higher_source_wins() {
    let both = |password: &str, file: &str| {
        given()
            .env("VEDETTA_REDIS_ADDRESS", "a")
            .env(password, "plain")
            .env(file, "/secret")
    };
    let file_wins = both("REDIS_PASSWORD", "VEDETTA_REDIS_PASSWORD_FILE");
    assert_eq!(password(&redis(&file_wins).credentials), Some("from-file"));
    assert_eq!(
        file_wins.notices(),
        "redis.password (REDIS_PASSWORD) is not used, because redis.password_file has precedence"
    );
    let shown = file_wins.effective("redis.password");
    assert_eq!(shown, ("***".into(), "VEDETTA_REDIS_PASSWORD_FILE".into()));

    let password_wins = given()
        .file("redis.password_file = '/secret'")
        .env("VEDETTA_REDIS_ADDRESS", "a")
        .env("VEDETTA_REDIS_PASSWORD", "plain");
    assert_eq!(password(&redis(&password_wins).credentials), Some("plain"));
    assert_eq!(redis(&password_wins).credentials.password_file, None);
    assert!(
        password_wins
            .notices()
            .starts_with("redis.password_file (vedetta.toml: redis")
    );
    assert_eq!(password_wins.effective("redis.password_file").0, "");

    let mistake = both("VEDETTA_REDIS_PASSWORD", "VEDETTA_REDIS_PASSWORD_FILE").mistake();
    assert_eq!(
        mistake,
        "redis.password_file (from VEDETTA_REDIS_PASSWORD_FILE) and redis.password \
         (VEDETTA_REDIS_PASSWORD) are both set; remove one of the two"
    );
    let sentinel = "[sentinel]\naddresses = 'a'\npassword = 'p'\npassword_file = '/secret'";
    assert!(
        given()
            .file(sentinel)
            .mistake()
            .contains("sentinel.password_file and sentinel.pass")
    );
}

#[test]
fn a_password_file_is_read_only_where_it_is_used() {
    let with = |path: &str| {
        given()
            .env("VEDETTA_REDIS_ADDRESS", "a")
            .env("VEDETTA_REDIS_PASSWORD_FILE", path)
    };
    assert_eq!(
        password(&redis(&with("/crlf")).credentials),
        Some(" spaced ")
    );
    assert!(
        with("/empty")
            .mistake()
            .ends_with("names an empty file; put the password into it")
    );
    let mistake = with("/missing").mistake();
    assert!(
        mistake.ends_with("(no such file); mount the secret or correct the path"),
        "{mistake}"
    );
    let unused = with("/secret").env("VEDETTA_SENTINEL_PASSWORD_FILE", "/missing");
    assert!(
        unused.notices().ends_with(": sentinel.password_file"),
        "{}",
        unused.notices()
    );
}

#[test]
fn rediss_turns_tls_on_and_contradictions_are_mistakes() {
    let g = given().env("VEDETTA_REDIS_ADDRESS", "rediss://a");
    assert!(redis(&g).tls.is_some());
    assert_eq!(
        g.effective("redis.tls"),
        ("true".into(), "VEDETTA_REDIS_ADDRESS".into())
    );
    let with_file = g.clone().env("VEDETTA_REDIS_TLS_CA_FILE", "/ca.pem");
    assert!(redis(&with_file).tls.expect("TLS").ca_file.is_some());
    // A mistake in the address is no mistake in the encryption.
    let broken = given().env("VEDETTA_REDIS_ADDRESS", "rediss://a:0");
    broken.env("VEDETTA_REDIS_TLS_CA_FILE", "/ca.pem").mistake();
    let mistake = g.env("VEDETTA_REDIS_TLS", "false").mistake();
    assert!(
        mistake.contains("but redis.address says rediss://; change"),
        "{mistake}"
    );
    let plain = given().env("VEDETTA_REDIS_ADDRESS", "a");
    assert!(redis(&plain).tls.is_none());
    assert!(
        redis(&plain.clone().env("VEDETTA_REDIS_TLS", "true"))
            .tls
            .is_some()
    );
    let mistake = plain.env("VEDETTA_REDIS_TLS_CA_FILE", "/ca.pem").mistake();
    assert!(mistake.ends_with("is set, but redis.tls is false; set redis.tls to true"));

    let g = given().env("VEDETTA_SENTINEL_ADDRESSES", "rediss://a,rediss://b");
    let (redis, sentinel) = sentinel(&g);
    assert!(sentinel.tls.is_some() && redis.tls.is_none());
    assert!(
        g.notices().contains("encrypted and those to Redis are not"),
        "{}",
        g.notices()
    );
}

#[test]
fn a_certificate_of_our_own_comes_with_its_key_and_needs_tls() {
    let with = |names: &[(&str, &str)]| {
        let plain = given().env("VEDETTA_REDIS_ADDRESS", "rediss://a");
        names.iter().fold(plain, |g, (name, value)| {
            g.env(&format!("VEDETTA_REDIS_TLS_{name}"), value)
        })
    };
    let both = [("CERT_FILE", "/cert.pem"), ("KEY_FILE", "/key.pem")];
    let tls = redis(&with(&both)).tls.expect("TLS");
    let client = tls.client.expect("a certificate");
    assert_eq!(client.cert_file.to_str(), Some("/cert.pem"));
    assert_eq!(client.key_file.to_str(), Some("/key.pem"));
    for one in both {
        let mistake = with(&[one]).mistake();
        assert!(mistake.ends_with("_file; set both or neither"), "{mistake}");
    }
    // Each by its name, and the other way round.
    let mistakes = with(&[
        ("CA_FILE", "/missing"),
        ("CERT_FILE", "/key.pem"),
        ("KEY_FILE", "/cert.pem"),
        ("SERVER_NAME", "redis:6379"),
    ])
    .mistakes();
    let expected = [
        "redis.tls_ca_file (from VEDETTA_REDIS_TLS_CA_FILE) cannot be read (no such file); \
         mount the secret or correct the path",
        "redis.tls_cert_file (from VEDETTA_REDIS_TLS_CERT_FILE) names a file without a \
         certificate; put it there in PEM",
        "redis.tls_key_file (from VEDETTA_REDIS_TLS_KEY_FILE) names a file without a private key; \
         put it there in PEM",
        "redis.tls_server_name (from VEDETTA_REDIS_TLS_SERVER_NAME) is \"redis:6379\"; write the \
         host name or the IP that the certificate is for, without port",
    ];
    assert_eq!(mistakes.lines().collect::<Vec<_>>(), expected);

    let plain = "[sentinel]\naddresses = 'a'\ntls_cert_file = '/cert.pem'\n\
                 tls_key_file = '/key.pem'\ntls_server_name = 'b'";
    let mistakes = given().file(plain).mistakes();
    assert_eq!(mistakes.lines().count(), 3, "{mistakes}");
    let remedy = "is set, but sentinel.tls is false; set sentinel.tls to true";
    assert!(mistakes.lines().all(|line| line.ends_with(remedy)));
}

#[test]
fn the_name_to_verify_is_a_host_name_or_an_ip() {
    for name in ["redis.example.org", "10.0.0.1", "::1"] {
        let g = given()
            .env("VEDETTA_SENTINEL_ADDRESSES", "rediss://a")
            .env("VEDETTA_SENTINEL_TLS_SERVER_NAME", name);
        let (_, sentinel) = sentinel(&g);
        let tls = sentinel.tls.expect("TLS");
        assert_eq!(tls.server_name.as_deref(), Some(name));
    }
}

#[test]
fn sentinels_win_on_one_level_and_the_higher_level_otherwise() {
    let both = |one: &str, many: &str| given().env(one, "one").env(many, "many");
    let g = both("VEDETTA_REDIS_ADDRESS", "VEDETTA_SENTINEL_ADDRESSES");
    sentinel(&g);
    assert_eq!(
        g.notices(),
        "redis.address (VEDETTA_REDIS_ADDRESS) is not used, because sentinel.addresses \
         (VEDETTA_SENTINEL_ADDRESSES) wins"
    );
    assert_eq!(g.effective("redis.address").0, "");
    let g = both("VEDETTA_REDIS_ADDRESS", "REDIS_ADDRESSES");
    assert_eq!(redis(&g).endpoint.expect("an endpoint").host, "one");
    assert!(
        g.notices()
            .starts_with("sentinel.addresses (REDIS_ADDRESSES) is not used")
    );
    assert_eq!(g.effective("sentinel.addresses").0, "");
    sentinel(&both("REDIS_ADDRESS", "VEDETTA_SENTINEL_ADDRESSES"));
    sentinel(&both("REDIS_ADDRESS", "REDIS_ADDRESSES"));
    // What lost gives no credentials either.
    let (config, _) = sentinel(
        &given()
            .env("REDIS_ADDRESS", "redis://:p@one")
            .env("REDIS_ADDRESSES", "many"),
    );
    assert_eq!(password(&config.credentials), None);
}

#[test]
fn settings_of_a_store_that_does_not_serve_are_named() {
    let g = given()
        .env("REDIS_PASSWORD", "p")
        .env("VEDETTA_SENTINEL_EVENTS", "false");
    assert!(matches!(g.config().store, StoreConfig::Embedded { .. }));
    assert!(
        g.notices().ends_with(": redis.password, sentinel.events"),
        "{}",
        g.notices()
    );
    let g = g
        .env("VEDETTA_REDIS_ADDRESS", "a")
        .env("VEDETTA_EMBEDDED_CAPACITY", "1MiB");
    assert!(
        g.notices()
            .ends_with(": sentinel.events, embedded.capacity"),
        "{}",
        g.notices()
    );
    let g = g.env("VEDETTA_SENTINEL_ADDRESSES", "a");
    assert!(
        g.notices().contains(": embedded.capacity"),
        "{}",
        g.notices()
    );
}
