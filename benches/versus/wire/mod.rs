//! What the load program says and understands: one dialect for each protocol, as light as can be.
//!
//! Invariants: requests are encoded before the measurement; every reply is taken apart as far as the lengths of its
//! values, and a value that is missing or has another length ends the run. A dialect has neither socket nor clock.
//!
//! Not here: who is asked and when (`load`).

pub(crate) mod frame;
pub(crate) mod in_order;
pub(crate) mod memcached;
pub(crate) mod message;
pub(crate) mod pipeline;
pub(crate) mod resp;
pub(crate) mod unary;

/// One connection's side of a protocol. A stamp is whatever the caller wants back with the reply.
pub(crate) trait Dialect {
    /// What is said before the first request.
    fn greet(&mut self, out: &mut Vec<u8>);

    /// Writes the next request; false where the peer has no room for it now.
    fn send(&mut self, stamp: u64, out: &mut Vec<u8>) -> bool;

    /// Requests may have been gathered until now.
    fn flush(&mut self, _out: &mut Vec<u8>) {}

    /// Takes what came, tells the stamp of every reply that is whole, and says how many bytes it needs no more.
    ///
    /// # Errors
    /// The reply is not the one that was asked for.
    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        done: &mut impl FnMut(u64),
    ) -> Result<usize, String>;
}

/// What a reply must hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// One value of so many bytes.
    Value(usize),
    /// So many values of so many bytes.
    Values(usize, usize),
    /// That a write was done.
    Written,
    /// A success of whatever content.
    Anything,
}
