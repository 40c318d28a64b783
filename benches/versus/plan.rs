//! What is measured, in tables: each compares servers under one load.
//!
//! Invariants: `--quick` ends within three minutes and `--full` within twenty; [`Plan::estimate`] says how long it
//! takes before it begins.

use std::time::Duration;

use crate::load::Slice;
use crate::requests::{Operation, SIZES};
use crate::servers::{Name, Transport};
use crate::tails;

/// So many requests on each of so many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) depth: usize,
}

const ONE: Shape = shape(1, 1);
const SIXTEEN: Shape = shape(1, 16);
/// Four channels, as a client opens that wants more than one.
pub(crate) const MANY: Shape = shape(4, 16);
/// Batches: each holds 64 keys.
pub(crate) const BATCHES: Shape = shape(1, 8);
/// One stream, deep.
pub(crate) const DEEP: Shape = shape(1, 512);

const fn shape(connections: usize, depth: usize) -> Shape {
    Shape { connections, depth }
}

/// The values that the main tables and the verdict are about.
pub(crate) const MAIN: usize = 1024;

/// Servers under one load.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) operation: Operation,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    pub(crate) shape: Shape,
    pub(crate) servers: Vec<Name>,
}

impl Table {
    pub(crate) fn title(&self) -> String {
        let transport = match self.transport {
            Transport::Unix => "Unix socket",
            Transport::Tcp => "TCP",
        };
        let Shape { connections, depth } = self.shape;
        format!(
            "{}, {} B, {transport}, {connections} x {depth} in flight",
            self.operation.name(),
            self.size
        )
    }
}

/// A whole run.
pub(crate) struct Plan {
    pub(crate) tables: Vec<Table>,
    pub(crate) rounds: usize,
    pub(crate) slice: Slice,
    /// Of the open loops at a part of the throughput.
    pub(crate) paced: Slice,
}

const QUICK: Slice = Slice {
    warm: Duration::from_millis(100),
    measured: Duration::from_millis(400),
};
const FULL: Slice = Slice {
    warm: Duration::from_millis(100),
    measured: Duration::from_millis(750),
};

/// About how long it takes to connect, and to fill a cache that is to be cleared.
const BETWEEN: Duration = Duration::from_millis(20);
const REFILL: Duration = Duration::from_secs(1);

impl Plan {
    /// The tables that the verdict needs, and a few beside them.
    pub(crate) fn quick() -> Self {
        let mut tables = vec![
            reads(Operation::Get, Transport::Unix, MAIN, MANY),
            reads(Operation::Get, Transport::Tcp, MAIN, MANY),
            reads(Operation::Get, Transport::Unix, MAIN, ONE),
            reads(Operation::GetMany, Transport::Unix, MAIN, BATCHES),
        ];
        for shape in [MANY, DEEP] {
            tables.push(reads(Operation::Pipeline, Transport::Unix, MAIN, shape));
        }
        tables.push(writes(Transport::Unix, MAIN, MANY));
        for size in [SIZES[0], SIZES[2]] {
            tables.push(reads(Operation::Get, Transport::Unix, size, MANY));
        }
        Self {
            tables,
            rounds: 3,
            slice: QUICK,
            paced: Slice {
                warm: Duration::from_millis(300),
                measured: Duration::from_secs(1),
            },
        }
    }

    /// Every size, transport and number in flight.
    pub(crate) fn full() -> Self {
        let mut tables = Vec::new();
        for transport in [Transport::Unix, Transport::Tcp] {
            for size in SIZES {
                for shape in [MANY, SIXTEEN, ONE] {
                    tables.push(reads(Operation::Get, transport, size, shape));
                }
                tables.push(reads(Operation::GetMany, transport, size, BATCHES));
                for shape in [MANY, DEEP] {
                    tables.push(reads(Operation::Pipeline, transport, size, shape));
                }
                tables.push(writes(transport, size, MANY));
            }
        }
        Self {
            tables,
            rounds: 5,
            slice: FULL,
            paced: Slice {
                warm: Duration::from_millis(500),
                measured: Duration::from_secs(3),
            },
        }
    }

    /// About how long the measurements take, without the start of the servers.
    pub(crate) fn estimate(&self) -> Duration {
        let cells: usize = self.tables.iter().map(|table| table.servers.len()).sum();
        let times = |number: usize| u32::try_from(number * self.rounds).unwrap_or(u32::MAX);
        let slice = self.slice.warm + self.slice.measured + BETWEEN;
        let paced = self.paced.warm + 2 * self.paced.measured + REFILL;
        slice * times(cells) + paced * times(tails::SERVERS.len())
    }
}

fn reads(operation: Operation, transport: Transport, size: usize, shape: Shape) -> Table {
    let servers = match operation {
        Operation::Get => Name::ALL.into(),
        _ => vec![
            Name::VedettaEmbedded,
            Name::VedettaNear,
            Name::VedettaMiss,
            Name::Redis,
        ],
    };
    Table {
        operation,
        transport,
        size,
        shape,
        servers,
    }
}

fn writes(transport: Transport, size: usize, shape: Shape) -> Table {
    Table {
        operation: Operation::Put,
        transport,
        size,
        shape,
        servers: vec![Name::VedettaEmbedded, Name::VedettaNear, Name::Redis],
    }
}
