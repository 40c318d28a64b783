//! What stories are told with: processes of Redis, Sentinel and vedetta, each in a directory of its own, on free
//! loopback ports, stopped by handle when the test ends, however it ends.
//!
//! Invariants: nothing here knows what a story expects; only processes started here are ever stopped. All calls
//! block, so an asynchronous test needs the multi-threaded runtime.
//!
//! Not here: gRPC clients (`behaviour::call`).

mod http;
mod node;
mod ports;
mod process;
mod proxy;
mod proxy_tests;
mod redis;
mod resp;
pub(crate) mod seed;
mod self_tests;
mod sentinel_set;
mod switches;
mod tls;
mod vedetta;
pub(crate) mod wait;

pub(crate) use http::get as http_get;
pub(crate) use node::Node;
pub(crate) use ports::free_address;
pub(crate) use proxy::Proxy;
pub(crate) use redis::{Redis, RedisOptions};
pub(crate) use resp::{Connection, Reply};
pub(crate) use sentinel_set::{MASTER, SentinelOptions, SentinelSet};
pub(crate) use tls::{Authority, Pair, TlsServer};
pub(crate) use vedetta::{Vedetta, binary};
