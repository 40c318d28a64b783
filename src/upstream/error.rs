//! What an error of Redis or of the link means: the one table from both to [`Cause`].
//!
//! Invariants: an error line of the server proves that the command was not applied, because our scripts write in
//! their last step only. A broken link or a missing answer proves nothing, so a write is in doubt.
//!
//! Not here: what to do about it (`session`, `failover`).

use redis::{ErrorKind, RedisError, Value};

use crate::model::{Applied, Cause, Fault};

use super::Effect;

/// The meaning of an error in answer to a batch with that effect.
pub(super) fn classify(error: &RedisError, effect: Effect) -> Fault {
    if let Some(cause) = error.code().and_then(from_code) {
        return Fault::not_applied(cause, describe(error));
    }
    match error.kind() {
        ErrorKind::RESP3NotSupported => Fault::not_applied(
            Cause::RedisRefused,
            "the node does not speak RESP3; Redis 6.2 or later is needed",
        ),
        ErrorKind::AuthenticationFailed => {
            Fault::not_applied(Cause::RedisAuthFailed, describe(error))
        }
        ErrorKind::Server(_) | ErrorKind::Extension => {
            Fault::not_applied(Cause::RedisRefused, describe(error))
        }
        _ => match effect {
            Effect::Read => Fault::not_applied(
                Cause::RedisUnreachable,
                format!("the link to Redis failed: {error}"),
            ),
            Effect::Write => Fault::unknown(
                Cause::OutcomeUnknown,
                format!("the link to Redis failed with the write in flight: {error}"),
            ),
        },
    }
}

/// A reply of a shape that no command of ours has. Of a write it proves nothing.
pub(super) fn unexpected(value: &Value, effect: Effect) -> Fault {
    let shape = match value {
        Value::Map(_) => "a map",
        Value::Double(_) => "a double",
        Value::Push { .. } => "a push",
        _ => "an unknown shape",
    };
    Fault {
        cause: Cause::RedisRefused,
        applied: match effect {
            Effect::Read => Applied::No,
            Effect::Write => Applied::Unknown,
        },
        detail: format!("Redis answered with {shape}"),
        wait: None,
    }
}

/// Whether the server said that it does not have the script, hence did not run it.
pub(super) fn is_missing_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

fn from_code(code: &str) -> Option<Cause> {
    Some(match code {
        "NOAUTH" | "WRONGPASS" => Cause::RedisAuthFailed,
        "NOPERM" => Cause::RedisPermissionDenied,
        "READONLY" => Cause::NotAMaster,
        "LOADING" | "MASTERDOWN" => Cause::RedisLoading,
        "BUSY" => Cause::RedisBusy,
        "NOREPLICAS" => Cause::TooFewReplicas,
        "OOM" => Cause::RedisOutOfMemory,
        _ => return None,
    })
}

/// The server's words.
fn describe(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => {
            format!("Redis says {code} {}", Fault::without_arguments(detail))
        }
        (Some(code), None) => format!("Redis says {code}"),
        (None, _) => format!("Redis says: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_error(line: &str) -> RedisError {
        let (code, detail) = line.split_once(' ').unwrap_or((line, ""));
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    #[test]
    fn codes_of_the_server_have_causes_and_prove_that_nothing_was_applied() {
        for (line, cause) in [
            ("READONLY You can't write", Cause::NotAMaster),
            ("NOAUTH Authentication required.", Cause::RedisAuthFailed),
            ("WRONGPASS invalid", Cause::RedisAuthFailed),
            ("LOADING Redis is loading", Cause::RedisLoading),
            ("MASTERDOWN Link", Cause::RedisLoading),
            ("OOM command not allowed", Cause::RedisOutOfMemory),
            ("NOREPLICAS Not enough", Cause::TooFewReplicas),
            ("NOPERM no", Cause::RedisPermissionDenied),
            ("BUSY script", Cause::RedisBusy),
            ("MISCONF disk", Cause::RedisRefused),
        ] {
            let fault = classify(&server_error(line), Effect::Write);
            assert_eq!((fault.cause, fault.applied), (cause, Applied::No), "{line}");
        }
    }

    #[test]
    fn arguments_that_the_server_repeats_are_not_repeated() {
        let line = "ERR unknown command 'UNLINK', with args beginning with: 'c::secret' ";
        let fault = classify(&server_error(line), Effect::Write);
        assert_eq!(fault.detail, "Redis says ERR unknown command 'UNLINK'");
    }

    #[test]
    fn a_broken_link_leaves_writes_in_doubt_but_not_reads() {
        let broken: RedisError = std::io::Error::from(std::io::ErrorKind::BrokenPipe).into();
        assert_eq!(classify(&broken, Effect::Write).applied, Applied::Unknown);
        let read = classify(&broken, Effect::Read);
        assert_eq!(
            (read.cause, read.applied),
            (Cause::RedisUnreachable, Applied::No)
        );
    }
}
