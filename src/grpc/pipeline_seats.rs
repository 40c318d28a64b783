//! The places that one pipeline has among the calls in flight.
//!
//! Admission gave the stream one place, and whoever is answered at once needs no other. That place is lent to one
//! operation at a time; each further one in progress needs its own, and before a request is read there must be one,
//! because what has begun can no longer be refused. Where there is none, the stream waits for one of its own operations:
//! it is never without any, so it goes on.
//!
//! Invariants: a stream holds no more places than it has operations in progress and one; what waits for leases leaves
//! the place that lets the stream read on, so that who fills on the same stream is not held up by who waits.
//!
//! Not here: the bound on calls in flight (`limit`).

use super::limit::{Inflight, Place};
use super::pipeline::PIPELINED;

/// The most operations of one stream that wait for leases. The others are left for those who fill.
const LEASING: usize = PIPELINED / 2;

/// The place of one operation in progress.
#[derive(Debug)]
pub(super) enum Seat {
    /// That of the stream.
    Lent,
    /// One of its own.
    Own(#[expect(dead_code, reason = "it is held")] Place),
    /// One of its own, and it may wait for the lease of another.
    Leasing(#[expect(dead_code, reason = "it is held")] Place),
}

/// The places of one stream.
#[derive(Debug)]
pub(super) struct Seats {
    inflight: Inflight,
    lent: bool,
    /// For the next operation.
    next: Option<Place>,
    leasing: usize,
}

impl Seats {
    /// Those of a stream that was admitted.
    pub(super) fn new(inflight: Inflight) -> Self {
        Self {
            inflight,
            lent: false,
            next: None,
            leasing: 0,
        }
    }

    /// Whether the next operation has a place.
    pub(super) fn have_one(&mut self) -> bool {
        if self.lent && self.next.is_none() {
            self.next = self.inflight.try_enter();
        }
        !self.lent || self.next.is_some()
    }

    /// The place that [`Seats::have_one`] found.
    pub(super) fn take(&mut self) -> Seat {
        if let Some(place) = self.next.take() {
            return Seat::Own(place);
        }
        self.lent = true;
        Seat::Lent
    }

    /// A place to wait for a lease in; `None`: it must not wait.
    pub(super) fn lease(&mut self) -> Option<Seat> {
        if self.leasing >= LEASING {
            return None;
        }
        let place = self.inflight.try_enter()?;
        self.leasing += 1;
        Some(Seat::Leasing(place))
    }

    /// Gives a place back.
    pub(super) fn leave(&mut self, seat: Seat) {
        match seat {
            Seat::Lent => self.lent = false,
            Seat::Own(_) => {}
            Seat::Leasing(_) => self.leasing -= 1,
        }
    }

    /// Keeps none in advance, because nothing is in progress.
    pub(super) fn rest(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_uses_its_own_place_first_and_never_more_than_there_are() {
        let inflight = Inflight::new(2);
        let _stream = inflight.enter().expect("its own");
        let mut seats = Seats::new(inflight.clone());
        assert!(seats.have_one());
        let first = seats.take();
        assert!(matches!(first, Seat::Lent));
        assert!(seats.have_one());
        assert!(inflight.enter().is_err(), "held for the next operation");
        let second = seats.take();
        assert!(!seats.have_one());
        seats.leave(second);
        assert!(seats.have_one());
        seats.leave(first);
        seats.rest();
        assert!(
            inflight.enter().is_ok(),
            "an idle stream holds its own only"
        );
    }

    #[test]
    fn who_waits_for_a_lease_leaves_the_place_of_who_fills() {
        let inflight = Inflight::new(2);
        let _stream = inflight.enter().expect("its own");
        let mut seats = Seats::new(inflight);
        let waiting = seats.lease().expect("a place to wait in");
        assert!(seats.lease().is_none(), "and no other");
        assert!(seats.have_one());
        seats.leave(waiting);
    }

    #[test]
    fn half_of_a_stream_may_wait_for_leases() {
        let mut seats = Seats::new(Inflight::new(10 * PIPELINED));
        let waiting: Vec<_> = std::iter::from_fn(|| seats.lease()).collect();
        assert_eq!(waiting.len(), LEASING);
        waiting.into_iter().for_each(|seat| seats.leave(seat));
        assert!(seats.lease().is_some());
    }
}
