//! Text to the address of a Redis or a Sentinel, with what a URL says beside it.
//!
//! Invariants: no problem repeats a text that may hold a password.
//!
//! Not here: which of several addresses is used (`store`).

use super::mistake::quoted;
use crate::model::Endpoint;

/// The most Sentinels; every one of them is asked every poll interval.
const MOST_SENTINELS: usize = 16;
const SENTINEL_PORT: u16 = 26379;

/// What one address says.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RedisAddress {
    pub(super) endpoint: Endpoint,
    /// Whether it asks for TLS.
    pub(super) tls: bool,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

impl RedisAddress {
    /// The address without credentials, to be shown.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.tls { "rediss://" } else { "" };
        format!("{scheme}{}", self.endpoint)
    }
}

/// Reads `host`, `host:port`, or either as a `redis://` or `rediss://` URL with user and password.
pub(super) fn address(text: &str, default_port: u16) -> Result<RedisAddress, String> {
    let (tls, scheme, rest) = match text.split_once("://") {
        Some(("redis", rest)) => (false, true, rest),
        Some(("rediss", rest)) => (true, true, rest),
        Some(_) => return Err("has an unknown scheme; write redis:// or rediss://".to_owned()),
        None => (false, false, text),
    };
    // The last @ ends the credentials, since a password may hold one and a host may not.
    let (userinfo, rest) = match rest.rsplit_once('@') {
        Some((userinfo, rest)) => (Some(userinfo), rest),
        None => (None, rest),
    };
    if userinfo.is_some() && !scheme {
        return Err("has credentials but no scheme; write redis://user:password@host".to_owned());
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(path, "" | "0") {
        let remedy = "end the address after the port";
        return Err(format!(
            "asks for more than database 0, and vedetta uses one database; {remedy}"
        ));
    }
    let (username, password) = userinfo.map_or(Ok((None, None)), credentials)?;
    let endpoint = Endpoint::parse(host, Some(default_port)).map_err(|error| error.to_string())?;
    Ok(RedisAddress {
        endpoint,
        tls,
        username,
        password,
    })
}

/// Reads `user:password` or `:password`. One word alone is refused: clients disagree on which it is, and
/// taking a password for a user name would show it.
fn credentials(userinfo: &str) -> Result<(Option<String>, Option<String>), String> {
    let Some((username, password)) = userinfo.split_once(':') else {
        let remedy = "write redis://user:password@host, or redis://:password@host";
        return Err(format!(
            "has one word before the @, user or password; {remedy}"
        ));
    };
    Ok((percent_decoded(username)?, percent_decoded(password)?))
}

/// The text that a part of a URL stands for; `None` if it is empty.
fn percent_decoded(text: &str) -> Result<Option<String>, String> {
    let malformed = || "has a % without two hexadecimal digits; write %25 for it".to_owned();
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or_else(malformed)?;
        let legal = code.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = legal.then(|| u8::from_str_radix(code, 16).ok()).flatten();
        bytes.push(byte.ok_or_else(malformed)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| "has credentials that are not UTF-8; encode them as UTF-8".to_owned())?;
    Ok((!text.is_empty()).then_some(text))
}

/// The Sentinels of a list, or all that is wrong with it.
pub(super) fn sentinels(text: &str) -> Result<Vec<Endpoint>, Vec<String>> {
    // Asked of the whole text: a comma in a password would put half of it into an item without an @.
    if text.contains('@') {
        let remedy = "use sentinel.username and sentinel.password";
        return Err(vec![format!(
            "has credentials in a Sentinel's address; {remedy}"
        )]);
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut problems = Vec::new();
    let (mut plain, mut tls) = (false, false);
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        match address(item, SENTINEL_PORT) {
            Err(problem) => problems.push(format!("has {}, which {problem}", quoted(item))),
            Ok(mut one) => {
                plain |= !one.tls;
                tls |= one.tls;
                // Host names do not tell capitals from small letters.
                one.endpoint.host.make_ascii_lowercase();
                if endpoints.contains(&one.endpoint) {
                    problems.push(format!("names {} twice; remove one", one.endpoint));
                } else {
                    endpoints.push(one.endpoint);
                }
            }
        }
    }
    let count = endpoints.len();
    if count == 0 && problems.is_empty() {
        problems.push("names no Sentinel; write host:port with commas between".to_owned());
    }
    if count > MOST_SENTINELS {
        problems.push(format!(
            "names {count} Sentinels; write at most {MOST_SENTINELS}"
        ));
    }
    if plain && tls {
        let remedy = "write it before each or none";
        problems.push(format!("has rediss:// for some Sentinels only; {remedy}"));
    }
    if problems.is_empty() {
        Ok(endpoints)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (&'a str, bool, Option<&'a str>, Option<&'a str>);

    fn parsed(text: &str) -> Result<String, String> {
        address(text, 6379).map(|a| {
            let parts: Parts<'_> = (
                &a.endpoint.to_string(),
                a.tls,
                a.username.as_deref(),
                a.password.as_deref(),
            );
            format!("{parts:?}")
        })
    }

    #[test]
    fn reads_hosts_and_urls() {
        let table: [(&str, Parts<'_>); 9] = [
            ("redis", ("redis:6379", false, None, None)),
            ("redis:7000", ("redis:7000", false, None, None)),
            ("[::1]:7000", ("[::1]:7000", false, None, None)),
            ("redis://redis", ("redis:6379", false, None, None)),
            ("rediss://redis:1/0", ("redis:1", true, None, None)),
            ("redis://redis/", ("redis:6379", false, None, None)),
            (
                "redis://u:p@redis",
                ("redis:6379", false, Some("u"), Some("p")),
            ),
            (
                "redis://:p%40%2f%25@redis",
                ("redis:6379", false, None, Some("p@/%")),
            ),
            (
                "redis://u:a@b/c@redis:1/0",
                ("redis:1", false, Some("u"), Some("a@b/c")),
            ),
        ];
        for (text, parts) in table {
            assert_eq!(parsed(text), Ok(format!("{parts:?}")), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_mean_without_repeating_it() {
        for (text, remedy) in [
            ("http://:hunter2@redis", "write redis:// or rediss://"),
            ("u:hunter2@redis", "write redis://user:password@host"),
            ("redis://hunter2@redis", "or redis://:password@host"),
            ("redis://:hunter2@redis/1", "end the address after the port"),
            (
                "redis://:hunter2@redis/0?timeout=1s",
                "end the address after the port",
            ),
            ("redis://:hunter2@redis:0", "write host:port"),
            ("redis://:hunter2@", "write host:port"),
            ("redis://:hunter2%4@redis", "write %25 for it"),
            ("redis://:hunter2%+1@redis", "write %25 for it"),
            ("redis://:hunter2%é@redis", "write %25 for it"),
            ("redis://:hunter2%ff@redis", "encode them as UTF-8"),
        ] {
            let problem = parsed(text).unwrap_err();
            assert!(problem.ends_with(remedy), "{text}: {problem}");
            assert!(!problem.contains("hunter2"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_list_of_sentinels_is_one_to_sixteen_different_ones() {
        let endpoints = sentinels("a, redis://B:1 ,[::1],").expect("legal");
        let shown: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), "a:26379 b:1 [::1]:26379");
        assert!(sentinels("rediss://a,rediss://b").is_ok());
        let many = |count: u32| {
            (0..count)
                .map(|n| format!("s{n}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(sentinels(&many(16)).expect("legal").len(), 16);
        for (text, problem) in [
            (many(17).as_str(), "names 17 Sentinels; write at most 16"),
            ("a,A:26379", "names a:26379 twice; remove one"),
            (
                "a,b:0,a,rediss://c",
                "has \"b:0\", which needs a port between 1 and 65535; write host:port|\
                 names a:26379 twice; remove one|\
                 has rediss:// for some Sentinels only; write it before each or none",
            ),
            (
                " , ",
                "names no Sentinel; write host:port with commas between",
            ),
            (
                "a,rediss://b",
                "has rediss:// for some Sentinels only; write it before each or none",
            ),
            (
                "a,b:0",
                "has \"b:0\", which needs a port between 1 and 65535; write host:port",
            ),
            (
                "redis://:hun,ter2@a",
                "has credentials in a Sentinel's address; use sentinel.username and sentinel.password",
            ),
        ] {
            assert_eq!(
                sentinels(text).map_err(|p| p.join("|")),
                Err(problem.to_owned()),
                "{text}"
            );
        }
    }
}
