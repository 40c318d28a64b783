//! Wrong passwords, wrong names, wrong ports: vedetta starts, says what is wrong once, and recovers by itself.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tonic::Code;

use crate::client::{Client, Failure};
use crate::support::{
    Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, free_address, http_get, wait,
};

const RECOVERED_WITHIN: Duration = Duration::from_secs(20);

/// Starts with these variables and waits until calls are refused for that reason.
fn refused(environment: &[(&str, &str)], reason: &str) -> (Vedetta, Client) {
    let vedetta = Vedetta::start(&[], environment);
    let mut client = Client::connect(vedetta.api());
    // A call waits for as long as it may.
    let patience = std::mem::replace(&mut client.timeout, Duration::from_secs(2));
    wait::until(
        &format!("calls are refused with {reason}"),
        RECOVERED_WITHIN,
        || match client.put("c", "k", "v") {
            Err(Failure {
                reason: got,
                code: Code::Unavailable,
                applied,
                ..
            }) if got == reason && applied == "NO" => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    assert_eq!(client.get("c", "k").expect_err("reads too").reason, reason);
    client.timeout = patience;
    (vedetta, client)
}

fn recovers(vedetta: &Vedetta, client: &Client) {
    wait::until("recovery", RECOVERED_WITHIN, || {
        client
            .put("c", "k", "v")
            .map_err(|failure| format!("{failure:?}"))
    });
    assert_eq!(client.text("c", "k").as_deref(), Some("v"));
    // Lines are written by a thread of their own.
    wait::until("the log says so", RECOVERED_WITHIN, || {
        let output = vedetta.output();
        let said = output.contains("serving from the master");
        said.then_some(()).ok_or(output)
    });
}

/// However often it was tried meanwhile (this waits for several attempts), the log says it once.
fn said_once(vedetta: &Vedetta, reason: &str) {
    wait::until("several attempts", RECOVERED_WITHIN, || {
        let kind = reason.to_ascii_lowercase();
        let redis = vedetta.count(&format!("vedetta_redis_errors_total{{kind=\"{kind}\"}}"));
        let sentinel = vedetta.count("vedetta_sentinel_failures_total");
        if redis >= 4 || sentinel >= 8 {
            Ok(())
        } else {
            Err(format!("{redis} at Redis, {sentinel} at the Sentinels"))
        }
    });
    let output = vedetta.output();
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| line.contains("WARN") && line.contains(reason))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[test]
fn a_wrong_redis_password() {
    let redis = Redis::start(&RedisOptions {
        password: Some("right".to_owned()),
        ..RedisOptions::default()
    });
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("REDIS_PASSWORD", "a-wrong-secret"),
    ];
    let (vedetta, client) = refused(&environment, "REDIS_AUTH_FAILED");
    said_once(&vedetta, "REDIS_AUTH_FAILED");
    assert!(
        !vedetta.output().contains("a-wrong-secret"),
        "the password is in the log"
    );
    redis.cli(&["CONFIG", "SET", "requirepass", "a-wrong-secret"]);
    recovers(&vedetta, &client);
}

#[test]
fn a_missing_redis_password() {
    let redis = Redis::start(&RedisOptions {
        password: Some("secret".to_owned()),
        ..RedisOptions::default()
    });
    let address = redis.address().to_string();
    let (vedetta, client) = refused(&[("REDIS_ADDRESS", &address)], "REDIS_AUTH_FAILED");
    redis.cli(&["CONFIG", "SET", "requirepass", ""]);
    recovers(&vedetta, &client);
}

#[test]
fn passwords_on_both_sides_work() {
    let set = SentinelSet::start_with(&SentinelOptions {
        redis_password: Some("for-redis".to_owned()),
        sentinel_password: Some("for-sentinel".to_owned()),
        ..SentinelOptions::default()
    });
    let list = set.sentinel_list();
    let vedetta = Vedetta::start(
        &[],
        &[
            ("REDIS_ADDRESSES", &list),
            ("REDIS_PASSWORD", "for-redis"),
            ("VEDETTA_SENTINEL_PASSWORD", "for-sentinel"),
        ],
    );
    recovers(&vedetta, &Client::connect(vedetta.api()));
}

#[test]
fn a_missing_sentinel_password() {
    let set = SentinelSet::start_with(&SentinelOptions {
        sentinel_password: Some("secret".to_owned()),
        ..SentinelOptions::default()
    });
    let list = set.sentinel_list();
    let (vedetta, client) = refused(&[("REDIS_ADDRESSES", &list)], "SENTINEL_AUTH_FAILED");
    said_once(&vedetta, "SENTINEL_AUTH_FAILED");
    for sentinel in set.sentinel_addresses() {
        set.redis_cli(sentinel, &["ACL", "SETUSER", "default", "nopass"]);
    }
    recovers(&vedetta, &client);
}

#[test]
fn a_master_name_that_the_sentinels_do_not_know() {
    let set = SentinelSet::start();
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("REDIS_MASTER_NAME", "other"),
    ];
    let (vedetta, client) = refused(&environment, "MASTER_NAME_UNKNOWN");
    let master = set.master_endpoint();
    let (host, port) = (master.ip().to_string(), master.port().to_string());
    for sentinel in set.sentinel_addresses() {
        set.redis_cli(
            sentinel,
            &["SENTINEL", "MONITOR", "other", &host, &port, "2"],
        );
    }
    recovers(&vedetta, &client);
}

/// `.invalid` never resolves (RFC 6761).
#[test]
fn an_address_that_does_not_resolve() {
    let (_vedetta, _client) = refused(
        &[("REDIS_ADDRESS", "redis.invalid:6379")],
        "ADDRESS_NOT_RESOLVABLE",
    );
    let (_vedetta, _client) = refused(
        &[("REDIS_ADDRESSES", "a.invalid:26379,b.invalid:26379")],
        "ADDRESS_NOT_RESOLVABLE",
    );
}

#[test]
fn a_redis_that_comes_later() {
    let mut redis = Redis::start(&RedisOptions::default());
    redis.kill9();
    let address = redis.address().to_string();
    let (vedetta, client) = refused(&[("REDIS_ADDRESS", &address)], "REDIS_UNREACHABLE");
    said_once(&vedetta, "REDIS_UNREACHABLE");
    redis.start_again();
    recovers(&vedetta, &client);
}

#[test]
fn tls_to_a_plain_port() {
    let redis = Redis::start(&RedisOptions::default());
    let address = format!("rediss://{}", redis.address());
    let (vedetta, _client) = refused(&[("REDIS_ADDRESS", &address)], "TLS_FAILED");
    said_once(&vedetta, "TLS_FAILED");
    let set = SentinelSet::start();
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_SENTINEL_TLS", "true"),
    ];
    let (_vedetta, _client) = refused(&environment, "TLS_FAILED");
}

/// Health tells clients; probes tell the kubelet, whom Redis does not concern.
#[test]
fn without_a_master_probes_stay_green() {
    let address = free_address().to_string();
    let (vedetta, _client) = refused(&[("REDIS_ADDRESS", &address)], "REDIS_UNREACHABLE");
    for probe in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(vedetta.admin_get(probe).expect(probe).0, 200, "{probe}");
    }
    let (_, metrics) = vedetta.admin_get("/metrics").expect("metrics");
    assert!(metrics.contains("\nvedetta_master_known 0\n"), "{metrics}");
}

/// What the README asks of an ACL is enough, and is what it says.
#[test]
fn the_acl_of_the_readme_is_enough() {
    const RULE: &str = "+@read +@write +@scripting +@connection -@dangerous +role +info +time";
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    assert!(readme.expect("README").contains(RULE));
    let redis = Redis::start(&RedisOptions {
        lines: vec![format!("user vedetta on >secret ~* {RULE}")],
        ..RedisOptions::default()
    });
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(
        &[],
        &[
            ("REDIS_ADDRESS", &address),
            ("VEDETTA_REDIS_USERNAME", "vedetta"),
            ("REDIS_PASSWORD", "secret"),
            ("VEDETTA_CACHES", "raw*:raw"),
        ],
    );
    let client = Client::connect(vedetta.api());
    for cache in ["framed", "raw"] {
        recovers(&vedetta, &client);
        assert_eq!(client.put(cache, "k", "v"), Ok(()));
        assert_eq!(client.put_until(cache, "k", 4_000_000_000), Ok(()));
        assert_eq!(client.text(cache, "k").as_deref(), Some("v"));
        assert_eq!(client.touch(cache, "k"), Ok(true));
        assert_eq!(client.evict(cache, "k"), Ok(true));
        assert!(client.clear(cache).is_ok());
    }
    let (_, metrics) = vedetta.admin_get("/metrics").expect("metrics");
    let series = "vedetta_redis_errors_total{kind=\"redis_permission_denied\"} 0\n";
    assert!(metrics.contains(series), "{metrics}");
}

/// Names are resolved anew at each dial: one that appears later is found. The process sees a hosts file of its own.
#[test]
fn a_name_that_resolves_later() {
    let redis = Redis::start(&RedisOptions::default());
    let directory = tempfile::tempdir().expect("directory");
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n").expect("hosts");
    let (api, admin) = (free_address(), free_address());
    let mut command = Command::new("unshare");
    if Command::new("id").arg("-u").output().expect("id").stdout != b"0\n" {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "mount --bind \"$1\" /etc/hosts && exec \"$2\" serve";
    let mut process = command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&hosts)
        .arg(env!("CARGO_BIN_EXE_vedetta"))
        .env(
            "REDIS_ADDRESS",
            format!("redis.invalid:{}", redis.address().port()),
        )
        .env("VEDETTA_SOCKET", "none")
        .env("VEDETTA_LISTEN", api.to_string())
        .env("VEDETTA_ADMIN_LISTEN", admin.to_string())
        .spawn()
        .expect("unshare, of the package util-linux");
    let mut client = Client::connect(api);
    client.timeout = Duration::from_secs(2);
    wait::until(
        "the name does not resolve",
        RECOVERED_WITHIN,
        || match client.put("c", "k", "v") {
            Err(failure) if failure.reason == "ADDRESS_NOT_RESOLVABLE" => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    // As while the pod behind the name is replaced: there is time left, so the call waits.
    let waiting = std::thread::spawn(move || Client::connect(api).put("c", "k", "v"));
    let waits = wait::try_until(RECOVERED_WITHIN, || waits(admin));
    // Into the same file, because the mount is on the file and not on its name.
    std::fs::write(&hosts, "127.0.0.1 localhost redis.invalid\n").expect("hosts");
    let recovered = waiting.join();
    process.kill().expect("kill");
    process.wait().expect("end");
    waits.expect("a call that waits");
    assert_eq!(recovered.expect("a caller"), Ok(()));
}

fn waits(admin: SocketAddr) -> Result<(), String> {
    let (_, metrics) = http_get(admin, "/metrics").map_err(|error| error.to_string())?;
    let waits = metrics.contains("\nvedetta_waiting_calls 1\n");
    waits.then_some(()).ok_or_else(|| "nobody waits".to_owned())
}
