//! A session takes over from another one: calls that are in flight, calls that are about to be made, and the end of the
//! old connection. With the library, because no story can hit the moment.
//!
//! Not here: when a session is renewed (`credentials`, `tls`).

use std::sync::Arc;
use std::time::Duration;

use vedetta::config::{Credentials, RedisConfig};
use vedetta::dial::{Access, Secrets};
use vedetta::drain::Tasks;
use vedetta::model::{Cause, Endpoint, Master};
use vedetta::upstream::{
    self, Alarm, Batch, Effect, Metrics, Operation, Reply, Session, SessionSettings, Untracked,
};

use crate::support::{Redis, RedisOptions, wait};

const WITHIN: Duration = Duration::from_secs(20);

fn settings(tasks: &Tasks) -> SessionSettings {
    SessionSettings {
        redis: RedisConfig {
            endpoint: None,
            prefix: String::new(),
            credentials: Credentials::default(),
            tls: None,
            connect_timeout: Duration::from_secs(5),
            // Nothing here ends because of it.
            command_timeout: WITHIN * 3,
        },
        secrets: Secrets::fixed(Access::default()),
        tasks: tasks.clone(),
        metrics: Arc::new(Metrics::register()),
        slots: 8,
        tracker: Arc::new(Untracked),
        tracking: true,
        alarm: Alarm::silent(),
        bound: Duration::from_secs(1),
    }
}

fn command(name: &'static str, arguments: &[&[u8]]) -> Batch {
    let mut batch = Batch::new(Operation::Put, Effect::Write);
    batch.command(name, arguments);
    batch
}

fn connections(redis: &Redis) -> usize {
    let list = redis.cli(&["CLIENT", "LIST"]);
    list.lines().filter(|line| line.contains("resp=3")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finds_a_moment_without_a_session() {
    let redis = Redis::start(&RedisOptions::default());
    let (host, port) = (redis.address().ip().to_string(), redis.address().port());
    let endpoint = Endpoint { host, port };
    let master = Master { endpoint, epoch: 0 };
    let (tasks, (writer, lane)) = (Tasks::new(), upstream::lane());
    let settings = settings(&tasks);
    let open = |generation| Session::open(master.clone(), generation, &settings);
    let (old, new) = (open(1).await.expect("old"), open(2).await.expect("new"));
    writer.install(old.clone());
    let taken = lane.session().expect("the old one");
    assert_eq!(taken.generation(), 1);

    // In flight: it is answered when somebody pushes to the list.
    let waiting = old.clone();
    let flying = tasks.spawn("in flight", async move {
        let replies = waiting.execute(command("BLPOP", &[b"list", b"0"])).await;
        assert!(
            matches!(replies.as_deref(), Ok([Reply::Array(_)])),
            "{replies:?}"
        );
    });
    let blocked = || match redis
        .cli(&["INFO", "clients"])
        .contains("blocked_clients:1")
    {
        true => Ok(()),
        false => Err("nobody waits".to_owned()),
    };
    wait::until("a call is in flight", WITHIN, blocked);
    let mut begun = false;
    old.hand_over(&new, || begun = true);
    assert!(begun);
    assert_eq!(old.ended().map(|fault| fault.cause), Some(Cause::NoSession));
    // Not installed yet, and found all the same.
    assert_eq!(lane.session().expect("the new one").generation(), 2);
    // By somebody who had taken the old one.
    let replies = taken.execute(command("SET", &[b"k", b"v"])).await;
    assert!(
        matches!(replies.as_deref(), Ok([Reply::Bytes(_)])),
        "{replies:?}"
    );
    writer.install(new.clone());
    drop((old, taken));
    assert_eq!(
        connections(&redis),
        2,
        "the call in flight has its connection"
    );
    redis.cli(&["RPUSH", "list", "x"]);
    flying.await.expect("the call in flight was answered");
    wait::until("the old connection closes", WITHIN, || {
        match connections(&redis) {
            1 => Ok(()),
            count => Err(format!("{count} connections")),
        }
    });

    // What is in flight is given up with whoever took over, and nobody takes over when a session just ends.
    let last = open(3).await.expect("last");
    let waiting = new.clone();
    let flying = tasks.spawn("in flight", async move {
        let replies = waiting.execute(command("BLPOP", &[b"list", b"0"])).await;
        assert!(replies.is_err(), "{replies:?}");
    });
    wait::until("a call is in flight", WITHIN, blocked);
    new.hand_over(&last, || ());
    last.end(Cause::NotAMaster, "as in the test");
    let given_up = tokio::time::timeout(WITHIN, flying).await;
    given_up
        .expect("the call in flight was given up")
        .expect("it failed");
    let fault = lane.session().expect_err("no session");
    assert_eq!(fault.cause, Cause::NoSession);
    assert!(new.execute(command("SET", &[b"k", b"v"])).await.is_err());
}
