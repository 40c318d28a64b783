//! How a session introduces itself, and why it may be refused.
//!
//! Not here: what it asks once it is let in (`greeting`).

use std::time::Duration;

use redis::{ProtocolVersion, RedisConnectionInfo};
use secrecy::ExposeSecret;

use crate::config::Credentials;
use crate::dial::{Access, dial, refusal};
use crate::model::{Cause, Endpoint, Fault};

use super::batch::Effect;
use super::error::classify;

pub(super) fn credentials(credentials: &Credentials) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("vedetta", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &credentials.username {
        info = info.set_username(username);
    }
    if let Some(password) = &credentials.password {
        info = info.set_password(password.expose_secret());
    }
    info
}

pub(super) fn handshake_fault(endpoint: &Endpoint, error: &redis::RedisError) -> Fault {
    let mut fault = classify(error, Effect::Read);
    // HELLO without a password on a server that wants one is an error of another kind in some versions.
    if fault.cause == Cause::RedisRefused && error.to_string().contains("NOAUTH") {
        fault.cause = Cause::RedisAuthFailed;
    }
    fault.detail = format!("{endpoint}: {}", fault.detail);
    fault
}

/// A link that broke before the first answer may have been refused for its certificate.
pub(super) async fn diagnose(
    fault: Fault,
    endpoint: &Endpoint,
    access: &Access,
    timeout: Duration,
) -> Fault {
    if fault.cause != Cause::RedisUnreachable || access.tls.is_none() {
        return fault;
    }
    match dial(endpoint, access.tls.as_ref(), timeout).await {
        Ok(stream) => refusal(endpoint, stream).await.unwrap_or(fault),
        Err(_) => fault,
    }
}
