//! Races between reads and writes against real servers: after the last write of a round, no copy that a sidecar still
//! serves may differ from what the server says.
//!
//! Two sidecars live in this process, without gRPC, each with its own session; a foreign writer is a plain connection.
//! `program` is the race, over anything that can read and write (`side`); `control` runs it on the client-side cache
//! of redis-rs, which must lose it, so that the program is known to see the bug.
//!
//! Invariants: a server that is not installed fails the test; every random choice follows from a seed that is printed
//! and that `VEDETTA_SEED` sets. With `VEDETTA_LONG` set the races are as long as the issue asks for (build with
//! `--release`); without it, all of it takes about a minute and a half in a debug build.
//!
//! Not here: simulated time and mutants (`src`); the API (`tests/it`).

mod control;
mod failovers;
mod field;
mod flights;
mod foreign;
mod levels;
mod levels_down;
mod mix;
mod program;
mod scenarios;
mod side;
mod sidecar;
mod stampede;
#[expect(dead_code, reason = "the stories of tests/it use the rest of it")]
mod support;
mod tally;
mod trouble;
mod verdict;
