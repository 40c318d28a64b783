//! Compares what is counted for quotas with what is there: every entry of a cache is looked at.
//!
//! It shares no code with what is tested, only the layout of `docs/storage.md`.
//!
//! Invariants: exact, field by field and in sum; a record that is missing counts nothing.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Connection, Reply};

/// Entries and bytes by deadline, `i64::MAX` for never.
type Sums = BTreeMap<i64, (u64, u64)>;

/// A record as it is stored, without what has passed.
struct Record {
    width: i64,
    stamp: Vec<u8>,
    sums: Sums,
}

/// Compares the records of these caches of a tenant with their entries, and the record of the tenant with all of them.
///
/// # Errors
/// The first that differs, with both sides.
pub(crate) fn audit(
    redis: &mut Connection,
    tenant: &str,
    caches: &[&str],
) -> Result<(u64, u64), String> {
    let mut all: Vec<(i64, u64)> = Vec::new();
    for cache in caches {
        let record = record(redis, &format!("vedetta:usage::{tenant}:{cache}"))?;
        let entries = entries(redis, tenant, cache, &record.stamp)?;
        differs(&record, &entries, cache)?;
        all.extend(entries);
    }
    let of_tenant = record(redis, &format!("vedetta:usage-of-tenant::{tenant}"))?;
    differs(&of_tenant, &all, "all caches")?;
    Ok((all.len() as u64, all.iter().map(|(_, bytes)| bytes).sum()))
}

fn differs(record: &Record, entries: &[(i64, u64)], what: &str) -> Result<(), String> {
    let mut sums = Sums::new();
    for (ends, bytes) in entries {
        let field = match *ends {
            i64::MAX => i64::MAX,
            ends => (ends + record.width - 1) / record.width * record.width,
        };
        let sum = sums.entry(field).or_default();
        *sum = (sum.0 + 1, sum.1 + bytes);
    }
    if sums == record.sums {
        return Ok(());
    }
    let (width, counted) = (record.width, &record.sums);
    Err(format!(
        "{what}: counted {counted:?}\nthere are {sums:?}\nof width {width}"
    ))
}

/// When each live entry of ours ends, and its bytes.
fn entries(
    redis: &mut Connection,
    tenant: &str,
    cache: &str,
    stamp: &[u8],
) -> Result<Vec<(i64, u64)>, String> {
    let head = match tenant {
        "" => format!("{cache}::"),
        tenant => format!("{tenant}_{cache}::"),
    };
    let current = bytes(ask(
        redis,
        &[
            b"GET",
            format!("vedetta:stamp::{tenant}:{cache}").as_bytes(),
        ],
    )?);
    let mut found = Vec::new();
    let mut cursor = b"0".to_vec();
    let mut keys = std::collections::BTreeSet::new();
    loop {
        let pattern = format!("{head}*");
        let step = [
            b"SCAN",
            &cursor[..],
            b"MATCH",
            pattern.as_bytes(),
            b"COUNT",
            b"10000",
        ];
        let Reply::Many(parts) = ask(redis, &step)? else {
            return Err("SCAN answers with no list".to_owned());
        };
        cursor = bytes(parts[0].clone());
        if let Reply::Many(step) = &parts[1] {
            keys.extend(step.iter().cloned().map(bytes));
        }
        if cursor == b"0" {
            break;
        }
    }
    for key in keys {
        let header = bytes(ask(redis, &[b"GETRANGE", &key[..], b"0", b"40"])?);
        if header.len() < 41 || header[..4] != *b"\xF5vdt" || !current.starts_with(&header[24..40])
        {
            continue;
        }
        if header[24..40] != *stamp {
            return Err(format!(
                "{head}: entries under a stamp that the record does not have"
            ));
        }
        let length = number(&ask(redis, &[b"STRLEN", &key[..]])?)?;
        let ends = match number(&ask(redis, &[b"PEXPIRETIME", &key[..]])?)? {
            -1 => i64::MAX,
            ends => ends,
        };
        found.push((ends, key.len() as u64 + length.unsigned_abs()));
    }
    Ok(found)
}

fn record(redis: &mut Connection, key: &str) -> Result<Record, String> {
    let Reply::Many(parts) = ask(redis, &[&b"HGETALL"[..], key.as_bytes()])? else {
        return Err(format!("{key} is no hash"));
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let now = i64::try_from(now.as_millis()).expect("before the end of time");
    let mut record = Record {
        width: 1,
        stamp: Vec::new(),
        sums: Sums::new(),
    };
    let (mut told, mut total) = ((0, 0), (0, 0));
    for pair in parts.chunks(2) {
        let (name, value) = (pair[0].to_string(), bytes(pair[1].clone()));
        let text = String::from_utf8_lossy(&value).into_owned();
        match name.as_str() {
            "stamp" => record.stamp = value,
            "width" => record.width = text.parse().expect("a width"),
            "first" | "last" => {}
            "entries" => told.0 = text.parse().expect("entries"),
            "bytes" => told.1 = text.parse().expect("bytes"),
            deadline => {
                let (entries, bytes) = text.split_once(' ').expect("two numbers");
                let sum: (u64, u64) = (
                    entries.parse().expect("entries"),
                    bytes.parse().expect("bytes"),
                );
                total = (total.0 + sum.0, total.1 + sum.1);
                let field = deadline.parse().unwrap_or(i64::MAX);
                if field > now {
                    record.sums.insert(field, sum);
                }
            }
        }
    }
    if told != total {
        return Err(format!("{key} tells {told:?} and holds {total:?}"));
    }
    Ok(record)
}

fn ask(redis: &mut Connection, command: &[&[u8]]) -> Result<Reply, String> {
    match redis.call(command) {
        Ok(Reply::Error(text)) => Err(text),
        Ok(reply) => Ok(reply),
        Err(error) => Err(error.to_string()),
    }
}

fn bytes(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Bytes(bytes) => bytes,
        _ => Vec::new(),
    }
}

fn number(reply: &Reply) -> Result<i64, String> {
    match reply {
        Reply::Integer(number) => Ok(*number),
        other => Err(format!("no number: {other:?}")),
    }
}
