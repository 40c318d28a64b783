//! Passwords of Redis and of the Sentinels, apart from each other, and replaced while vedetta runs.
//!
//! Not here: passwords that are wrong from the start (`startup`); certificates (`tls`).

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::client::{Client, Failure};
use crate::support::{Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, wait};

const WITHIN: Duration = Duration::from_secs(20);

/// Writes and reads without a pause, until it is told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    /// When the last call was answered.
    last: Arc<Mutex<Instant>>,
    thread: JoinHandle<Vec<Failure>>,
}

impl Load {
    pub(crate) fn start(api: SocketAddr) -> Self {
        let (stop, last) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Instant::now())),
        );
        let (stopped, answered) = (stop.clone(), last.clone());
        let thread = std::thread::spawn(move || {
            let client = Client::connect(api);
            let mut failures = Vec::new();
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                let key = format!("load{}", number % 100);
                failures.extend(client.put("load", &key, "v").err());
                failures.extend(client.get("load", &key).err());
                *answered.lock() = Instant::now();
                number += 1;
            }
            failures
        });
        Self { stop, last, thread }
    }

    /// Waits until calls that were made after that moment are answered.
    pub(crate) fn goes_on(&self, after: Instant) {
        for _ in 0..2 {
            wait::until("the load goes on", WITHIN, || {
                if *self.last.lock() > after {
                    Ok(())
                } else {
                    Err("no call is answered".to_owned())
                }
            });
        }
    }

    /// Ends it; not one call may have failed.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.thread.join().expect("load");
        assert!(failures.is_empty(), "{failures:#?}");
    }
}

/// How often a session took over from one with older secrets.
pub(crate) fn renewed(vedetta: &Vedetta) -> u64 {
    vedetta.count("vedetta_redis_renewals_total{result=\"done\"}")
}

/// A mounted secret, with the links that Kubernetes makes and swaps.
struct Mount {
    directory: TempDir,
    versions: usize,
}

impl Mount {
    fn new(password: &str) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let mut mount = Self {
            directory,
            versions: 0,
        };
        mount.put(password);
        symlink("..data/password", mount.file()).expect("link");
        mount
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("password")
    }

    fn path(&self) -> String {
        self.file().display().to_string()
    }

    fn put(&mut self, password: &str) {
        self.versions += 1;
        let at = |name: &str| self.directory.path().join(name);
        let version = format!("..{}", self.versions);
        fs::create_dir(at(&version)).expect("directory");
        fs::write(at(&version).join("password"), password).expect("file");
        symlink(Path::new(&version), at("..new")).expect("link");
        fs::rename(at("..new"), at("..data")).expect("rename");
    }
}

fn serves(client: &Client) {
    wait::until("it serves", WITHIN, || {
        client
            .put("c", "k", "v")
            .map_err(|failure| format!("{failure:?}"))
    });
    assert_eq!(client.text("c", "k").as_deref(), Some("v"));
}

fn counts(what: &str, expected: u64, count: impl Fn() -> u64) {
    wait::until(what, WITHIN, || match count() {
        found if found >= expected => Ok(()),
        found => Err(format!("{found} instead of {expected}")),
    });
}

/// A Redis with the user `app`, and with nothing else that would be warned of.
fn with_user(password: &str) -> Redis {
    Redis::start(&RedisOptions {
        lines: vec![
            format!("user app on >{password} ~* &* +@all"),
            "client-output-buffer-limit normal 64mb 32mb 30".to_owned(),
        ],
        ..RedisOptions::default()
    })
}

/// The connections of vedetta: only it speaks RESP3 here.
fn connections(list: &str) -> Vec<u64> {
    let ours = list.lines().filter(|line| line.contains("resp=3"));
    ours.filter_map(|line| line.strip_prefix("id=")?.split(' ').next()?.parse().ok())
        .collect()
}

/// Waits until every connection is newer than those.
fn all_newer(before: &[u64], list: impl Fn() -> String) {
    wait::until("every connection is a new one", WITHIN, || {
        let now = connections(&list());
        let newest = before.iter().max().expect("connections before");
        if now.len() == before.len() && now.iter().all(|id| id > newest) {
            Ok(())
        } else {
            Err(format!("{before:?} before, {now:?} now"))
        }
    });
}

fn follows_a_failover(redis: Option<&str>, sentinel: Option<&str>) {
    let set = SentinelSet::start_with(&SentinelOptions {
        redis_password: redis.map(str::to_owned),
        sentinel_password: sentinel.map(str::to_owned),
        ..SentinelOptions::default()
    });
    let list = set.sentinel_list();
    let mut environment = vec![("REDIS_ADDRESSES", list.as_str())];
    environment.extend(redis.map(|password| ("REDIS_PASSWORD", password)));
    environment.extend(sentinel.map(|password| ("VEDETTA_SENTINEL_PASSWORD", password)));
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    serves(&client);
    let (old, _) = set.sentinel_failover();
    let new = set.wait_for_master_other_than(old);
    wait::until("the new master is followed", WITHIN, || {
        let status = client.status().master.unwrap_or_default();
        if status.address == new.to_string() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    });
    serves(&client);
    let output = vedetta.output();
    assert!(!output.contains("AUTH_FAILED"), "{output}");
}

#[test]
fn no_password_anywhere() {
    follows_a_failover(None, None);
}

#[test]
fn a_password_of_redis_alone() {
    follows_a_failover(Some("for-redis"), None);
}

#[test]
fn a_password_of_the_sentinels_alone() {
    follows_a_failover(None, Some("for-sentinel"));
}

#[test]
fn another_password_on_each_side() {
    follows_a_failover(Some("for-redis"), Some("for-sentinel"));
}

#[test]
fn the_password_of_redis_is_replaced_without_a_failed_call() {
    let redis = with_user("old");
    let address = redis.address().to_string();
    let mut mount = Mount::new("old\n");
    let mut vedetta = Vedetta::start(
        &[],
        &[
            ("REDIS_ADDRESS", &address),
            ("VEDETTA_REDIS_USERNAME", "app"),
            ("VEDETTA_REDIS_PASSWORD_FILE", &mount.path()),
            ("VEDETTA_CACHES", "raw:raw"),
        ],
    );
    let (pid, client) = (vedetta.process().id(), Client::connect(vedetta.api()));
    serves(&client);
    let clients = || redis.cli(&["CLIENT", "LIST"]);
    // The session and the canary.
    wait::until(
        "two connections",
        WITHIN,
        || match connections(&clients()) {
            found if found.len() == 2 => Ok(()),
            found => Err(format!("{found:?}")),
        },
    );
    assert_eq!(client.put("raw", "k", "before"), Ok(()));
    assert_eq!(client.text("raw", "k").as_deref(), Some("before"));

    let load = Load::start(vedetta.api());
    for (round, (old, new)) in [("old", "second-secret"), ("second-secret", "third-secret")]
        .into_iter()
        .enumerate()
    {
        let before = connections(&clients());
        redis.cli(&["ACL", "SETUSER", "app", &format!(">{new}")]);
        mount.put(new);
        let expected = round as u64 + 1;
        counts("the session is renewed", expected, || renewed(&vedetta));
        all_newer(&before, clients);
        // Nobody tracks any more what subscribers have read before.
        let lost = "vedetta_watch_discontinuities_total{reason=\"session_lost\"}";
        assert_eq!(vedetta.count(lost), expected);
        redis.cli(&["ACL", "SETUSER", "app", &format!("<{old}")]);
        load.goes_on(Instant::now());
        // What was read before the renewal is not kept as if nothing could have been missed.
        let foreign = format!("foreign {round}");
        redis.cli(&["SET", "raw::k", &foreign]);
        wait::until("a foreign write is seen", WITHIN, || {
            match client.text("raw", "k") {
                Some(text) if text == foreign => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    load.stop();
    let output = vedetta.output();
    let secret = |word| output.contains(word);
    assert!(!secret("second-secret") && !secret("WARN"), "{output}");
    // Whoever connects from now on needs the last password.
    redis.cli(&["CLIENT", "KILL", "USER", "app"]);
    serves(&client);
    assert_eq!(vedetta.process().id(), pid);
}

#[test]
fn a_wrong_password_keeps_the_session_and_heals_when_it_is_corrected() {
    let redis = Redis::start(&RedisOptions {
        password: Some("right".to_owned()),
        ..RedisOptions::default()
    });
    let address = redis.address().to_string();
    let mut mount = Mount::new("right");
    let vedetta = Vedetta::start(
        &[],
        &[
            ("REDIS_ADDRESS", &address),
            ("VEDETTA_REDIS_PASSWORD_FILE", &mount.path()),
        ],
    );
    let client = Client::connect(vedetta.api());
    serves(&client);
    let load = Load::start(vedetta.api());
    mount.put("a-wrong-secret");
    let failed = || vedetta.count("vedetta_redis_renewals_total{result=\"failed\"}");
    counts("several attempts", 3, failed);
    load.goes_on(Instant::now());
    assert_eq!(renewed(&vedetta), 0);
    let output = vedetta.output();
    let told = output
        .lines()
        .filter(|line| line.contains("the secrets from before is kept"));
    assert_eq!(told.count(), 1, "{output}");
    assert!(!output.contains("a-wrong-secret"), "{output}");
    mount.put("right");
    counts("the session is renewed", 1, || renewed(&vedetta));
    load.stop();

    // Without a session there is nothing to keep: calls say why, until the password is right.
    mount.put("wrong again");
    counts("several attempts", failed() + 1, failed);
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    wait::until("calls are refused", WITHIN, || {
        match client.put("c", "k", "v") {
            Err(failure) if failure.reason == "REDIS_AUTH_FAILED" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    mount.put("right");
    serves(&client);
}

#[test]
fn the_password_of_the_sentinels_is_replaced_without_a_failed_call() {
    let set = SentinelSet::start();
    let sentinels = set.sentinel_addresses();
    let on_all = |rule: &str| {
        for sentinel in &sentinels {
            let rules = ["ACL", "SETUSER", "app", "on", "+@all", "&*", rule];
            set.redis_cli(*sentinel, &rules);
        }
    };
    on_all(">old");
    let list = set.sentinel_list();
    let mut mount = Mount::new("old");
    let vedetta = Vedetta::start(
        &[],
        &[
            ("REDIS_ADDRESSES", &list),
            ("VEDETTA_SENTINEL_USERNAME", "app"),
            ("VEDETTA_SENTINEL_PASSWORD_FILE", &mount.path()),
        ],
    );
    let client = Client::connect(vedetta.api());
    serves(&client);
    let load = Load::start(vedetta.api());
    let clients = |at: SocketAddr| set.redis_cli(at, &["CLIENT", "LIST"]);
    let before: Vec<Vec<u64>> = sentinels
        .iter()
        .map(|at| connections(&clients(*at)))
        .collect();
    // First the file, then the Sentinels: until they know it, the links go on with the one before.
    mount.put("new");
    let failures = || vedetta.count("vedetta_sentinel_failures_total");
    counts("several attempts at each", 6, failures);
    let up = |client: &Client| client.status().sentinels.iter().all(|view| view.up);
    assert!(up(&client), "{:?}", client.status().sentinels);
    on_all(">new");
    for (at, before) in sentinels.iter().zip(&before) {
        all_newer(before, || clients(*at));
    }
    on_all("<old");
    assert!(up(&client), "{:?}", client.status().sentinels);
    load.goes_on(Instant::now());
    load.stop();
    assert_eq!(renewed(&vedetta), 0);
    let (old, _) = set.sentinel_failover();
    let new = set.wait_for_master_other_than(old);
    wait::until("the new master is followed", WITHIN, || {
        let status = client.status().master.unwrap_or_default();
        if status.address == new.to_string() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    });
}
