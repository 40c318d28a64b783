//! One Redis as a server that works in turns of its event loop: whatever waits when a turn begins is part of it.
//!
//! Invariants: pure; time in microseconds from the beginning; commands are given in the order of their time.
//!
//! Not here: what the commands cost (`costs`) and where they come from (`simulation`).

use std::collections::VecDeque;

use hdrhistogram::Histogram;

/// A command for it.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) at: f64,
    /// Its own part of the turn, with what it notes down for others.
    pub(crate) cost: f64,
    /// To whom it has something to say, one bit for each session.
    pub(crate) told: Vec<u64>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Turns {
    wake: f64,
    send: f64,
    /// When the turn that was last begun ends.
    free: f64,
    waiting: VecDeque<Command>,
    /// What counts begins here.
    counted_from: f64,
    pub(crate) busy: f64,
    pub(crate) writes_to_holders: u64,
    /// From the arrival of a command to its answer, in nanoseconds.
    pub(crate) answered: Histogram<u64>,
    /// Of turns that tell somebody: how long it takes until all are told, in nanoseconds.
    pub(crate) told: Histogram<u64>,
}

/// A minute: longer waits mean that it never catches up.
const LONGEST: u64 = 60_000_000_000;

impl Turns {
    /// One that sleeps. `wake` is what it costs to begin a turn then, and `send` what each connection costs to which
    /// something is written.
    pub(crate) fn new(wake: f64, send: f64, counted_from: f64) -> Result<Self, String> {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| format!("histogram: {error}"))
        };
        Ok(Self {
            wake,
            send,
            free: 0.0,
            waiting: VecDeque::new(),
            counted_from,
            busy: 0.0,
            writes_to_holders: 0,
            answered: histogram()?,
            told: histogram()?,
        })
    }

    /// A command arrives.
    pub(crate) fn arrive(&mut self, command: Command) {
        self.work_until(command.at);
        self.waiting.push_back(command);
    }

    /// Begins every turn that begins before that.
    pub(crate) fn work_until(&mut self, until: f64) {
        while let Some(first) = self.waiting.front() {
            let begin = self.free.max(first.at);
            if begin >= until {
                return;
            }
            self.turn(begin);
        }
    }

    fn turn(&mut self, begin: f64) {
        let mut length = if begin > self.free { self.wake } else { 0.0 };
        let (mut told, mut arrivals) = (Vec::new(), Vec::new());
        while let Some(command) = self.waiting.pop_front_if(|command| command.at <= begin) {
            length += command.cost;
            arrivals.push(command.at);
            if told.len() < command.told.len() {
                told.resize(command.told.len(), 0);
            }
            for (all, one) in told.iter_mut().zip(&command.told) {
                *all |= one;
            }
        }
        let holders: u64 = told.iter().map(|bits| u64::from(bits.count_ones())).sum();
        let sending = self.send * holders as f64;
        self.free = begin + length + sending;
        // A turn of a server that is overloaded is long: it counts from when counting begins.
        self.busy += (self.free - begin.max(self.counted_from)).max(0.0);
        if begin < self.counted_from {
            return;
        }
        self.writes_to_holders += holders;
        if holders > 0 {
            self.told.saturating_record(nanos(sending));
        }
        for arrival in arrivals {
            self.answered.saturating_record(nanos(self.free - arrival));
        }
    }
}

fn nanos(micros: f64) -> u64 {
    (micros * 1000.0).round() as u64
}
