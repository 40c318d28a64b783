//! Keys of what vedetta keeps for itself in Redis: `vedetta:<kind>:<part>:<part>...`.
//!
//! Invariants: parts are escaped, so that different parts never make the same key, whatever is in them.
//!
//! Not here: which kinds there are (`docs/storage.md`).

use std::fmt::Write;

use bytes::Bytes;

/// The key of that kind for these parts.
pub fn own_key(kind: &str, parts: &[&str]) -> Bytes {
    let mut key = format!("vedetta:{kind}");
    for part in parts {
        key.push(':');
        for c in part.chars() {
            if c == '%' || c == ':' {
                // Writing to a String does not fail.
                let _ = write!(key, "%{:02X}", c as u32);
            } else {
                key.push(c);
            }
        }
    }
    key.into()
}

/// Bytes as they are written in keys and in texts for people: two lower-case digits each.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_part_stays_in_it() {
        assert_eq!(
            own_key("k", &["p", "a:b", "100%"]),
            "vedetta:k:p:a%3Ab:100%25"
        );
        assert_ne!(own_key("k", &["a:b", "c"]), own_key("k", &["a", "b:c"]));
        assert_ne!(own_key("k", &["a%3Ab"]), own_key("k", &["a:b"]));
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(own_key("k", &["", ""]), "vedetta:k::");
    }
}
