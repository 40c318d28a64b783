//! The load: a closed loop that always has so many requests in flight, and an open loop that sends by the clock.
//!
//! Invariants: one thread, and nothing on it but this; the open loop counts latency from the time at which a request was
//! meant to be sent, so that a server which stalls is charged for everything that had to wait.
//!
//! Not here: what is sent (`wire`); the CPU that it costs (`meter`).

mod connection;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use crate::wire::Dialect;

pub(crate) use connection::Connection;

/// Without any event for so long a server is stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// Latencies are kept in nanoseconds up to a minute, to three digits.
const LONGEST: u64 = 60_000_000_000;

/// What came of a slice.
pub(crate) struct Outcome<M> {
    /// Requests that were answered while it was measured.
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// What was observed at the beginning and at the end of the measured time.
    pub(crate) observed: [M; 2],
}

/// How long a slice takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    /// Before anything counts.
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

struct Loop<D> {
    poll: Poll,
    events: Events,
    connections: Vec<Connection<D>>,
    began: Instant,
}

impl<D: Dialect> Loop<D> {
    fn new(mut connections: Vec<Connection<D>>, began: Instant) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
        for (number, connection) in connections.iter_mut().enumerate() {
            connection
                .register(poll.registry(), Token(number))
                .map_err(|error| format!("epoll: {error}"))?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(connections.len().max(1)),
            connections,
            began,
        })
    }

    /// Waits for replies, and tells of each when its request was due and how long it took, in nanoseconds. Each is
    /// followed by another request if `again`.
    fn turn(
        &mut self,
        patience: Duration,
        again: bool,
        mut record: impl FnMut(u64, u64),
    ) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|error| format!("epoll: {error}"))?,
        }
        if self.events.is_empty() && !patience.is_zero() {
            return Err(format!("no reply within {patience:?}"));
        }
        for event in &self.events {
            let connection = &mut self.connections[event.token().0];
            let mut more = event.is_readable();
            while more {
                let (mut replies, mut now) = (0, None);
                more = connection.read(|stamp| {
                    let now = *now.get_or_insert_with(|| nanos(self.began.elapsed()));
                    record(stamp, now.saturating_sub(stamp));
                    replies += 1;
                })?;
                if let (true, Some(now)) = (again, now) {
                    connection.due.extend(std::iter::repeat_n(now, replies));
                }
            }
            connection.send()?;
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        let of = |connection: &Connection<D>| connection.flight + connection.due.len();
        self.connections.iter().map(of).sum()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| format!("histogram: {error}"))
}

/// Keeps `depth` requests in flight on each connection.
///
/// # Errors
/// A reply is wrong or late, or a connection is lost.
pub(crate) fn closed<D: Dialect, M>(
    connections: Vec<Connection<D>>,
    depth: usize,
    slice: Slice,
    mut observe: impl FnMut() -> Result<M, String>,
) -> Result<Outcome<M>, String> {
    let mut latency = histogram()?;
    let mut work = Loop::new(connections, Instant::now())?;
    for connection in &mut work.connections {
        let now = nanos(work.began.elapsed());
        connection.due.extend(std::iter::repeat_n(now, depth));
        connection.send()?;
    }
    while work.began.elapsed() < slice.warm {
        work.turn(PATIENCE, true, |_, _| {})?;
    }
    let before = observe()?;
    let began = Instant::now();
    while began.elapsed() < slice.measured {
        work.turn(PATIENCE, true, |_, took| latency.saturating_record(took))?;
    }
    let elapsed = began.elapsed();
    Ok(Outcome {
        requests: latency.len(),
        elapsed,
        observed: [before, observe()?],
        latency,
    })
}

/// A call on a connection of its own, once in an open loop: at the beginning of its second half.
pub(crate) struct Aside<D>(pub(crate) Connection<D>);

/// What came of an open loop. Latencies are in nanoseconds, from the time at which each request was to be sent.
pub(crate) struct Paced {
    /// Of the first half, in which nothing else happens.
    pub(crate) calm: Histogram<u64>,
    /// Of the second half, which begins with the call aside, and how long that one took.
    pub(crate) beside: Option<(Histogram<u64>, Duration)>,
}

/// Sends `rate` requests in a second, evenly, over the connections in turn, and spins meanwhile. There is a second half
/// if there is a call aside.
///
/// # Errors
/// As of [`closed`]; and the call aside has not ended with the rest.
pub(crate) fn open<D: Dialect>(
    connections: Vec<Connection<D>>,
    rate: f64,
    slice: Slice,
    aside: Option<Aside<D>>,
) -> Result<Paced, String> {
    let began = Instant::now();
    let (mut calm, mut beside, mut took) = (histogram()?, histogram()?, None);
    let mut work = Loop::new(connections, began)?;
    let mut aside = aside
        .map(|Aside(connection)| Loop::new(vec![connection], began))
        .transpose()?;
    let (interval, count) = (1e9 / rate, work.connections.len());
    let half = nanos(slice.warm + slice.measured);
    let end = half + aside.as_ref().map_or(0, |_| nanos(slice.measured));
    let (mut sent, mut begun) = (0_usize, false);
    loop {
        let now = nanos(began.elapsed());
        while now < end && sent as f64 * interval <= now as f64 {
            let connection = &mut work.connections[sent % count];
            connection.due.push_back((sent as f64 * interval) as u64);
            connection.send()?;
            sent += 1;
        }
        work.turn(Duration::ZERO, false, |due, took| {
            if due >= half {
                beside.saturating_record(took);
            } else if due >= nanos(slice.warm) {
                calm.saturating_record(took);
            }
        })?;
        if let Some(other) = &mut aside {
            if !begun && now >= half {
                begun = true;
                other.connections[0].due.push_back(now);
                other.connections[0].send()?;
            }
            other.turn(Duration::ZERO, false, |_, nanos| {
                took = Some(Duration::from_nanos(nanos));
            })?;
        }
        if now >= end && work.in_flight() == 0 && (aside.is_none() || took.is_some()) {
            return Ok(Paced {
                calm,
                beside: took.map(|took| (beside, took)),
            });
        }
        if now > end + nanos(PATIENCE) {
            let left = work.in_flight();
            return Err(format!("{left} requests, or the call aside, have no reply"));
        }
    }
}
