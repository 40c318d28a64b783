//! The behaviour table of `tests/behaviour`, run against every store and every way in.
//!
//! Invariants: every case runs, also after one that fails; each difference is printed with its case and step.
//!
//! Not here: what is right (`tests/behaviour/*.json`, `README.md` there); faults of Redis and of Sentinels.

mod call;
mod compare;
mod error;
mod notation;
mod run;
mod table;

use std::path::{Path, PathBuf};

use call::{Api, Client};
use run::{Report, Store};

use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta};

/// What is right does not depend on how busy the machine is.
const PATIENT: &[&str] = &["--redis-command-timeout", "10s"];

/// What the table says about the server under test.
pub(crate) const CACHES: (&str, &str) = ("VEDETTA_CACHES", "bt_raw*:raw,bt_ttl:framed:1h");

/// What it says about quotas.
pub(crate) const QUOTAS: (&str, &str) = (
    "VEDETTA_QUOTAS",
    "cache=bt_framed_few entries=2,cache=bt_framed_small bytes=2KiB,cache=bt_framed_slow rate=1/s,\
     cache=bt_raw_slow rate=1/s,tenant=bt-bound entries=2",
);

/// Where the table is.
pub(crate) fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behaviour")
}

async fn run_table(address: &str, directory: &Path, store: Store) -> Report {
    let client = Client::connect(Api::load(), address).await;
    run::all(&client, &table::load(directory), store).await
}

async fn assert_behaves(address: &str, store: Store) {
    let report = run_table(address, &table(), store).await;
    report.print(address);
    assert!(report.passed > 0, "the table is empty");
    assert!(
        report.failed.is_empty(),
        "{} cases failed over {address}",
        report.failed.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_store() {
    let vedetta = Vedetta::start(&[], &[CACHES, QUOTAS]);
    assert_behaves(&format!("http://{}", vedetta.api()), Store::Embedded).await;
    assert_behaves(
        &format!("unix:{}", vedetta.socket().display()),
        Store::Embedded,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_redis() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(PATIENT, &[CACHES, QUOTAS, ("REDIS_ADDRESS", &address)]);
    assert_behaves(
        &format!("unix:{}", vedetta.socket().display()),
        Store::Redis,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_set() {
    let set = SentinelSet::start();
    let vedetta = Vedetta::start(
        PATIENT,
        &[CACHES, QUOTAS, ("REDIS_ADDRESSES", &set.sentinel_list())],
    );
    assert_behaves(&format!("http://{}", vedetta.api()), Store::Sentinel).await;
}

/// Every step of `must_fail` is wrong on purpose; a runner that lets one pass sees nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expectation_is_noticed() {
    let vedetta = Vedetta::start(&[], &[CACHES, QUOTAS]);
    let address = format!("unix:{}", vedetta.socket().display());
    let report = run_table(&address, &table().join("must_fail"), Store::Embedded).await;
    assert!(!report.failed.is_empty());
    assert_eq!(report.passed, 0, "{} wrong cases passed", report.passed);
    for (case, differences) in &report.failed {
        assert_eq!(differences.len(), 1, "{case}: {differences:#?}");
    }
}

/// The table lists the capabilities it knows; this finds an rpc that was added to a proto and to nothing else, and
/// one whose entry is not true.
#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_is_listed_and_does_what_its_entry_says() {
    let vedetta = Vedetta::start(&[], &[CACHES, QUOTAS]);
    let api = Api::load();
    let rpcs = api.rpcs_of("vedetta.v1");
    let client = Client::connect(api, &format!("unix:{}", vedetta.socket().display())).await;
    let status = client
        .call("Status/GetStatus", None)
        .await
        .expect("a status");
    let listed = call::flags(&status, "capabilities", "name", "available");
    for rpc in rpcs {
        assert!(listed.contains_key(&rpc), "{rpc} is not listed");
    }
    for (name, available) in listed.iter().filter(|(name, _)| name.contains('/')) {
        let refused = client
            .call(name, None)
            .await
            .err()
            .map(|status| status.code());
        let unimplemented = refused == Some(tonic::Code::Unimplemented);
        assert_eq!(!unimplemented, *available, "{name} answers {refused:?}");
    }
}
