//! That the proxy is silent, cut and slow exactly where it is told to.
//!
//! Not here: anything about what is carried.

use std::time::{Duration, Instant};

use super::proxy::Proxy;
use super::resp::{Connection, Reply};
use super::{Redis, RedisOptions};

/// Says a word that tells this connection from others; the answer does not matter.
fn connect_saying(proxy: &Proxy, word: &str) -> Connection {
    let mut connection = Connection::open(proxy.address(), None).expect("a connection");
    connection.call(&["ECHO", word]).expect("an answer");
    connection
}

fn stage() -> (Redis, Proxy) {
    let redis = Redis::start(&RedisOptions::default());
    let proxy = Proxy::to(redis.address());
    (redis, proxy)
}

#[test]
fn what_was_sent_while_it_was_muted_arrives_afterwards() {
    let (redis, proxy) = stage();
    let mut before = connect_saying(&proxy, "before");
    proxy.mute();
    assert!(before.call(&["SET", "k", "late"]).is_err(), "it is silent");
    assert!(Connection::open(proxy.address(), None).is_ok(), "accepted");
    assert_eq!(redis.cli(&["EXISTS", "k"]), "0");
    proxy.unmute();
    assert_eq!(
        before.call(&["GET", "k"]).expect("the reply to SET"),
        Reply::Bytes(b"OK".to_vec())
    );
    assert_eq!(redis.cli(&["GET", "k"]), "late");
}

#[test]
fn some_connections_can_be_spared_or_singled_out() {
    let (_redis, proxy) = stage();
    let mut ours = connect_saying(&proxy, "vedetta");
    let mut other = connect_saying(&proxy, "replica");
    proxy.mute_others("vedetta");
    assert!(ours.call(&["PING"]).is_ok());
    assert!(other.call(&["PING"]).is_err());
    let mut new = connect_saying(&proxy, "a new vedetta");
    assert!(new.call(&["PING"]).is_ok());
    proxy.mute_those("vedetta");
    assert!(ours.call(&["PING"]).is_err());
    assert!(connect_saying(&proxy, "another").call(&["PING"]).is_ok());
}

#[test]
fn a_cut_closes_every_connection_and_refuses_none() {
    let (_redis, proxy) = stage();
    let mut connection = connect_saying(&proxy, "x");
    proxy.cut();
    let began = Instant::now();
    assert!(connection.call(&["PING"]).is_err());
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "closed, not silent"
    );
    assert!(connect_saying(&proxy, "y").call(&["PING"]).is_ok());
}

#[test]
fn bytes_are_delayed_in_each_direction() {
    let (_redis, proxy) = stage();
    let mut connection = connect_saying(&proxy, "x");
    let step = Duration::from_millis(150);
    for (to_target, to_client, least) in [
        (step, Duration::ZERO, step),
        (Duration::ZERO, step, step),
        (step, step, 2 * step),
        (Duration::ZERO, Duration::ZERO, Duration::ZERO),
    ] {
        proxy.delay(to_target, to_client);
        let began = Instant::now();
        connection.call(&["PING"]).expect("an answer");
        let took = began.elapsed();
        assert!(
            took >= least && took < least + step,
            "{took:?} for {least:?}"
        );
    }
}
