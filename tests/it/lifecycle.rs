//! Start and stop: signals, sockets, process 1, calls in flight.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::support::{Redis, RedisOptions, Vedetta, binary, free_address, http_get, wait};

/// What a user is promised for an idle process.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
const STARTED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn an_idle_process_stops_with_0_at_once_although_clients_are_connected() {
    let mut vedetta = Vedetta::start(&[], &[]);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    // A connection that never says a word.
    let mut silent = UnixStream::connect(vedetta.socket()).expect("connect");
    let (status, took) = vedetta.terminate();
    assert_eq!(status.code(), Some(0), "{}", vedetta.output());
    assert!(took < STOPPED_WITHIN, "{took:?}");
    assert!(!vedetta.socket().exists(), "the socket file is left");
    // By a goodbye or by a reset, but it does end.
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest);
}

#[test]
fn a_call_in_flight_is_answered_before_the_end() {
    let mut redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_REDIS_COMMAND_TIMEOUT", "10s"),
    ];
    let mut vedetta = Vedetta::start(&[], &environment);
    let api = vedetta.api();
    let probe = Client::connect(api);
    assert_eq!(probe.put("c", "k", "v"), Ok(()));
    redis.pause();
    let call = std::thread::spawn(move || Client::connect(api).text("c", "k"));
    wait::until("the call is in flight", STARTED_WITHIN, || {
        vedetta.metric("vedetta_inflight_requests 1")
    });
    vedetta.process().signal("TERM");
    wait::until("the stop has begun", STARTED_WITHIN, || {
        match vedetta.admin_get("/readyz") {
            Ok((503, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Longer than a connection gets to send an answer off: the process is still there for the call.
    let ended = wait::try_until(Duration::from_secs(1), || {
        let status = vedetta.process().exited();
        status.ok_or_else(|| "still there".to_owned())
    });
    assert_eq!(ended, Err("still there".to_owned()));
    redis.resume();
    assert_eq!(call.join().expect("call").as_deref(), Some("v"));
    let (status, _) = vedetta.process().wait_exit(STARTED_WITHIN);
    assert_eq!(status.code(), Some(0), "{}", vedetta.output());
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().expect("directory");
    let socket = directory.path().join("v.sock").display().to_string();
    let mut first = Vedetta::start(&[], &[("VEDETTA_SOCKET", &socket)]);
    first.process().kill9();
    assert!(
        std::path::Path::new(&socket).exists(),
        "a killed process leaves its socket"
    );
    let second = Vedetta::start(&[], &[("VEDETTA_SOCKET", &socket)]);
    drop(UnixStream::connect(&socket).expect("the second one listens"));
    drop(second);
}

#[test]
fn a_second_process_on_the_same_socket_is_refused_and_the_first_one_stays() {
    let directory = tempfile::tempdir().expect("directory");
    let socket = directory.path().join("v.sock").display().to_string();
    let first = Vedetta::start(&[], &[("VEDETTA_SOCKET", &socket)]);
    let mut second = Vedetta::launch(&[], &[("VEDETTA_SOCKET", &socket)]);
    let (status, _) = second.process().wait_exit(STARTED_WITHIN);
    assert_eq!(status.code(), Some(4));
    let said = second.output();
    assert!(said.contains("another vedetta already serves on"), "{said}");
    assert!(said.contains(&socket), "{said}");
    drop(UnixStream::connect(&socket).expect("the first one still listens"));
    assert_eq!(Client::connect(first.api()).put("c", "k", "v"), Ok(()));
}

#[test]
fn a_taken_port_is_refused_by_name() {
    let first = Vedetta::start(&[], &[]);
    for (variable, address) in [
        ("VEDETTA_LISTEN", first.api()),
        ("VEDETTA_ADMIN_LISTEN", first.admin()),
    ] {
        let mut second = Vedetta::launch(&[], &[(variable, &address.to_string())]);
        let (status, _) = second.process().wait_exit(STARTED_WITHIN);
        assert_eq!(status.code(), Some(4));
        let said = second.output();
        assert!(
            said.contains(variable) && said.contains(&address.to_string()),
            "{said}"
        );
    }
}

/// A process 1 has no default handlers: a signal that it does not handle is ignored.
#[test]
fn sigterm_ends_process_1_too() {
    let directory = tempfile::tempdir().expect("directory");
    let admin = free_address();
    let root = Command::new("id").arg("-u").output().expect("id").stdout == b"0\n";
    let mut command = Command::new("unshare");
    if !root {
        command.args(["--user", "--map-root-user"]);
    }
    let mut unshare = command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(env!("CARGO_BIN_EXE_vedetta"))
        .arg("serve")
        .env("VEDETTA_SOCKET", directory.path().join("v.sock"))
        .env("VEDETTA_LISTEN", "none")
        .env("VEDETTA_ADMIN_LISTEN", admin.to_string())
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare, of the package util-linux");
    wait::until("start", STARTED_WITHIN, || {
        match http_get(admin, "/startupz") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let children = format!("/proc/{0}/task/{0}/children", unshare.id());
    let child = std::fs::read_to_string(children).expect("children of unshare");
    let sent = Instant::now();
    let killed = Command::new("kill").args(["-TERM", child.trim()]).status();
    assert!(
        killed.is_ok_and(|status| status.success()),
        "kill -TERM {child}"
    );
    let status = unshare.wait().expect("end of unshare");
    assert_eq!(status.code(), Some(0));
    assert!(sent.elapsed() < STOPPED_WITHIN, "{:?}", sent.elapsed());
}

/// Whoever reads the log may go away, or stop reading: that must not take a task with it, nor hold one up.
#[test]
fn a_log_that_nobody_reads_does_no_harm() {
    for open_but_unread in [false, true] {
        let redis = Redis::start(&RedisOptions::default());
        let (api, admin) = (free_address(), free_address());
        let mut vedetta = binary()
            .arg("serve")
            .env("REDIS_ADDRESS", redis.address().to_string())
            .env("VEDETTA_SOCKET", "none")
            .env("VEDETTA_LISTEN", api.to_string())
            .env("VEDETTA_ADMIN_LISTEN", admin.to_string())
            // Fills the pipe within a few calls.
            .env("VEDETTA_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vedetta");
        let unread = vedetta.stderr.take().filter(|_| open_but_unread);
        let client = Client::connect(api);
        for round in 0..3 {
            wait::until("a write", STARTED_WITHIN, || {
                client
                    .put("c", "k", &"v".repeat(10_000))
                    .map_err(|failure| format!("round {round}: {failure:?}"))
            });
            redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
        for _ in 0..200 {
            let _ = client.get("c", "k");
        }
        let killed = Command::new("kill")
            .args(["-TERM", &vedetta.id().to_string()])
            .status();
        assert!(killed.is_ok_and(|status| status.success()));
        wait::until("the end", STARTED_WITHIN, || match vedetta.try_wait() {
            Ok(Some(status)) if status.code() == Some(0) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        drop(unread);
    }
}
