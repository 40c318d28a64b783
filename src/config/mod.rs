//! The configuration: text in (TOML, environment, `REDIS_*` aliases, flags), a valid [`Config`] or every
//! mistake out.
//!
//! Invariants: a [`Config`] breaks no rule, so nobody downstream checks again; a load reports all mistakes at
//! once; no secret ever appears in a mistake, a notice or an effective line. The order of precedence is flag,
//! `VEDETTA_*`, `REDIS_*` alias, file, profile, default.
//!
//! Not here: reading the environment, files or secrets, which the caller does; the command line (`main`);
//! dialling what is configured (`dial`).

mod address;
mod alias;
mod caches;
mod credentials;
mod draft;
mod file;
mod mistake;
mod origin;
mod quota_rules;
mod quotas;
mod rules;
mod server;
mod setting;
mod sources;
mod store;
mod suggest;
mod types;
mod units;

#[cfg(test)]
mod tests;

pub use caches::{CachePolicy, CacheRule, CacheRules, Encoding};
pub use credentials::password_in;
pub use draft::{EffectiveLine, Loaded};
pub use mistake::{Mistake, Mistakes};
pub use quotas::{Applying, Bound, Quota, Quotas};
pub use setting::{Kind, Setting, settings};
pub use sources::Sources;
pub use types::{
    Admin, Api, ClientCertificate, Config, Credentials, EventsConfig, FenceConfig, FenceMode,
    Limits, Log, LogFormat, NearConfig, Profile, RedisConfig, SentinelConfig, SentinelPolicy,
    SessionsConfig, StoreConfig, Tls,
};

/// Reads every source and gives a valid configuration.
///
/// # Errors
/// Every mistake in any of the sources, not only the first one.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, Mistakes> {
    let mut draft = sources::gather(sources);
    let config = server::config(&mut draft, sources.read_secret);
    draft.finish(config)
}
