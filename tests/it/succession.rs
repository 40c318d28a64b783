//! A session takes over from another one: calls that are in flight, calls that are about to be made, and the end of the
//! old connection. With the library, because no story can hit the moment.
//!
//! Not here: when a session is renewed (`credentials`, `tls`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use vedetta::config::{Credentials, RedisConfig};
use vedetta::dial::{Access, Secrets};
use vedetta::drain::Tasks;
use vedetta::model::{Cause, Endpoint, Fault, Master};
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

/// A Redis, and sessions to it.
struct Bench {
    redis: Redis,
    tasks: Tasks,
    settings: SessionSettings,
}

impl Bench {
    fn start() -> Self {
        let tasks = Tasks::new();
        Self {
            redis: Redis::start(&RedisOptions::default()),
            settings: settings(&tasks),
            tasks,
        }
    }

    async fn open(&self, generation: u64) -> Arc<Session> {
        let at = self.redis.address();
        let endpoint = Endpoint {
            host: at.ip().to_string(),
            port: at.port(),
        };
        let master = Master { endpoint, epoch: 0 };
        let opened = Session::open(master, generation, &self.settings).await;
        opened.expect("a session")
    }

    /// A call that is answered when somebody pushes to the list, and whether it was.
    fn fly(&self, session: &Arc<Session>) -> Flying {
        let (session, (answer, answered)) = (session.clone(), oneshot::channel());
        self.tasks.spawn("in flight", async move {
            let replies = session.execute(command("BLPOP", &[b"list", b"0"])).await;
            drop(session);
            let _ = answer.send(replies);
        });
        wait::until("a call is in flight", WITHIN, || {
            let clients = self.redis.cli(&["INFO", "clients"]);
            let blocked = clients.contains("blocked_clients:1");
            blocked.then_some(()).ok_or(clients)
        });
        answered
    }
}

type Flying = oneshot::Receiver<Result<Vec<Reply>, Fault>>;

async fn landed(flying: Flying) -> Result<Vec<Reply>, Fault> {
    let landed = tokio::time::timeout(WITHIN, flying).await;
    landed.expect("it ends").expect("it is told")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finds_a_moment_without_a_session() {
    let bench = Bench::start();
    let (old, new) = (bench.open(1).await, bench.open(2).await);
    let (writer, lane) = upstream::lane();
    writer.install(old.clone());
    let taken = lane.session().expect("the old one");
    assert_eq!(taken.generation(), 1);
    let flying = bench.fly(&old);

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
    // The call in flight has its connection.
    assert_eq!(connections(&bench.redis), 2);
    bench.redis.cli(&["RPUSH", "list", "x"]);
    let replies = landed(flying).await;
    assert!(
        matches!(replies.as_deref(), Ok([Reply::Array(_)])),
        "{replies:?}"
    );
    wait::until("the old connection closes", WITHIN, || {
        match connections(&bench.redis) {
            1 => Ok(()),
            count => Err(format!("{count} connections")),
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_is_given_up_with_whoever_took_over() {
    let bench = Bench::start();
    let (old, new) = (bench.open(1).await, bench.open(2).await);
    let (writer, lane) = upstream::lane();
    writer.install(old.clone());
    let flying = bench.fly(&old);
    old.hand_over(&new, || ());
    assert!(old.goes_on().is_ok());
    new.end(Cause::NotAMaster, "as in the test");
    let fault = landed(flying).await.expect_err("it is given up");
    assert_eq!(fault.cause, Cause::OutcomeUnknown);
    // Nobody takes over when a session just ends.
    assert!(old.goes_on().is_err());
    let fault = lane.session().expect_err("no session");
    assert_eq!(fault.cause, Cause::NoSession);
    assert!(old.execute(command("SET", &[b"k", b"v"])).await.is_err());
}
