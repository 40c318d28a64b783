//! The servers of `tests/it`, without its vedetta process and without its tests of the support itself.

#[path = "../it/support/node.rs"]
mod node;
#[path = "../it/support/ports.rs"]
mod ports;
#[path = "../it/support/process.rs"]
mod process;
#[path = "../it/support/proxy.rs"]
mod proxy;
#[path = "../it/support/redis.rs"]
mod redis;
#[path = "../it/support/resp.rs"]
mod resp;
#[path = "../it/support/sentinel_set.rs"]
mod sentinel_set;
#[path = "../it/support/switches.rs"]
mod switches;
#[path = "../it/support/tls.rs"]
mod tls;
#[path = "../it/support/wait.rs"]
pub(crate) mod wait;

pub(crate) use redis::{Redis, RedisOptions};
pub(crate) use sentinel_set::SentinelSet;

/// The name under which the Sentinels of a set monitor their master.
pub(crate) const MASTER: &str = "mymaster";
