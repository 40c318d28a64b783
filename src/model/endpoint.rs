//! A host and a port, as configured or as a Sentinel names it.
//!
//! Not here: resolution. A host stays text until it is dialled, and is resolved anew each time.

use std::fmt;
use std::str::FromStr;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The TCP port; never 0.
    pub port: u16,
}

/// Why an endpoint was refused. `Display` ends with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is nothing before the port.
    #[error("has no host; write host:port")]
    NoHost,
    /// Holds white space, a slash or an at sign.
    #[error("has an illegal character in its host; write host:port")]
    BadHost,
    /// The port is missing, zero or not a number.
    #[error("needs a port between 1 and 65535; write host:port")]
    BadPort,
}

impl Endpoint {
    /// Reads `host:port`, `[v6]:port`, or a host alone if there is a default port.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, EndpointError> {
        let (host, port) = split(text)?;
        if host.is_empty() {
            return Err(EndpointError::NoHost);
        }
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@,".contains(c)) {
            return Err(EndpointError::BadHost);
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| EndpointError::BadPort)?,
            None => default_port.ok_or(EndpointError::BadPort)?,
        };
        if port == 0 {
            return Err(EndpointError::BadPort);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

fn split(text: &str) -> Result<(&str, Option<&str>), EndpointError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(EndpointError::BadHost)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(EndpointError::BadPort),
        };
    }
    match text.matches(':').count() {
        0 => Ok((text, None)),
        1 => Ok(text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)))),
        // A bare IPv6 address: its colons do not introduce a port.
        _ => Ok((text, None)),
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which node is master, and since which configuration of the Sentinels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Sentinel's config epoch, which every failover raises; 0 without Sentinels.
    pub epoch: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_addresses_and_brackets() {
        for (text, host, port) in [
            ("redis:6379", "redis", 6379),
            ("10.0.0.1:26379", "10.0.0.1", 26379),
            ("[::1]:6379", "::1", 6379),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port));
            assert_eq!(endpoint.to_string(), text);
        }
        let bare = Endpoint::parse("redis", Some(6379)).expect("default port");
        assert_eq!(bare.port, 6379);
    }

    #[test]
    fn refuses_what_cannot_be_dialled() {
        for (text, error) in [
            (":6379", EndpointError::NoHost),
            ("redis", EndpointError::BadPort),
            ("redis:0", EndpointError::BadPort),
            ("redis:70000", EndpointError::BadPort),
            ("user@redis:1", EndpointError::BadHost),
            ("a b:1", EndpointError::BadHost),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
