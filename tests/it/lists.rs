//! Several pods change one list at the same time: no member is lost. The old plugin reads the list, changes it and
//! writes it back, and loses 32 to 52 % of what two pods add; so does this test's second half, which does the same.
//!
//! Not here: what an edit does (`tests/behaviour/lists.json`).

use std::collections::BTreeSet;

use bytes::Bytes;
use prost_reflect::prost::Message;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::client::callers;
use crate::support::{Redis, RedisOptions, Vedetta};

/// Members that each caller adds, and how many callers each pod has.
const EACH: usize = 100;
const CALLERS: usize = 3;

const CACHES: [&str; 2] = ["framed", "raw"];

fn pods(redis: &Redis, count: usize) -> Vec<Vedetta> {
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    (0..count)
        .map(|_| Vedetta::start(&[], &environment))
        .collect()
}

fn code(pod: usize, caller: usize, number: usize) -> Bytes {
    format!("pod{pod}-{caller}-{number}").into()
}

async fn edit(
    client: &mut CacheClient<Channel>,
    cache: &str,
    key: &str,
    add: Bytes,
    remove: Vec<Bytes>,
) {
    let request = v1::ListEditRequest {
        cache: cache.to_owned(),
        key: key.to_owned().into(),
        add: vec![add],
        remove,
        ..v1::ListEditRequest::default()
    };
    client.list_edit(request).await.expect("an edit");
}

async fn read(client: &mut CacheClient<Channel>, cache: &str, key: &str) -> Vec<Bytes> {
    let request = v1::GetRequest {
        cache: cache.to_owned(),
        key: key.to_owned().into(),
        consistency: Some(v1::Consistency {
            level: Some(v1::consistency::Level::Master(v1::consistency::Master {})),
        }),
        ..v1::GetRequest::default()
    };
    let answer = client.get(request).await.expect("an answer").into_inner();
    let Some(v1::get_response::Result::Hit(hit)) = answer.result else {
        return Vec::new();
    };
    let Some(v1::hit::Content::Value(value)) = hit.content else {
        return Vec::new();
    };
    v1::ListValue::decode(value).expect("a list").members
}

/// As the old plugin does it.
async fn read_change_write(client: &mut CacheClient<Channel>, cache: &str, key: &str, add: Bytes) {
    let mut members = read(client, cache, key).await;
    members.push(add);
    let value = v1::ListValue { members }.encode_to_vec();
    let request = v1::PutRequest {
        cache: cache.to_owned(),
        key: key.to_owned().into(),
        content: Some(v1::put_request::Content::Value(value.into())),
        ..v1::PutRequest::default()
    };
    client.put(request).await.expect("a put");
}

/// Every caller of every pod adds its codes, and takes out what it added before the last; what the list must hold then.
fn run(pods: &[Vedetta], cache: &'static str, key: &'static str, atomic: bool) -> BTreeSet<Bytes> {
    let threads = pods.iter().enumerate().map(|(pod, vedetta)| {
        callers::call(vedetta.api(), move |channel, set| {
            for caller in 0..CALLERS {
                let mut client = CacheClient::new(channel.clone());
                set.spawn(async move {
                    for number in 0..EACH {
                        let add = code(pod, caller, number);
                        let gone = number.checked_sub(1).filter(|gone| gone % 10 == 5);
                        let remove = gone.map(|gone| code(pod, caller, gone));
                        match atomic {
                            true => {
                                let remove = remove.into_iter().collect();
                                edit(&mut client, cache, key, add, remove).await;
                            }
                            false => read_change_write(&mut client, cache, key, add).await,
                        }
                    }
                });
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("the callers"));
    let numbers = (0..EACH).filter(|number| !atomic || number % 10 != 5);
    let of = |number| {
        let callers = (0..pods.len()).flat_map(|pod| (0..CALLERS).map(move |caller| (pod, caller)));
        callers.map(move |(pod, caller)| code(pod, caller, number))
    };
    numbers.flat_map(of).collect()
}

fn found(vedetta: &Vedetta, cache: &'static str, key: &'static str) -> Vec<Bytes> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = callers::call(vedetta.api(), move |channel, set| {
        set.spawn(async move {
            let members = read(&mut CacheClient::new(channel), cache, key).await;
            sender.send(members).expect("whoever asked");
        });
    });
    thread.join().expect("the caller");
    receiver.recv().expect("members")
}

#[test]
fn two_and_three_pods_lose_no_member() {
    let redis = Redis::start(&RedisOptions::default());
    for (count, key) in [(2, "two"), (3, "three")] {
        let pods = pods(&redis, count);
        for cache in CACHES {
            let expected = run(&pods, cache, key, true);
            for vedetta in &pods {
                let members = found(vedetta, cache, key);
                let set: BTreeSet<Bytes> = members.iter().cloned().collect();
                assert_eq!(set.len(), members.len(), "something is there twice");
                let lost = expected.difference(&set).count();
                println!(
                    "{count} pods, {cache}: {lost} of {} members lost",
                    expected.len()
                );
                assert_eq!(set, expected, "{count} pods, {cache}");
            }
        }
    }
}

/// What the test above is worth.
#[test]
fn reading_changing_and_writing_back_loses_members() {
    let redis = Redis::start(&RedisOptions::default());
    let pods = pods(&redis, 2);
    let expected = run(&pods, "framed", "old", false);
    let set: BTreeSet<Bytes> = found(&pods[0], "framed", "old").into_iter().collect();
    let lost = expected.difference(&set).count();
    println!(
        "as the old plugin does it: {lost} of {} members lost",
        expected.len()
    );
    assert!(lost > 0);
}
