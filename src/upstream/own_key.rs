//! The names of what vedetta keeps for itself in Redis: `vedetta:<kind>:<part>:<part>...`.
//!
//! Invariants: two lists of parts never have the same name, because each part is escaped.
//!
//! Not here: what is in these keys (`cache`, `events`), and the keys of entries, which are Entando's (`cache::layout`).

use std::fmt::Write;

use bytes::Bytes;

/// Under which nothing but vedetta's own is.
const OWN: &str = "vedetta";

/// The key of that kind for these parts.
pub fn own_key(kind: &str, parts: &[&str]) -> Bytes {
    let mut key = format!("{OWN}:{kind}");
    for part in parts {
        key.push(':');
        key.push_str(&escape(part));
    }
    key.into()
}

/// With `%` and `:` written as `%25` and `%3A`.
fn escape(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for c in part.chars() {
        if c == '%' || c == ':' {
            // Writing to a String does not fail.
            let _ = write!(escaped, "%{:02X}", c as u32);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_eq!(own_key("stamp", &["", "t", "c"]), "vedetta:stamp::t:c");
        assert_eq!(own_key("stamp", &["a:b", "%"]), "vedetta:stamp:a%3Ab:%25");
        assert_ne!(own_key("k", &["a:b", ""]), own_key("k", &["a", "b", ""]));
        assert_ne!(own_key("k", &["a%3Ab"]), own_key("k", &["a:b"]));
    }
}
