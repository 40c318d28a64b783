//! What Redis and the Sentinels pay for each thing that a fleet does, as measured, and how these are had from figures.
//!
//! The model of Redis that they belong to: it works in turns of its event loop. A turn that found it asleep costs the
//! waking; each command costs its share; and each client to whom something is to be said gets one write, whatever the
//! number of invalidations in it.
//!
//! Invariants: nothing but arithmetic; times in microseconds of CPU, sizes in bytes.
//!
//! Not here: measuring (`writes`, `idle`), and what follows (`simulation`).

/// Costs of one Redis and of one Sentinel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Costs {
    /// A turn that begins with a sleeping Redis, beyond its commands.
    pub(crate) wake: f64,
    /// A read of one entry that is not in the near cache.
    pub(crate) miss: f64,
    /// A Put into a raw cache, without those who are told.
    pub(crate) put: f64,
    /// An invalidation, for each holder: to find it and to note it down for its connection.
    pub(crate) note: f64,
    /// To write to a connection what was noted down in a turn.
    pub(crate) send: f64,
    /// One idle sidecar, for a second: heartbeats, canary, the connections themselves.
    pub(crate) idle: f64,
    /// The commands of that second.
    pub(crate) idle_commands: f64,
    /// What it sends and receives in that second.
    pub(crate) idle_bytes: f64,
    /// What a miss and a push weigh on the wire.
    pub(crate) miss_bytes: f64,
    pub(crate) push_bytes: f64,
    /// Connections of a sidecar to Redis.
    pub(crate) connections: f64,
    /// Memory of the tracking table, for a key that anybody holds, and for each of its holders.
    pub(crate) table_key: f64,
    pub(crate) table_holder: f64,
    /// A sidecar, for a second, on one Sentinel: CPU and commands.
    pub(crate) sentinel: f64,
    pub(crate) sentinel_commands: f64,
}

/// What a write cost Redis with so many holders, alone and as one of a batch that was executed in one turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Writes {
    pub(crate) holders: f64,
    pub(crate) alone: f64,
    pub(crate) batched: f64,
}

/// The parts that the cost of a write consists of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parts {
    pub(crate) wake: f64,
    pub(crate) command: f64,
    pub(crate) note: f64,
    pub(crate) send: f64,
}

/// Takes the costs of writes apart, from those without holders and those with many; `batch` writes were in each turn.
///
/// Alone, a write with h holders costs wake + command + h (note + send); as one of b it costs
/// wake / b + command + h (note + send / b).
pub(crate) fn parts(nobody: Writes, many: Writes, batch: f64) -> Parts {
    let holders = (many.holders - nobody.holders).max(f64::MIN_POSITIVE);
    let (alone, batched) = (
        (many.alone - nobody.alone) / holders,
        (many.batched - nobody.batched) / holders,
    );
    let shared = 1.0 - 1.0 / batch;
    let send = ((alone - batched) / shared).max(0.0);
    let wake = ((nobody.alone - nobody.batched) / shared).max(0.0);
    Parts {
        wake,
        command: (nobody.alone - wake).max(0.0),
        note: (alone - send).max(0.0),
        send,
    }
}
