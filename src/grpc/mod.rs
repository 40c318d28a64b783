//! The gRPC API: requests in, checked once, calls out; answers and faults converted.
//!
//! `check` refuses what is malformed, `convert` and `status` translate, the service files are thin, `server` listens.
//!
//! Invariants: the API is reachable on the Unix socket and on loopback only; what this build does not do is refused
//! with UNIMPLEMENTED and never ignored.
//!
//! Not here: what a call means (`cache`, `events`).

mod admission;
mod bulk;
mod cache;
mod cache_leases;
mod cache_lists;
mod cache_reads;
mod capability;
mod check;
mod check_events;
mod check_groups;
mod check_leases;
mod check_puts;
mod check_sessions;
mod check_writes;
mod coalesce;
mod connection;
mod convert;
mod deadline;
mod events;
mod greeting;
mod groups;
mod inline;
mod limit;
mod metrics;
mod names;
mod pipeline;
mod pipeline_call;
mod pipeline_seats;
mod request;
mod server;
mod sessions;
mod show_failover;
mod socket;
mod status;
mod status_service;
mod stream;
mod watch;
mod whole;
mod workers;

pub use cache::CacheService;
pub use connection::{Hot, Served};
pub use events::EventsService;
pub use limit::Inflight;
pub use metrics::Metrics;
pub use server::{Draining, Health, Listeners, Services, serve, serve_all};
pub use sessions::SessionsService;
pub use socket::{BindError, Socket};
pub use status_service::{ShowNear, Sources as StatusSources, StatusService, near as show_near};
pub use watch::{Admit, WatchService};
pub use workers::Workers;
