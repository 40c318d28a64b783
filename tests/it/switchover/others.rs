//! What the user would have had: a plain Sentinel client of redis-rs, which resolves the master anew after an error, and
//! one of fred, tuned to fail early and to reconnect at once. Each writes keys of its own, a hundred a second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fred::prelude::ClientLike;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig,
};
use parking_lot::Mutex;
use redis::sentinel::{SentinelClient, SentinelServerType};
use tonic::Code;

use crate::client::callers::in_a_thread;
use crate::support::{MASTER, SentinelSet};

use super::load::{CACHE, Write};

const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(1);

/// A client at work, for as long as the value lives.
pub(super) struct Other {
    pub(super) name: &'static str,
    stop: Arc<AtomicBool>,
    writes: Arc<Mutex<Vec<Write>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Writes a key; why that failed.
type Outcome = Result<(), String>;

impl Other {
    /// With redis-rs.
    pub(super) fn redis(set: &SentinelSet) -> Self {
        let sentinels = set.sentinel_addresses();
        Self::start("redis-rs", move |work| async move {
            let urls: Vec<String> = sentinels.iter().map(|at| format!("redis://{at}")).collect();
            let kind = SentinelServerType::Master;
            let mut client =
                SentinelClient::build(urls, MASTER.to_owned(), None, kind).expect("a client");
            let mut connection = None;
            while let Some(key) = work.next().await {
                let attempt = async {
                    if connection.is_none() {
                        connection = Some(client.get_async_connection().await?);
                    }
                    let Some(connection) = &mut connection else {
                        return Ok(());
                    };
                    let mut set = redis::cmd("SET");
                    set.arg(&key).arg("x");
                    set.query_async::<()>(connection).await
                };
                let outcome = match tokio::time::timeout(PATIENCE, attempt).await {
                    Ok(outcome) => outcome.map_err(|error: redis::RedisError| error.to_string()),
                    Err(_) => Err("no answer".to_owned()),
                };
                if outcome.is_err() {
                    connection = None;
                }
                work.done(key, outcome);
            }
        })
    }

    /// With fred.
    pub(super) fn fred(set: &SentinelSet) -> Self {
        let sentinels = set.sentinel_addresses();
        Self::start("fred", move |work| async move {
            let hosts = sentinels
                .iter()
                .map(|at: &SocketAddr| Server::new(at.ip().to_string(), at.port()));
            let config = Config {
                // One of the Sentinels may reset the very first connection.
                fail_fast: false,
                server: ServerConfig::Sentinel {
                    hosts: hosts.collect(),
                    service_name: MASTER.to_owned(),
                },
                ..Config::default()
            };
            let performance = PerformanceConfig {
                default_command_timeout: PATIENCE,
                ..PerformanceConfig::default()
            };
            let connection = ConnectionConfig {
                connection_timeout: PATIENCE,
                unresponsive: fred::types::config::UnresponsiveConfig {
                    max_timeout: Some(PATIENCE),
                    interval: Duration::from_millis(100),
                },
                ..ConnectionConfig::default()
            };
            let policy = ReconnectPolicy::new_constant(0, 50);
            let client = fred::clients::Client::new(
                config,
                Some(performance),
                Some(connection),
                Some(policy),
            );
            client.init().await.expect("a client");
            while let Some(key) = work.next().await {
                let arguments = vec![key.clone(), "x".to_owned()];
                let attempt = client.custom::<(), _>(fred::cmd!("SET"), arguments);
                let outcome = attempt.await.map_err(|error| error.to_string());
                work.done(key, outcome);
            }
            let _ = client.quit().await;
        })
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        run: impl FnOnce(Work) -> F,
    ) -> Self {
        let (stop, writes) = (Arc::new(AtomicBool::default()), Arc::new(Mutex::default()));
        let work = Work {
            name,
            stop: stop.clone(),
            writes: writes.clone(),
            count: std::sync::atomic::AtomicU64::new(0),
        };
        let thread = in_a_thread(run(work));
        Self {
            name,
            stop,
            writes,
            thread: Some(thread),
        }
    }

    /// What it has written since then.
    pub(super) fn since(&self, at: Instant) -> Vec<Write> {
        let writes = self.writes.lock();
        let since = writes.iter().filter(|write| write.answered >= at);
        since.cloned().collect()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "{} panicked",
                self.name
            );
        }
    }
}

/// Hands out keys and takes outcomes.
struct Work {
    name: &'static str,
    stop: Arc<AtomicBool>,
    writes: Arc<Mutex<Vec<Write>>>,
    count: std::sync::atomic::AtomicU64,
}

impl Work {
    async fn next(&self) -> Option<String> {
        tokio::time::sleep(PAUSE).await;
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        Some(format!("{CACHE}::{}-{number}", self.name))
    }

    fn done(&self, key: String, outcome: Outcome) {
        let key = key.trim_start_matches(&format!("{CACHE}::")).to_owned();
        self.writes.lock().push(Write {
            key,
            answered: Instant::now(),
            to_all: false,
            result: outcome.map_err(|error| (Code::Unavailable, error)),
        });
    }
}
