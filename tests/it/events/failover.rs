//! Events through the death of a master: what the new one has is delivered, in its order, and that more may be lost is
//! told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use vedetta::proto::v1::events_client::EventsClient;
use vedetta::proto::v1::subscribe_response::gap::Reason;

use super::listener::{Listener, publish, request};
use super::{CHANNEL, PUBLISHERS};
use crate::client::callers;
use crate::support::{Reply, SentinelOptions, SentinelSet, Vedetta, wait};

const DEADLINE: Duration = Duration::from_secs(20);
const REPLICATED_WITHIN: Duration = Duration::from_secs(15);
const LAST: &str = "last";
const KEY: &str = "vedetta:events:::core-page";

/// Publishes with operation ids until it is told to stop; what was acknowledged.
struct Publishers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Publishers {
    fn start(vedetta: &Vedetta) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (stopped, into) = (stop.clone(), acknowledged.clone());
        let thread = callers::call(vedetta.api(), move |channel, callers| {
            for publisher in 0..PUBLISHERS {
                let mut client = EventsClient::new(channel.clone());
                let (stopped, into) = (stopped.clone(), into.clone());
                callers.spawn(async move {
                    let mut number = 0;
                    while !stopped.load(Ordering::Relaxed) {
                        let name = format!("{publisher}-{number}");
                        let mut request = tonic::Request::new(request(CHANNEL, &name, &name));
                        request.set_timeout(DEADLINE);
                        client.publish(request).await.expect("acknowledged");
                        into.lock().push(name);
                        number += 1;
                    }
                });
            }
        });
        Self {
            stop,
            acknowledged,
            thread,
        }
    }

    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the publishers");
        std::mem::take(&mut *self.acknowledged.lock())
    }
}

/// The payloads in the order of the log, as the master has them.
fn log(set: &mut SentinelSet) -> Vec<String> {
    let master = set.master_endpoint();
    let reply = set.redis(master).ask(&["XRANGE", KEY, "-", "+"]);
    let Ok(Reply::Many(entries)) = reply else {
        panic!("{reply:?}");
    };
    let payload = |entry: &Reply| match entry {
        Reply::Many(parts) => parts[1].field("p").expect("a payload"),
        other => panic!("{other}"),
    };
    entries.iter().map(payload).collect()
}

/// A message that was told, lost, and then published again because its publisher had no answer yet, was told twice: its
/// place is the second one.
fn forget_what_was_done_again(told: &mut Vec<&String>) {
    let mut later = BTreeSet::new();
    told.reverse();
    told.retain(|name| later.insert(*name));
    told.reverse();
}

#[test]
fn what_the_new_master_has_is_delivered_and_loss_is_told() {
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let environment = [("REDIS_ADDRESSES", list.as_str())];
    let arguments = ["--events-log", "1000000"];
    let (a, b) = (
        Vedetta::start(&arguments, &environment),
        Vedetta::start(&arguments, &environment),
    );
    let listeners = [&a, &b].map(|vedetta| Listener::start(vedetta, CHANNEL, None));
    for listener in &listeners {
        listener.wait_started();
    }
    let publishers = Publishers::start(&a);
    listeners[1].wait_for(1_000);
    let (old, _) = set.kill9_master();
    set.wait_for_master_other_than(old);
    let so_far = listeners[1].payloads().len();
    listeners[1].wait_for(so_far + 1_000);
    let acknowledged = publishers.finish();
    publish(&b, CHANNEL, LAST);

    let log = log(&mut set);
    let unique: BTreeSet<&String> = log.iter().collect();
    assert_eq!(unique.len(), log.len(), "an operation was done twice");
    let lost = acknowledged.iter().filter(|name| !unique.contains(name));
    println!(
        "{} acknowledged, {} in the log of the new master, {} lost",
        acknowledged.len(),
        log.len(),
        lost.count()
    );
    for listener in listeners {
        listener.wait_for_payload(LAST);
        let seen = listener.payloads();
        let mut kept: Vec<&String> = seen.iter().filter(|name| unique.contains(name)).collect();
        let seen_and_kept = kept.len();
        forget_what_was_done_again(&mut kept);
        println!(
            "{} seen, {} of them lost, {} of them done again",
            seen.len(),
            seen.len() - seen_and_kept,
            seen_and_kept - kept.len()
        );
        // Each publisher has one message on the way.
        assert!(seen_and_kept - kept.len() <= PUBLISHERS, "told again");
        assert_eq!(
            kept,
            log.iter().collect::<Vec<_>>(),
            "order, or a message missing"
        );
        let reasons: Vec<Reason> = listener.gaps().iter().map(|gap| gap.1).collect();
        assert_eq!(reasons, [Reason::HistoryChanged]);
    }
}

/// Messages that were delivered from a master which nobody else could hear any more.
#[test]
fn what_a_failover_takes_back_is_told_and_the_rest_is_not_told_again() {
    let mut set = SentinelSet::start_with(&SentinelOptions {
        proxied: true,
        ..SentinelOptions::default()
    });
    let list = set.sentinel_list();
    let environment = [("REDIS_ADDRESSES", list.as_str())];
    let vedetta = Vedetta::start(&[], &environment);
    let listener = Listener::start(&vedetta, CHANNEL, None);
    listener.wait_started();
    let kept: Vec<String> = (0..50).map(|number| format!("kept {number}")).collect();
    for payload in &kept {
        publish(&vedetta, CHANNEL, payload);
    }
    let master = set.master_endpoint();
    for replica in set.replica_addresses() {
        wait::until("a replica has all of it", REPLICATED_WITHIN, || {
            let length = set.redis_cli(replica, &["XLEN", KEY]);
            (length == "50").then_some(()).ok_or(length)
        });
    }
    set.proxy(master).mute_others("vedetta");
    let lost: Vec<String> = (0..20).map(|number| format!("lost {number}")).collect();
    let ids: Vec<String> = lost
        .iter()
        .map(|payload| publish(&vedetta, CHANNEL, payload))
        .collect();
    let last = ids[ids.len() - 1].clone();
    listener.wait_for(kept.len() + lost.len());
    set.redis(master).kill9();
    set.wait_for_master_other_than(master);
    publish(&vedetta, CHANNEL, LAST);
    listener.wait_for_payload(LAST);
    let after = |before: &[String]| [before, &[LAST.to_owned()]].concat();
    assert_eq!(listener.payloads(), after(&[kept.clone(), lost].concat()));
    assert_eq!(listener.gaps(), [(last.clone(), Reason::HistoryChanged)]);

    // Elsewhere nobody knows what was told before that id, so all of the log is.
    let other = Vedetta::start(&[], &environment);
    let resumed = Listener::start(&other, CHANNEL, Some(last.clone()));
    resumed.wait_for_payload(LAST);
    assert_eq!(resumed.payloads(), after(&kept));
    assert_eq!(resumed.gaps(), [(last, Reason::HistoryChanged)]);
}
