//! Stories told with the built `vedetta`, real Redis and real Sentinels; one file per story, one binary to link.
//!
//! Invariants: a server that a test needs and that is not installed fails the test, it is never skipped. No test
//! waits a fixed time for something to have happened; it waits for the thing, with a deadline (`support::wait`).
//!
//! Not here: what the API answers, which is data (`tests/behaviour`); style (`tests/tidy.rs`).

mod admin;
mod app_engine;
mod behaviour;
mod bulk;
mod clearing;
mod cli;
mod client;
mod confirm;
mod credentials;
mod deadlines;
mod discovery;
mod events;
mod failover;
mod faults;
mod floors;
mod groups;
mod history;
mod increments;
mod l0;
mod layout;
mod leases;
mod lifecycle;
mod lists;
mod near;
mod oracle;
mod outage;
mod outcomes;
mod partition;
mod pipeline;
mod python;
mod quotas;
mod resurrection;
mod sentinels;
mod sessions;
mod startup;
mod succession;
mod support;
mod switchover;
mod tls;
mod watch;
