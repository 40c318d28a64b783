//! Metrics, probes and the shown configuration.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::Client;
use crate::support::{SentinelSet, Vedetta, wait};

/// Checks a scrape as Prometheus's own tool does.
fn promtool(metrics: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; install it with: apt-get install prometheus");
    let mut input = promtool.stdin.take().expect("input");
    input.write_all(metrics.as_bytes()).expect("metrics");
    drop(input);
    let output = promtool.wait_with_output().expect("promtool");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.is_empty(),
        "{said}\n{metrics}"
    );
}

#[test]
fn metrics_are_clean_and_count() {
    let vedetta = Vedetta::start(&[], &[]);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    assert_eq!(client.text("c", "k").as_deref(), Some("v"));
    assert_eq!(client.get("c", "missing"), Ok(None));
    assert!(client.put("a::b", "k", "v").is_err());
    assert_eq!(client.evict("c", "k"), Ok(true));
    let (status, metrics) = vedetta.admin_get("/metrics").expect("metrics");
    assert_eq!(status, 200);
    for (method, result) in [
        ("Put", "stored"),
        ("Get", "hit"),
        ("Get", "miss"),
        ("Put", "invalid"),
        ("Evict", "evicted"),
    ] {
        let line = format!("vedetta_requests_total{{method=\"{method}\",result=\"{result}\"}} 1\n");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    let series = "vedetta_request_duration_seconds_count{method=\"Get\"} 2\n";
    assert!(metrics.contains(series), "no {series} in {metrics}");
    promtool(&metrics);
}

#[test]
fn metrics_of_a_sentinel_set_are_clean_and_exist_from_the_start() {
    let set = SentinelSet::start();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESSES", &set.sentinel_list())]);
    let (_, metrics) = vedetta.admin_get("/metrics").expect("metrics");
    promtool(&metrics);
    for series in [
        "vedetta_master_known",
        "vedetta_master_changes_total",
        "vedetta_sentinels_agreeing",
        "vedetta_sentinel_up{",
        "vedetta_redis_command_duration_seconds_count{",
        "vedetta_redis_errors_total{kind=\"redis_auth_failed\"}",
        "process_resident_memory_bytes",
    ] {
        assert!(
            metrics.contains(&format!("\n{series}")),
            "no {series} in {metrics}"
        );
    }
}

/// Such series begin with the first call to a cache, on the thread that serves it.
#[test]
fn what_the_near_cache_saves_is_counted_by_cache() {
    let set = SentinelSet::start();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESSES", &set.sentinel_list())]);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    for _ in 0..3 {
        assert_eq!(client.text("c", "k").as_deref(), Some("v"));
    }
    let (_, metrics) = vedetta.admin_get("/metrics").expect("metrics");
    for series in ["hits", "misses", "stale"] {
        let series = format!("\nvedetta_near_{series}_total{{cache=\"c\"}} ");
        assert!(metrics.contains(&series), "no {series} in {metrics}");
    }
    promtool(&metrics);
}

#[test]
fn the_shown_configuration_masks_secrets() {
    let vedetta = Vedetta::start(
        &[],
        &[
            ("REDIS_ADDRESS", "redis://user:in-the-url@127.0.0.1:1"),
            ("VEDETTA_SENTINEL_PASSWORD", "in-a-variable"),
        ],
    );
    let (status, shown) = vedetta.admin_get("/config").expect("config");
    assert_eq!(status, 200);
    assert!(shown.contains("api.listen = "), "{shown}");
    for secret in ["in-the-url", "in-a-variable"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!vedetta.output().contains(secret), "{}", vedetta.output());
    }
}

/// The admin port is on the network: whoever opens connections there and says nothing must not keep the kubelet out.
#[test]
fn silent_connections_do_not_keep_probes_out() {
    let vedetta = Vedetta::start(&[], &[]);
    let silent: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(vedetta.admin()).expect("connect"))
        .collect();
    wait::until(
        "a probe gets through",
        Duration::from_secs(30),
        || match vedetta.admin_get("/livez") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    drop(silent);
}
