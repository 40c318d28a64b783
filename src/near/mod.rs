//! The near cache (L1): copies of entries of the master, and the proof of how old each of them can be.
//!
//! A volume lease built from Redis parts. The volume is one *generation*: one tracked session to one master. Its
//! callbacks are the pushes of CLIENT TRACKING in default mode, which Redis puts into the stream of the connection
//! that read the key; the lease is two streams of evidence that no callback is missing (`lease`).
//!
//! Claim (G1): an entry that is served FRESH at `now` with bound `L` reflects every write to its key that was
//! acknowledged before `now - L`, by a vedetta or by anybody on the same master. Proof, each step where the code enforces it:
//!
//! 1. *No late insert* (`shard`): a fill takes a token before its read is sent. A push for the key, which follows the
//!    reply to the read on the wire, kills the token or removes the entry, whichever it meets.
//! 2. *One generation* (`Near::complete`, `Lease::proof`): an entry bears the generation of the session that read it,
//!    and counts only while that generation lives. Pushes that a broken link swallowed concern dead generations only.
//! 3. *Everything before the base has arrived* (`Lease::beat`): the base of the link lease is the time at which the
//!    heartbeat before the last answered one was sent.
//! 4. *Nobody else is master* (`Lease::majority`): the base of the majority lease is the time at which a poll was sent
//!    by which a majority of the Sentinels named this master at the highest epoch. Two majorities share a Sentinel,
//!    and its epoch only grows, so no vedetta, which waits for a majority, had a later master before that.
//! 5. *Clears and flushes* (`stamp`): an entry counts only while the stamps it was read under are the current ones of its
//!    cache and of its groups; stamps are read on the same session and dropped by their own pushes, so 1 to 4 hold for
//!    them as well. The stamp of a group may be read later than the entry that bears it: a stamp never comes back, so if
//!    it is the same then, it was the same in between, and a flush in between only makes a miss.
//! 6. *Time* (`Near::complete`): expiry is counted from before the read was sent, so never later than the server's.
//!
//! Invariants: bounded by weight; an entry that is not provably fresh is only ever handed out as STALE with its age.
//! Every step has a mutant that breaks it, which `tests/sim` must catch.
//!
//! Not here: clock and sockets (moments are arguments); waiting for a fill (`cache::remote`); who is told about an
//! invalidation (`invalidation`).

mod entry;
mod lease;
mod mutant;
mod serve;
mod shard;
mod stamp;
mod store;

pub use entry::{Fill, Found, Held, NearHit, REMOVALS, ReadBack, Removal};
pub use lease::{Beat, Lease, Majority, Standing};
pub use mutant::Mutant;
pub(crate) use mutant::breaks;
pub use stamp::{Mark, Members, Slot, Stamped, group_mark};
pub use store::{Begin, Capacity, Figures, Near, Want};
