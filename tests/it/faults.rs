//! Single faults, each with what must hold while it lasts and after: no call fails that has the time to wait, nothing
//! acknowledged is lost where that can be promised, and vedetta serves again by itself.
//!
//! Not here: kinds of failover one after the other (`switchover`), faults by chance (`history`), Sentinels that come,
//! go and sleep (`discovery`), passwords and certificates (`credentials`, `tls`), outages of everything (`outage`).

use std::time::{Duration, Instant};

use vedetta::proto::v1::get_status_response::Phase;
use vedetta::proto::v1::get_status_response::failover::Kind as Reported;

use crate::client::Client;
use crate::support::{Proxy, Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, wait};
use crate::switchover::{Load, Write, lost};

const WITHIN: Duration = Duration::from_secs(60);

/// Two seconds, and what a busy machine adds.
const FOUND_WITHIN: Duration = Duration::from_secs(4);

fn follow(set: &SentinelSet, more: &[(&str, &str)]) -> Vedetta {
    let list = set.sentinel_list();
    let mut environment = vec![
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    environment.extend(more);
    Vedetta::start(&[], &environment)
}

fn nothing_failed_or_was_lost(set: &SentinelSet, writes: &[Write], what: &str) {
    let failed: Vec<&Write> = writes.iter().filter(|write| write.failed()).collect();
    assert!(failed.is_empty(), "{what}: {failed:?}");
    let lost = lost(set, writes);
    assert!(lost.is_empty(), "{what}: lost {lost:?}");
    println!("{what}: {} writes, none failed, none lost", writes.len());
}

/// As the Bitnami chart's preStop does it: writes are paused before the master is moved.
#[test]
fn paused_writes_before_a_failover_cost_nothing() {
    let set = SentinelSet::start();
    let vedetta = follow(&set, &[]);
    let load = Load::start(vedetta.api());
    load.is_under_way();
    set.wait_until_known();
    let old = set.master_endpoint();
    set.redis_cli(old, &["CLIENT", "PAUSE", "3000", "WRITE"]);
    assert_eq!(set.sentinel_failover().0, old);
    set.wait_for_master_other_than(old);
    let moved = Instant::now();
    wait::until("writes resume", WITHIN, || load.first_after(moved));
    nothing_failed_or_was_lost(&set, &load.stop(), "CLIENT PAUSE");
}

/// As fast as the Sentinels allow.
#[test]
fn three_failovers_in_a_row_cost_nothing() {
    let set = SentinelSet::start();
    let vedetta = follow(&set, &[]);
    let load = Load::start(vedetta.api());
    for _ in 0..3 {
        let (old, _) = set.sentinel_failover();
        set.wait_for_master_other_than(old);
    }
    let moved = Instant::now();
    wait::until("writes resume", WITHIN, || load.first_after(moved));
    nothing_failed_or_was_lost(&set, &load.stop(), "three failovers");
}

/// Faster than the Sentinels notice, and without its data: nobody else knows of the loss, and vedetta must.
#[test]
fn a_master_that_restarts_at_once_is_another_history() {
    let mut redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESS", &address)]);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("framed", "k", "1"), Ok(()));
    assert_eq!(client.text("framed", "k").as_deref(), Some("1"));
    redis.kill9();
    redis.start_again();
    assert_eq!(client.put("framed", "other", "2"), Ok(()), "calls wait");
    assert_eq!(client.text("framed", "k"), None, "a copy of what is lost");
    let report = wait::until("the report is complete", WITHIN, || {
        let reports = client.status().failovers;
        let report = reports.into_iter().find(|report| report.over.is_some());
        report.ok_or_else(|| "there is none".to_owned())
    });
    assert_eq!(report.kind(), Reported::Restart, "{report:?}");
    assert_eq!(report.lost_caches, ["framed"], "{report:?}");
}

/// A link that says nothing any more, idle and with full buffers: both kernels go on acknowledging, so TCP does not tell.
#[test]
fn a_silent_link_to_redis_is_found() {
    for busy in [false, true] {
        let redis = Redis::start(&RedisOptions::default());
        let proxy = Proxy::to(redis.address());
        let address = proxy.address().to_string();
        let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESS", &address)]);
        let mut client = Client::connect(vedetta.api());
        assert_eq!(client.put("c", "k", "v"), Ok(()));
        client.timeout = Duration::from_millis(300);
        let load = busy.then(|| Load::start_large(vedetta.api()));
        if let Some(load) = &load {
            load.is_under_way();
        }
        proxy.mute();
        let muted = Instant::now();
        let found = wait::until("the silence is found", FOUND_WITHIN, || {
            let phase = client.status().master.map(|master| master.phase());
            (phase != Some(Phase::Serving))
                .then(|| muted.elapsed())
                .ok_or_else(|| format!("{phase:?}"))
        });
        println!("silent link, busy: {busy}: found after {found:?}");
        // A call that comes now is answered within its deadline.
        let began = Instant::now();
        assert!(client.put("c", "k", "w").is_err());
        assert!(began.elapsed() < Duration::from_secs(1));
        proxy.unmute();
        proxy.cut();
        wait::until("it serves again", WITHIN, || {
            client
                .put("c", "k", "w")
                .map_err(|failure| format!("{failure:?}"))
        });
        if let Some(load) = load {
            let writes = load.stop();
            let failed: Vec<&Write> = writes.iter().filter(|write| write.failed()).collect();
            assert!(failed.is_empty(), "{failed:?}");
        }
    }
}

/// ALL waits for a replica that does not answer and says so; what asks for one copy does not wait with it.
#[test]
fn a_replica_that_stands_still_delays_only_who_waits_for_it() {
    let mut set = SentinelSet::start();
    let vedetta = follow(&set, &[]);
    let client = Client::connect(vedetta.api());
    set.wait_until_known();
    let within = Duration::from_secs(10);
    assert_eq!(client.put_to_all("raw", "k", "1", within), Ok(()));
    let still = set.replica_addresses()[0];
    set.redis(still).pause();
    let patience = Duration::from_millis(700);
    let api = vedetta.api();
    let waiting = std::thread::spawn(move || {
        let client = Client::connect(api);
        let began = Instant::now();
        let failure = client
            .put_to_all("raw", "k", "2", patience)
            .expect_err("one is missing");
        (failure, began.elapsed())
    });
    let (began, mut written) = (Instant::now(), 0);
    while began.elapsed() < patience / 2 {
        assert_eq!(client.put_to_one("raw", "other", "x", within), Ok(()));
        written += 1;
    }
    let (failure, took) = waiting.join().expect("the other caller");
    println!("ALL gave up after {took:?}; {written} writes with one copy meanwhile");
    assert_eq!(failure.reason, "APPLIED_UNREPLICATED");
    assert_eq!(failure.applied, "YES");
    assert!(took >= patience, "it did not wait for the copies");
    assert!(written > 3, "they waited with it");
    assert_eq!(
        client.text("raw", "k").as_deref(),
        Some("2"),
        "it is in place"
    );
    set.redis(still).resume();
    wait::until("all copies again", WITHIN, || {
        let put = client.put_to_all("raw", "k", "3", within);
        put.map_err(|failure| format!("{failure:?}"))
    });
}

/// A pod that is alone with the old master stops to write after the fence period; what it had acknowledged until then is
/// the loss that is stated, and ALL loses nothing.
#[test]
fn a_pod_that_is_cut_off_with_the_master_stops_to_write() {
    let set = SentinelSet::start_with(&SentinelOptions {
        proxied: true,
        sentinel_lines: vec!["sentinel down-after-milliseconds mymaster 3000".to_owned()],
        ..SentinelOptions::default()
    });
    let ears: Vec<Proxy> = set
        .sentinel_addresses()
        .into_iter()
        .map(Proxy::to)
        .collect();
    let heard: Vec<String> = ears.iter().map(|ear| ear.address().to_string()).collect();
    let heard = heard.join(",");
    let deaf = [
        ("REDIS_ADDRESSES", heard.as_str()),
        ("VEDETTA_SENTINEL_DISCOVERY", "false"),
        ("VEDETTA_LIMITS_WAIT", "1s"),
    ];
    let vedetta = follow(&set, &deaf);
    let load = Load::start(vedetta.api());
    load.is_under_way();
    let old = set.master_endpoint();
    ears.iter().for_each(Proxy::mute);
    set.proxy(old).mute_others("vedetta");
    let cut = Instant::now();
    let client = Client::connect(vedetta.api());
    wait::until("the fence shuts", WITHIN, || {
        let fence = client.status().fence.expect("a fence");
        (!fence.open)
            .then_some(())
            .ok_or_else(|| format!("{fence:?}"))
    });
    set.wait_for_master_other_than(old);
    ears.iter().for_each(Proxy::unmute);
    let back = Instant::now();
    wait::until("writes resume", WITHIN, || load.first_after(back));
    let writes = load.stop();
    let after: Vec<Duration> = writes
        .iter()
        .filter(|write| write.acknowledged() && (cut..back).contains(&write.answered))
        .map(|write| write.answered - cut)
        .collect();
    let last = after.iter().max().copied().unwrap_or_default();
    let lost = lost(&set, &writes);
    println!(
        "isolated with the master: {} writes acknowledged, the last {last:?} after the cut; {} lost",
        after.len(),
        lost.len()
    );
    // The period, the age of the last word when the cut came, and a call that was under way.
    assert!(
        last < Duration::from_millis(1900),
        "it went on writing: {last:?}"
    );
    assert!(lost.iter().all(|write| !write.to_all), "ALL was lost");
}

/// Without Sentinels a write that every replica has is safe by itself, and may be allowed.
#[test]
fn without_sentinels_only_all_is_written_and_only_if_allowed() {
    let mut set = SentinelSet::start();
    let strict = follow(&set, &[]);
    let allowing = follow(&set, &[("VEDETTA_FENCE_UNCONFIRMED", "all")]);
    let clients = [&strict, &allowing].map(|vedetta| {
        let mut client = Client::connect(vedetta.api());
        client.timeout = Duration::from_secs(2);
        client
    });
    let within = Duration::from_secs(1);
    for client in &clients {
        assert_eq!(client.put_to_all("raw", "k", "1", within), Ok(()));
        assert_eq!(client.text("raw", "k").as_deref(), Some("1"));
    }
    set.sentinels()
        .iter_mut()
        .for_each(crate::support::Node::kill9);
    for client in &clients {
        wait::until("writes are fenced", WITHIN, || {
            // Another entry: a write that comes before the news is done.
            match client.put("raw", "probe", "2") {
                Err(failure) if failure.reason == "FENCED" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let flag = client.freshness("raw", "k");
        assert_eq!(flag, vedetta::proto::v1::Freshness::Unverified);
        assert_eq!(client.text("raw", "k").as_deref(), Some("1"));
    }
    let refused = clients[0].put_to_all("raw", "k", "3", within);
    assert_eq!(refused.expect_err("refused").reason, "FENCED");
    assert_eq!(clients[1].put_to_all("raw", "k", "3", within), Ok(()));
    set.sentinels()
        .iter_mut()
        .for_each(crate::support::Node::start_again);
    for client in &clients {
        wait::until("writes again", WITHIN, || {
            client
                .put("raw", "k", "4")
                .map_err(|failure| format!("{failure:?}"))
        });
    }
}
