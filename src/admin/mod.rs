//! Metrics, probes and the effective configuration over HTTP, for Prometheus, the kubelet and people.
//!
//! `probe` decides, `server` answers on a thread of its own, so that probes are answered while the data plane is
//! busy.
//!
//! Invariants: no probe depends on Redis. A pod whose cache is down must keep rendering.
//!
//! Not here: gRPC health, which does tell whether there is a master (`grpc`).

mod probe;
mod server;

pub use probe::{Probes, Pulse};
pub use server::{BindError, Listener, bind, start};
