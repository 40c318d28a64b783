//! What is read from real Sentinels besides who is master, and that a signal makes them be asked at once.
//!
//! Not here: which of them are asked (`discovery`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use vedetta::config::{Credentials, SentinelConfig, SentinelPolicy};
use vedetta::dial::{Access, Secrets};
use vedetta::drain::Tasks;
use vedetta::model::{Endpoint, Signal};
use vedetta::sentinel::{self, Election, Hints, Metrics, WatchSettings};

use crate::client::Client;
use crate::support::{SentinelSet, Vedetta, wait};

const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Longer than a Sentinel may stand still without falling into TILT.
const STANDSTILL: Duration = Duration::from_millis(2500);

/// So seldom that what is seen earlier was not seen by the interval.
const SELDOM: Duration = Duration::from_secs(600);

/// Earlier than old answers expire, after which everybody is asked anyway.
const AT_ONCE: Duration = Duration::from_secs(2);

fn watch(set: &SentinelSet, tasks: &Tasks, hints: Hints) -> watch::Receiver<Election> {
    let endpoint = |address: SocketAddr| Endpoint {
        host: address.ip().to_string(),
        port: address.port(),
    };
    let endpoints: Vec<Endpoint> = set.sentinel_addresses().into_iter().map(endpoint).collect();
    let metrics = Metrics::register(&endpoints);
    let settings = WatchSettings {
        sentinel: Arc::new(SentinelConfig {
            endpoints,
            master_name: "mymaster".to_owned(),
            credentials: Credentials::default(),
            tls: None,
            events: false,
            poll_interval: SELDOM,
            policy: SentinelPolicy::Majority,
            discovery: true,
        }),
        secrets: Secrets::fixed(Access::default()),
    };
    sentinel::start(&settings, tasks, metrics, hints)
}

async fn until(
    elections: &mut watch::Receiver<Election>,
    within: Duration,
    such: impl FnMut(&Election) -> bool,
) {
    let seen = tokio::time::timeout(within, elections.wait_for(such)).await;
    let found = seen.map(|found| found.is_ok());
    assert_eq!(found, Ok(true), "{:#?}", elections.borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_read_and_a_signal_asks_for_them_at_once() {
    let set = SentinelSet::start();
    let (tasks, hints) = (Tasks::new(), Hints::default());
    let mut elections = watch(&set, &tasks, hints.clone());
    until(&mut elections, SEEN_WITHIN, |election| {
        election.views.iter().all(|view| view.agrees)
    })
    .await;
    let election = elections.borrow().clone();
    assert_eq!(*election.priorities, [100, 100]);
    assert_eq!((election.replicas, election.sentinels), (2, 3));
    let rules = election.rules.expect("rules");
    assert_eq!(
        (rules.down_after, rules.quorum),
        (Duration::from_millis(1500), 2)
    );
    let run_id = election.run_id.expect("a run id");
    let info = set.redis_cli(set.master_endpoint(), &["INFO", "server"]);
    assert!(info.contains(&format!("run_id:{run_id}")));

    hints.raise(Signal::ReadOnly);
    until(&mut elections, AT_ONCE, |later| {
        later.named > election.named
    })
    .await;
    tasks.stop(Duration::from_secs(1)).await;
}

#[test]
fn a_sentinel_in_tilt_is_shown_and_still_names_the_master() {
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESSES", &list)]);
    let client = Client::connect(vedetta.api());
    set.sentinels()[0].pause();
    wait::pace(STANDSTILL);
    set.sentinels()[0].resume();
    wait::until("TILT is shown", SEEN_WITHIN, || {
        let view = client.status().sentinels.swap_remove(0);
        if view.up && view.agrees && view.tilt {
            vedetta.metric("vedetta_sentinels_in_tilt 1")
        } else {
            Err(format!("{view:?}"))
        }
    });
    assert_eq!(vedetta.output().matches("is in TILT").count(), 1);
}
