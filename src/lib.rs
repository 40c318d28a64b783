//! vedetta: a Redis-Sentinel-aware cache sidecar.
//!
//! ```text
//!  floor 5   grpc ──────────────┐  admin  cli
//!              │ calls          │ status
//!  floor 4   cache ── Store ──▶ embedded | remote ─────────────────┐
//!              │                             │ session             │ hit, fill
//!  floor 3   failover ── installs ──▶ lane ◀─┘     invalidation ───┤ kill
//!              │ elected         │                       ▲         │
//!  floor 2   sentinel     upstream ──▶ dial ───── pushes ┘         │
//!  floor 1                                                        near
//!  floor 0   model · config · proto · clock · backoff · drain · telemetry
//! ```
//!
//! Rooms import downwards only; `tests/tidy.rs` holds the table. Decisions live in pure files, a `task.rs` performs
//! them. The library exists for the binary and its tests; it is not a stable interface.

// floor 0
pub mod backoff;
pub mod call;
pub mod clock;
pub mod config;
pub mod drain;
pub mod model;
pub mod proto;
pub mod telemetry;

// floor 1
pub mod near;

// floor 2
pub mod dial;
pub mod sentinel;
pub mod upstream;

// floor 3
pub mod failover;
pub mod invalidation;

// floor 4
pub mod cache;
pub mod events;
pub mod sessions;

// floor 5
pub mod admin;
pub mod cli;
pub mod grpc;

// the composition root
pub mod app;

// whole histories of the pure rooms, by seed
#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;
