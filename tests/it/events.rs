//! Events over the real API and real Redis: nothing is missed silently, whoever dies or is cut off, and order holds.
//!
//! Not here: what the API answers without a fault (`tests/behaviour/events.json`); the rules by value (`src/events`).

mod failover;
mod listener;

use std::time::Duration;

use tonic::Code;
use vedetta::proto::v1;
use vedetta::proto::v1::subscribe_response::Kind;
use vedetta::proto::v1::subscribe_response::gap::Reason;

use crate::client::callers;
use crate::support::{Redis, RedisOptions, Vedetta, wait};
use listener::{Listener, connect, publish, request};

const CHANNEL: &str = "core-page";
const PUBLISHERS: usize = 8;
/// Shorter than the interval at which a log is read without a push, which would hide that pushes are not heard.
const PATIENCE: Duration = Duration::from_secs(25);

fn serve(redis: &Redis, arguments: &[&str]) -> Vedetta {
    let address = redis.address().to_string();
    Vedetta::start(arguments, &[("REDIS_ADDRESS", &address)])
}

/// Publishes so many messages through each of these vedettas, several at a time; each is `<publisher>-<number>`.
fn publish_many(vedettas: &[&Vedetta], each: usize) -> Vec<std::thread::JoinHandle<()>> {
    let publishers = vedettas.iter().enumerate().map(|(place, vedetta)| {
        callers::call(vedetta.api(), move |channel, callers| {
            for publisher in 0..PUBLISHERS {
                let mut client = v1::events_client::EventsClient::new(channel.clone());
                callers.spawn(async move {
                    for number in 0..each / PUBLISHERS {
                        let name = format!("{place}.{publisher}-{number}");
                        let request = request(CHANNEL, &name, &name);
                        client.publish(request).await.expect("published");
                    }
                });
            }
        })
    });
    publishers.collect()
}

/// The payloads in the order of the log, as Redis has them.
fn log(redis: &Redis) -> Vec<String> {
    let key = format!("vedetta:events:::{CHANNEL}");
    let reply = redis.ask(&["XRANGE", &key, "-", "+"]).expect("a log");
    let entries = match reply {
        crate::support::Reply::Many(entries) => entries,
        other => panic!("{other}"),
    };
    let payload = |entry: &crate::support::Reply| {
        let crate::support::Reply::Many(parts) = entry else {
            panic!("{entry}");
        };
        parts[1].field("p").expect("a payload")
    };
    entries.iter().map(payload).collect()
}

#[test]
fn ten_thousand_messages_arrive_everywhere_in_one_order() {
    let redis = Redis::start(&RedisOptions::default());
    let (a, b) = (serve(&redis, &[]), serve(&redis, &[]));
    let listeners = [&a, &a, &b].map(|vedetta| Listener::start(vedetta, CHANNEL, None));
    for listener in &listeners {
        listener.wait_started();
    }
    let publishers = publish_many(&[&a, &b], 5_000);
    for publisher in publishers {
        publisher.join().expect("the publishers");
    }
    let wanted = log(&redis);
    assert_eq!(wanted.len(), 10_000);
    for listener in listeners {
        listener.wait_for(wanted.len());
        assert_eq!(
            (listener.payloads(), listener.gaps()),
            (wanted.clone(), vec![])
        );
    }
    assert_eq!(a.count("vedetta_events_published_total"), 5_000);
    assert_eq!(a.count("vedetta_events_delivered_total"), 20_000);
}

#[test]
fn sessions_that_are_killed_cost_no_message() {
    let redis = Redis::start(&RedisOptions::default());
    let (a, b) = (serve(&redis, &[]), serve(&redis, &[]));
    let listener = Listener::start(&b, CHANNEL, None);
    listener.wait_started();
    let publishers = publish_many(&[&a], 4_000);
    for share in 1..=8 {
        listener.wait_for(share * 400);
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    for publisher in publishers {
        publisher.join().expect("the publishers");
    }
    let wanted = log(&redis);
    assert_eq!(wanted.len(), 4_000);
    listener.wait_for(wanted.len());
    assert_eq!((listener.payloads(), listener.gaps()), (wanted, vec![]));
}

#[test]
fn who_subscribed_to_a_vedetta_that_died_resumes_from_another() {
    let redis = Redis::start(&RedisOptions::default());
    let (a, mut b) = (serve(&redis, &[]), serve(&redis, &[]));
    let listener = Listener::start(&b, CHANNEL, None);
    listener.wait_started();
    let publishers = publish_many(&[&a], 2_000);
    listener.wait_for(500);
    b.process().kill9();
    listener.wait_ended();
    let (mut seen, last) = (listener.payloads(), listener.last_id());
    let other = serve(&redis, &[]);
    let resumed = Listener::start(&other, CHANNEL, Some(last));
    for publisher in publishers {
        publisher.join().expect("the publishers");
    }
    let wanted = log(&redis);
    resumed.wait_for(wanted.len() - seen.len());
    seen.extend(resumed.payloads());
    assert_eq!((seen, resumed.gaps()), (wanted, vec![]));
}

#[test]
fn who_comes_back_too_late_is_told_of_the_gap() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = serve(&redis, &["--events-log", "10"]);
    let ids: Vec<String> = (0..20)
        .map(|number| publish(&vedetta, CHANNEL, &number.to_string()))
        .collect();
    let kept: Vec<String> = (10..20).map(|number| number.to_string()).collect();
    let late = Listener::start(&vedetta, CHANNEL, Some(ids[8].clone()));
    late.wait_for(kept.len());
    assert_eq!(late.gaps(), [(ids[8].clone(), Reason::Forgotten)]);
    assert_eq!(late.payloads(), kept);
    // The message at the point is forgotten, but none after it.
    let just = Listener::start(&vedetta, CHANNEL, Some(ids[9].clone()));
    just.wait_for(kept.len());
    assert_eq!((just.payloads(), just.gaps()), (kept, vec![]));
}

#[test]
fn a_flush_is_a_gap_and_the_stream_goes_on() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = serve(&redis, &[]);
    let listener = Listener::start(&vedetta, CHANNEL, None);
    listener.wait_started();
    let first = publish(&vedetta, CHANNEL, "before");
    listener.wait_for(1);
    redis.cli(&["FLUSHALL"]);
    publish(&vedetta, CHANNEL, "after");
    listener.wait_for(2);
    assert_eq!(listener.payloads(), ["before", "after"]);
    assert_eq!(listener.gaps(), [(first, Reason::Forgotten)]);
    assert_eq!(
        vedetta.count("vedetta_events_gaps_total{reason=\"forgotten\"}"),
        1
    );
}

/// A subscriber that does not read holds nobody up, is told why it ends, and misses nothing when it comes back.
#[test]
fn a_slow_subscriber_is_dropped_and_can_resume() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = serve(&redis, &[]);
    let runtime = listener::runtime();
    let mut slow = runtime.block_on(listener::open(vedetta.api(), CHANNEL, None));
    let payload = "x".repeat(60_000);
    let messages = 400;
    let fast = Listener::start(&vedetta, CHANNEL, None);
    fast.wait_started();
    for _ in 0..messages {
        publish(&vedetta, CHANNEL, &payload);
    }
    fast.wait_for(messages);
    let (mut seen, mut last) = (0, None);
    let ended = async {
        loop {
            match slow.message().await {
                Ok(Some(answer)) => match answer.kind {
                    Some(Kind::Message(message)) => {
                        seen += 1;
                        last = Some(message.id);
                    }
                    Some(Kind::Started(started)) => last = Some(started.id),
                    other => panic!("{other:?}"),
                },
                Ok(None) => panic!("ended without a reason"),
                Err(status) => return status,
            }
        }
    };
    let status = runtime.block_on(async { tokio::time::timeout(PATIENCE, ended).await });
    let status = status.expect("it is ended");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("subscribe again"), "{status:?}");
    assert_eq!(vedetta.count("vedetta_events_dropped_total"), 1);
    let resumed = Listener::start(&vedetta, CHANNEL, last);
    resumed.wait_for(messages - seen);
    assert_eq!(resumed.gaps(), []);
}

#[test]
fn many_subscribers_cost_one_read() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = serve(&redis, &[]);
    let runtime = listener::runtime();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let stream = runtime.block_on(listener::open(vedetta.api(), CHANNEL, None));
        streams.push(stream);
    }
    runtime.block_on(async {
        for stream in &mut streams {
            let first = stream.message().await.expect("an answer");
            let kind = first.expect("the stream goes on").kind;
            assert!(matches!(kind, Some(Kind::Started(_))), "{kind:?}");
        }
    });
    let reads = "vedetta_redis_command_duration_seconds_count{command=\"log\"}";
    let before = vedetta.count(reads);
    publish(&vedetta, CHANNEL, "hello");
    let told = async {
        for stream in &mut streams {
            let first = stream.message().await.expect("an answer");
            let kind = first.expect("the stream goes on").kind;
            assert!(matches!(kind, Some(Kind::Message(_))), "{kind:?}");
        }
    };
    let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, told).await });
    told.expect("by a push");
    let read = vedetta.count(reads) - before;
    // The push of the own publication, and that of the read inside its script.
    assert!((1..=2).contains(&read), "{read} reads");
    assert_eq!(vedetta.metric("vedetta_events_subscribers 200"), Ok(()));
    drop(streams);
    wait::until("the streams are closed", PATIENCE, || {
        vedetta.metric("vedetta_events_subscribers 0")
    });
}

#[test]
fn tenants_and_channels_never_mix() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = serve(&redis, &[]);
    let runtime = listener::runtime();
    let mut client = runtime.block_on(connect(vedetta.api()));
    let tenants = ["", "t1", "t1:a"];
    let streams = tenants.map(|tenant| {
        let listener = Listener::of(&vedetta, tenant, &[CHANNEL, "other"], None);
        listener.wait_started();
        listener
    });
    for tenant in tenants {
        for channel in ["other", CHANNEL] {
            let request = v1::PublishRequest {
                tenant: tenant.to_owned(),
                ..request(channel, &format!("{tenant}/{channel}"), "")
            };
            runtime
                .block_on(client.publish(request))
                .expect("published");
        }
    }
    for (listener, tenant) in streams.iter().zip(tenants) {
        listener.wait_for(2);
        let mut seen = listener.payloads();
        seen.sort();
        assert_eq!(
            seen,
            [format!("{tenant}/{CHANNEL}"), format!("{tenant}/other")]
        );
    }
}

#[test]
fn one_subscriber_too_many_is_refused() {
    let vedetta = Vedetta::start(&["--limits-subscribers", "1"], &[]);
    let runtime = listener::runtime();
    runtime.block_on(async {
        let _open = listener::open(vedetta.api(), CHANNEL, None).await;
        let mut client = connect(vedetta.api()).await;
        let second = client.subscribe(listener::subscribe("", &[CHANNEL], None));
        let status = second.await.expect_err("refused");
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(
            status.message().contains("limits.subscribers"),
            "{status:?}"
        );
    });
}

/// The same rules without Redis, where the log is in the process.
#[test]
fn the_embedded_log_delivers_and_forgets_alike() {
    let vedetta = Vedetta::start(&["--events-log", "100"], &[]);
    let listener = Listener::start(&vedetta, CHANNEL, None);
    listener.wait_started();
    for publisher in publish_many(&[&vedetta], 4_000) {
        publisher.join().expect("the publishers");
    }
    listener.wait_for(4_000);
    assert_eq!(listener.gaps(), []);
    // Nobody follows this channel, so whoever comes back gets what the log has.
    let ids: Vec<String> = (0..120)
        .map(|number| publish(&vedetta, "other", &number.to_string()))
        .collect();
    let late = Listener::start(&vedetta, "other", Some(ids[5].clone()));
    late.wait_for(100);
    assert_eq!(late.gaps(), [(ids[5].clone(), Reason::Forgotten)]);
    let kept: Vec<String> = (20..120).map(|number| number.to_string()).collect();
    assert_eq!(late.payloads(), kept);
}
