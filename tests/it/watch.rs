//! Watch over the real API: what a terminal sees, many subscribers, slow ones, and those who come back.
//!
//! Not here: keeping a coherent cache with it (`l0`); scopes by value (`src/invalidation`).

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use vedetta::proto::v1;
use vedetta::proto::v1::watch_client::WatchClient;
use vedetta::proto::v1::watch_response::Event;
use vedetta::proto::v1::watch_response::discontinuity::Reason;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, Vedetta, binary, wait};

const CACHE: &str = "greetings";
const PATIENCE: Duration = Duration::from_secs(20);
const SUBSCRIBERS: usize = 1000;

/// Streams of one connection at a time, as the server allows.
const STREAMS: usize = 500;

fn serve(arguments: &[&str]) -> (Redis, Vedetta, Client) {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(arguments, &[("REDIS_ADDRESS", &address)]);
    let client = Client::connect(vedetta.api());
    (redis, vedetta, client)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime")
}

async fn connect(vedetta: &Vedetta) -> WatchClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", vedetta.api())).expect("address");
    WatchClient::new(endpoint.connect().await.expect("a connection"))
}

async fn watch(
    client: &mut WatchClient<Channel>,
    resume_after: Option<v1::Position>,
) -> Streaming<v1::WatchResponse> {
    let request = v1::WatchRequest {
        resume_after,
        ..v1::WatchRequest::default()
    };
    client.watch(request).await.expect("a stream").into_inner()
}

/// The next event that is no proof.
async fn event(stream: &mut Streaming<v1::WatchResponse>) -> (v1::Position, Event) {
    let next = async {
        loop {
            let message = stream.message().await.expect("no error");
            let message = message.expect("the stream goes on");
            match message.event.expect("an event") {
                Event::Proven(_) => {}
                other => return (message.position.expect("a position"), other),
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("in time")
}

fn discontinuity(reason: Reason) -> Event {
    Event::Discontinuity(v1::watch_response::Discontinuity {
        reason: reason.into(),
    })
}

fn invalidated(key: &'static str) -> Event {
    Event::Invalidated(v1::watch_response::Invalidated {
        cache: CACHE.to_owned(),
        keys: vec![Bytes::from_static(key.as_bytes())],
    })
}

/// `vedetta watch`, stopped when dropped.
struct Terminal(Child, BufReader<ChildStdout>);

impl Terminal {
    fn start(vedetta: &Vedetta, arguments: &[&str]) -> Self {
        let mut child = binary()
            .args(["--address", &format!("http://{}", vedetta.api()), "watch"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("vedetta watch");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Self(child, lines)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("a line");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_terminal_sees_what_others_do() {
    let (redis, vedetta, client) = serve(&[]);
    let mut terminal = Terminal::start(&vedetta, &[CACHE]);
    assert_eq!(terminal.line(), "discontinuity started");
    assert_eq!(client.put(CACHE, "hello", "world"), Ok(()));
    assert_eq!(terminal.line(), "invalidated greetings hello");
    assert_eq!(client.put("other", "hello", "world"), Ok(()));
    assert_eq!(client.text(CACHE, "hello").as_deref(), Some("world"));
    redis.cli(&["SET", "greetings::hello", "other"]);
    assert_eq!(terminal.line(), "invalidated greetings hello");
    assert_eq!(client.text(CACHE, "hello").as_deref(), Some("other"));
    assert_eq!(client.evict(CACHE, "hello"), Ok(true));
    assert_eq!(terminal.line(), "invalidated greetings hello");
    redis.cli(&["FLUSHALL"]);
    wait::until("the flush is told", PATIENCE, || match terminal.line() {
        // What the server tells of the own write comes after what vedetta told.
        line if line == "discontinuity flushed" => Ok(()),
        line if line.starts_with("invalidated greetings") => Err(line),
        line => panic!("{line}"),
    });
}

/// What an own key does is told although nobody has read it; a foreign one, to whoever has read it.
#[test]
fn a_key_is_watched_alone() {
    let (redis, vedetta, client) = serve(&[]);
    for key in ["a", "b"] {
        assert_eq!(client.put(CACHE, key, "1"), Ok(()));
        assert_eq!(client.text(CACHE, key).as_deref(), Some("1"));
    }
    let mut terminal = Terminal::start(&vedetta, &[CACHE, "--key", "b"]);
    assert_eq!(terminal.line(), "discontinuity started");
    redis.cli(&["SET", "greetings::a", "2"]);
    redis.cli(&["PEXPIRE", "greetings::b", "1"]);
    assert_eq!(terminal.line(), "invalidated greetings b");
}

#[test]
fn a_thousand_subscribers_cost_one_push() {
    let (redis, vedetta, client) = serve(&["--near-audit-every", "0"]);
    assert_eq!(client.put(CACHE, "hot", "1"), Ok(()));
    assert_eq!(client.text(CACHE, "hot").as_deref(), Some("1"));
    runtime().block_on(async {
        let mut streams = Vec::new();
        for _ in 0..SUBSCRIBERS / STREAMS {
            let mut client = connect(&vedetta).await;
            for _ in 0..STREAMS {
                streams.push(watch(&mut client, None).await);
            }
        }
        for stream in &mut streams {
            assert_eq!(event(stream).await.1, discontinuity(Reason::Started));
        }
        let pushed = vedetta.count("vedetta_pushed_keys_total");
        let canaries = vedetta.count("vedetta_staleness_seconds_count");
        redis.cli(&["SET", "greetings::hot", "2"]);
        for stream in &mut streams {
            assert_eq!(event(stream).await.1, invalidated("hot"));
        }
        let canaries = vedetta.count("vedetta_staleness_seconds_count") - canaries;
        let pushed = vedetta.count("vedetta_pushed_keys_total") - pushed;
        // One more canary may be on its way in between.
        assert!(
            (1..=2 + canaries).contains(&pushed),
            "{pushed} pushed keys, {canaries} canaries"
        );
    });
}

#[test]
fn who_comes_back_hears_what_it_missed_or_that_it_missed_something() {
    let (_redis, vedetta, client) = serve(&["--limits-replay-events", "10"]);
    let runtime = runtime();
    let first = runtime.block_on(async {
        let mut stream = watch(&mut connect(&vedetta).await, None).await;
        event(&mut stream).await.0
    });
    for value in ["1", "2", "3"] {
        assert_eq!(client.put(CACHE, "k", value), Ok(()));
    }
    runtime.block_on(async {
        let mut stream = watch(&mut connect(&vedetta).await, Some(first)).await;
        let mut last = first;
        for _ in 0..3 {
            let (position, told) = event(&mut stream).await;
            assert_eq!(told, invalidated("k"));
            assert!(position.sequence > last.sequence);
            last = position;
        }
    });
    for _ in 0..20 {
        assert_eq!(client.put(CACHE, "k", "x"), Ok(()));
    }
    runtime.block_on(async {
        let mut stream = watch(&mut connect(&vedetta).await, Some(first)).await;
        let told = event(&mut stream).await.1;
        assert_eq!(told, discontinuity(Reason::ResumeTooOld));
    });
}

/// A subscriber that does not read holds nobody up, and is told why it ends.
#[test]
fn a_slow_subscriber_is_dropped() {
    let (_redis, vedetta, client) = serve(&["--limits-replay-events", "10"]);
    let runtime = runtime();
    let mut stream = runtime.block_on(async {
        let mut stream = watch(&mut connect(&vedetta).await, None).await;
        assert_eq!(event(&mut stream).await.1, discontinuity(Reason::Started));
        stream
    });
    // Nobody polls the stream: its window fills, and the events go on without it. Not for long, because nobody answers
    // the pings of the connection either.
    let key = "k".repeat(60_000);
    for _ in 0..50 {
        assert_eq!(client.put(CACHE, &key, "x"), Ok(()));
        assert_eq!(client.evict(CACHE, &key), Ok(true));
    }
    let code = runtime.block_on(async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without a reason"),
                Err(status) => return status.code(),
            }
        }
    });
    assert_eq!(code, Code::ResourceExhausted);
    let dropped = vedetta.count("vedetta_watch_dropped_total");
    assert_eq!(dropped, 1);
}

#[test]
fn one_subscriber_too_many_is_refused() {
    let (_redis, vedetta, _client) = serve(&["--limits-subscribers", "1"]);
    runtime().block_on(async {
        let mut client = connect(&vedetta).await;
        let _open = watch(&mut client, None).await;
        let refused = client.watch(v1::WatchRequest::default()).await;
        let status = refused.expect_err("refused");
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("limits.subscribers"));
    });
}
