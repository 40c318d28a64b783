//! The rules of the protocol as knobs, and how far the world around it goes.
//!
//! Invariants: `DESIGN` is what vedetta does; a mutant is `DESIGN` with one rule changed. `carrier` and `pushes` are not
//! rules but the server's part of the bargain.
//!
//! Not here: what the rules do (`step`), which combinations are run and what becomes of them (`main`).

/// How the server tells that a key has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Default tracking: a key that was read is pushed once, in the stream of the connection that read it.
    Tracking,
    /// Every change is pushed, in the stream of a connection that does not read; reads have one of their own.
    Broadcast,
}

/// When the push of a write enters the stream, compared with the acknowledgement of that write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushes {
    /// As the write executes: default tracking.
    AtOnce,
    /// At the end of the turn of the event loop, before any acknowledgement leaves: broadcast.
    EndOfTurn,
    /// At the end of the turn, while the acknowledgement may have left as the write executed: I/O threads of Redis 8.
    AfterAck,
}

/// When a fill takes the token that a push kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    BeforeSend,
    /// When its task wakes up with the reply.
    AfterReply,
    Never,
}

/// What the reply to heartbeat n proves: every write acknowledged before that moment has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The sending of heartbeat n-1.
    PreviousSent,
    /// The sending of heartbeat n.
    ThisSent,
    /// The arrival of this reply.
    Received,
}

/// How many of three Sentinels must have named the master recently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Ignored,
    One,
    Majority,
}

/// The rules of one vedetta.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) carrier: Carrier,
    pub(crate) pushes: Pushes,
    /// Whether a reply wakes a task, which inserts it later, or is inserted by the reader of the stream, in order.
    pub(crate) handoff: bool,
    pub(crate) token: Token,
    /// Whether a push kills the token of a fill as well as the entry.
    pub(crate) push_kills_tokens: bool,
    /// Whether the push of everything (FLUSHALL) is noticed.
    pub(crate) null_push_heard: bool,
    /// Whether the entries of an ended session stop being FRESH.
    pub(crate) entries_end_with_session: bool,
    /// Whether tokens die with their session.
    pub(crate) tokens_end_with_session: bool,
    /// Whether what an ended session has read is refused.
    pub(crate) generation_checked: bool,
    /// Heartbeats that may be in flight at the same time.
    pub(crate) heartbeats: usize,
    pub(crate) proof: Proof,
    /// Whether a read is as good as a heartbeat for the entry that it filled.
    pub(crate) reads_prove: bool,
    pub(crate) naming: Naming,
    /// Whether a write of this vedetta removes its key before it is sent.
    pub(crate) own_write_removes_first: bool,
    /// Whether it removes its key before it is answered.
    pub(crate) own_write_removes_last: bool,
}

/// Default tracking on the one connection that also reads.
pub(crate) const DESIGN: Protocol = Protocol {
    carrier: Carrier::Tracking,
    pushes: Pushes::AtOnce,
    handoff: true,
    token: Token::BeforeSend,
    push_kills_tokens: true,
    null_push_heard: true,
    entries_end_with_session: true,
    tokens_end_with_session: false,
    generation_checked: true,
    heartbeats: 1,
    proof: Proof::PreviousSent,
    reads_prove: true,
    naming: Naming::Majority,
    own_write_removes_first: true,
    own_write_removes_last: true,
};

/// The same on a server that lets acknowledgements overtake pushes. No server known does so in default tracking.
pub(crate) const DESIGN_AFTER_ACK: Protocol = Protocol {
    pushes: Pushes::AfterAck,
    ..DESIGN
};

/// Two connections, and a heartbeat that proves what was acknowledged before it: what the design was chosen over.
pub(crate) const BROADCAST: Protocol = Protocol {
    carrier: Carrier::Broadcast,
    pushes: Pushes::EndOfTurn,
    handoff: false,
    tokens_end_with_session: true,
    proof: Proof::ThisSent,
    reads_prove: false,
    ..DESIGN
};

/// How far the world goes. Time, heartbeats, polls and reconnects have no bound: states forget what is too old to
/// matter, so going round in circles adds none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Changes of the key, on all nodes together.
    pub(crate) writes: u8,
    /// Fills that have not come to their end, at any time.
    pub(crate) fills: usize,
    /// The staleness bound L, in ticks.
    pub(crate) staleness: u8,
    /// Whether requests, and the answers of Sentinels, take time, or only replies do. That costs states but no
    /// behaviour that matters: see `Coherence::send` and `Coherence::poll`.
    pub(crate) travel: bool,
    pub(crate) reconnects: bool,
    /// Whether one of the writes may be a FLUSHALL.
    pub(crate) flush: bool,
    /// Whether some of the writes may be this vedetta's.
    pub(crate) own_writes: bool,
    pub(crate) failover: bool,
}
