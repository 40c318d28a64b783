//! Links over TLS: whom vedetta trusts, what it shows, which name it wants, and certificates that are replaced while it
//! runs.
//!
//! Not here: passwords (`credentials`); a plain port instead of a TLS port (`startup`).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tonic::Code;
use vedetta::proto::v1::Source;

use crate::client::Client;
use crate::client::timed::Found;
use crate::credentials::{Load, renewed};
use crate::support::{
    Authority, Pair, Redis, RedisOptions, SentinelOptions, SentinelSet, TlsServer, Vedetta, wait,
};

const WITHIN: Duration = Duration::from_secs(20);

/// A raw cache, so that other clients can change its entries.
const RAW: (&str, &str) = ("VEDETTA_CACHES", "raw:raw");

fn redis(tls: TlsServer) -> (Redis, String) {
    let redis = Redis::start(&RedisOptions {
        tls: Some(tls),
        ..RedisOptions::default()
    });
    let address = format!("rediss://{}", redis.tls_address().expect("TLS"));
    (redis, address)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn serves(vedetta: &Vedetta) -> Client {
    let client = Client::connect(vedetta.api());
    wait::until("it serves", WITHIN, || {
        client
            .put("raw", "k", "v")
            .map_err(|failure| format!("{failure:?}"))
    });
    assert_eq!(client.text("raw", "k").as_deref(), Some("v"));
    client
}

fn refused(vedetta: &Vedetta) {
    let mut client = Client::connect(vedetta.api());
    // A call waits for as long as it may.
    client.timeout = Duration::from_secs(2);
    wait::until("calls are refused for TLS", WITHIN, || {
        match client.put("raw", "k", "v") {
            Err(failure) if failure.code == Code::Unavailable && failure.reason == "TLS_FAILED" => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    });
}

fn is_near(client: &Client, expected: &str) {
    wait::until("the near cache answers", WITHIN, || {
        match client.look("raw", "k", WITHIN).found {
            Found::Value {
                text,
                source: Source::L1,
                ..
            } if text == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn an_authority_that_is_trusted_and_the_near_cache_behind_it() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (redis, address) = redis(ours.server(&["127.0.0.1"], false));
    let start = |ca: &Path| {
        Vedetta::start(
            &[],
            &[
                ("VEDETTA_REDIS_ADDRESS", &address),
                ("VEDETTA_REDIS_TLS_CA_FILE", text(ca)),
                RAW,
            ],
        )
    };
    refused(&start(&other.file()));
    let vedetta = start(&ours.file());
    let client = serves(&vedetta);
    is_near(&client, "v");
    redis.cli(&["SET", "raw::k", "foreign"]);
    is_near(&client, "foreign");
}

#[test]
fn a_client_certificate_that_is_asked_for() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (_redis, address) = redis(ours.server(&["127.0.0.1"], true));
    let ca = ours.file();
    let start = |pair: Option<&Pair>| {
        let mut environment = vec![
            ("VEDETTA_REDIS_ADDRESS", address.as_str()),
            ("VEDETTA_REDIS_TLS_CA_FILE", text(&ca)),
            RAW,
        ];
        if let Some(pair) = pair {
            environment.push(("VEDETTA_REDIS_TLS_CERT_FILE", text(&pair.cert)));
            environment.push(("VEDETTA_REDIS_TLS_KEY_FILE", text(&pair.key)));
        }
        Vedetta::start(&[], &environment)
    };
    refused(&start(None));
    refused(&start(Some(&other.issue("stranger", &[]))));
    serves(&start(Some(&ours.issue("client", &[]))));
}

#[test]
fn a_certificate_for_another_name_than_the_host() {
    let ours = Authority::new();
    let (_redis, address) = redis(ours.server(&["redis.test"], false));
    let ca = ours.file();
    let start = |name: &str| {
        let environment = [
            ("VEDETTA_REDIS_ADDRESS", address.as_str()),
            ("VEDETTA_REDIS_TLS_CA_FILE", text(&ca)),
            ("VEDETTA_REDIS_TLS_SERVER_NAME", name),
            RAW,
        ];
        Vedetta::start(&[], &environment)
    };
    refused(&start(""));
    refused(&start("other.test"));
    serves(&start("redis.test"));
}

/// The variables of a section, `REDIS` or `SENTINEL`.
fn section(section: &str, ca: &Path, own: Option<&Pair>) -> Vec<(String, String)> {
    let mut settings = vec![
        ("TLS", "true"),
        ("TLS_CA_FILE", text(ca)),
        ("TLS_SERVER_NAME", "redis.test"),
    ];
    if let Some(pair) = own {
        settings.push(("TLS_CERT_FILE", text(&pair.cert)));
        settings.push(("TLS_KEY_FILE", text(&pair.key)));
    }
    let named = |(name, value): (&str, &str)| (format!("VEDETTA_{section}_{name}"), value.into());
    settings.into_iter().map(named).collect()
}

fn follow(set: &SentinelSet, settings: &[Vec<(String, String)>; 2]) -> Vedetta {
    let list = set.sentinel_list();
    let all = settings.iter().flatten();
    let mut environment: Vec<(&str, &str)> = all
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    environment.push(("VEDETTA_SENTINEL_ADDRESSES", &list));
    environment.push(RAW);
    Vedetta::start(&[], &environment)
}

/// Sentinels that announce IPs, where certificates are for names.
#[test]
fn a_set_over_tls_is_followed() {
    let (ours, other) = (Authority::new(), Authority::new());
    let set = SentinelSet::start_with(&SentinelOptions {
        tls: Some(ours.server(&["redis.test"], true)),
        ..SentinelOptions::default()
    });
    let own = ours.issue("client", &[]);
    let settings = |name: &str| section(name, &ours.file(), Some(&own));
    let strange = section("SENTINEL", &other.file(), Some(&own));
    refused(&follow(&set, &[settings("REDIS"), strange]));
    let anonymous = section("SENTINEL", &ours.file(), None);
    refused(&follow(&set, &[settings("REDIS"), anonymous]));

    let vedetta = follow(&set, &[settings("REDIS"), settings("SENTINEL")]);
    let client = serves(&vedetta);
    let (old, _) = set.sentinel_failover();
    let new = set.wait_for_master_other_than(old);
    assert_is_served(&client, new);
    set.redis_cli(new, &["SET", "raw::k", "after the failover"]);
    is_near(&client, "after the failover");
}

fn assert_is_served(client: &Client, master: SocketAddr) {
    wait::until("the new master is followed", WITHIN, || {
        let status = client.status().master.unwrap_or_default();
        if status.address == master.to_string() && client.put("raw", "k", "v").is_ok() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    });
}

/// One by one, as a tool does that knows nothing of pairs.
#[test]
fn certificates_are_replaced_without_a_failed_call() {
    let ours = Authority::new();
    let (redis, address) = redis(ours.server(&["127.0.0.1"], true));
    let own = ours.issue("client", &[]);
    let ca = ours.file();
    let vedetta = Vedetta::start(
        &[],
        &[
            ("VEDETTA_REDIS_ADDRESS", &address),
            ("VEDETTA_REDIS_TLS_CA_FILE", text(&ca)),
            ("VEDETTA_REDIS_TLS_CERT_FILE", text(&own.cert)),
            ("VEDETTA_REDIS_TLS_KEY_FILE", text(&own.key)),
            RAW,
        ],
    );
    let client = serves(&vedetta);
    let load = Load::start(vedetta.api());
    let next = ours.issue("next", &[]);
    fs::copy(&next.cert, &own.cert).expect("copy");
    wait::until("half of a pair is told", WITHIN, || {
        vedetta.metric("vedetta_secret_reloads_total{section=\"redis\",result=\"unusable\"} 1")
    });
    assert_eq!(renewed(&vedetta), 0);
    fs::copy(&next.key, &own.key).expect("copy");
    wait::until("the session is renewed", WITHIN, || {
        if renewed(&vedetta) == 1 {
            Ok(())
        } else {
            Err(vedetta.output())
        }
    });
    load.goes_on(Instant::now());
    load.stop();
    is_near(&client, "v");
    redis.cli(&["SET", "raw::k", "foreign"]);
    is_near(&client, "foreign");
}

/// All of them, by name, at one start.
#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let ours = Authority::new();
    let (one, other) = (ours.issue("one", &[]), ours.issue("other", &[]));
    let environment = [
        ("VEDETTA_SENTINEL_ADDRESSES", "rediss://localhost"),
        ("VEDETTA_REDIS_TLS", "true"),
        ("VEDETTA_REDIS_TLS_CERT_FILE", text(&one.cert)),
        ("VEDETTA_REDIS_TLS_KEY_FILE", text(&other.key)),
        ("VEDETTA_SENTINEL_TLS_CERT_FILE", text(&other.cert)),
        ("VEDETTA_SENTINEL_TLS_KEY_FILE", text(&one.key)),
    ];
    let mut vedetta = Vedetta::launch(&[], &environment);
    let (status, _) = vedetta.process().wait_exit(WITHIN);
    assert!(!status.success());
    let output = vedetta.output();
    for path in [&one.cert, &one.key, &other.cert, &other.key] {
        assert!(output.contains(text(path)), "{output}");
    }
}

/// Its kernel goes on to accept connections on which nobody speaks TLS. Whatever that looks like, it passes.
#[test]
fn a_node_that_freezes_is_waited_for() {
    let authority = Authority::new();
    let (mut redis, address) = redis(authority.server(&["127.0.0.1"], false));
    let vedetta = Vedetta::start(
        &[],
        &[
            ("VEDETTA_REDIS_ADDRESS", &address),
            ("VEDETTA_REDIS_TLS_CA_FILE", text(&authority.file())),
            RAW,
        ],
    );
    serves(&vedetta);
    let failed = || vedetta.count("vedetta_redis_errors_total{kind=\"tls_failed\"}");
    let before = failed();
    redis.pause();
    let api = vedetta.api();
    let waiting = std::thread::spawn(move || Client::connect(api).put("raw", "k", "w"));
    // By the second one the first one has been told to whoever waits.
    wait::until("two dials that found nobody", WITHIN, || match failed() {
        count if count >= before + 2 => Ok(()),
        count => Err(format!("{count} of them")),
    });
    wait::until("the call waits", WITHIN, || {
        vedetta.metric("vedetta_waiting_calls 1")
    });
    redis.resume();
    assert_eq!(waiting.join().expect("a caller"), Ok(()));
}
