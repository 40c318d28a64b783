//! Compares an error with what the table expects and with what `common.proto` says of every error.
//!
//! Invariants: the rules of `common.proto` hold whether or not a step names them.
//!
//! Not here: answers (`compare`).

use serde_json::Value as Json;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt};

use super::table::members;

const DOMAIN: &str = "vedetta.dev";
const KNOWN: [&str; 6] = ["code", "reason", "field", "fields", "applied", "fault"];

/// What in the error is not as written: one text for each difference.
pub(crate) fn compare(status: &Status, written: &Json) -> Vec<String> {
    let written = members(written, &KNOWN);
    let wanted = |name: &str| written.get(name).and_then(Json::as_str);
    let mut differences = Differences(status, Vec::new());
    let code = code_name(status.code());
    differences.check("code", Some(code), Some(wanted("code").expect("a code")));
    differences.demand(!status.message().is_empty(), "message: is empty");
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        differences.demand(false, "details: no ErrorInfo");
        return differences.1;
    };
    info_of_every_error(info, code, &mut differences);
    if let Some(reason) = wanted("reason") {
        differences.check("reason", Some(&info.reason), Some(reason));
    }
    // Such an error comes before anything is done, and the caller can prevent it.
    let refused = matches!(status.code(), Code::InvalidArgument | Code::Unimplemented);
    for (name, always) in [("applied", "NO"), ("fault", "CALLER")] {
        let got = info.metadata.get(name).map(String::as_str);
        if let Some(one) = wanted(name).or_else(|| refused.then_some(always)) {
            differences.check(name, got, Some(one));
        }
    }
    differences.demand(
        status.code() != Code::Unavailable || details.retry_info().is_some(),
        "details: UNAVAILABLE without RetryInfo",
    );
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice());
    let violations = violations.unwrap_or_default();
    differences.demand(
        status.code() != Code::InvalidArgument || !violations.is_empty(),
        "details: INVALID_ARGUMENT without BadRequest",
    );
    let mut named: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    named.sort_unstable();
    if let Some(fields) = fields(written) {
        differences.demand(
            named == fields,
            &format!("fields: {named:?}, expected {fields:?}"),
        );
    }
    for violation in violations {
        differences.demand(
            !violation.description.is_empty(),
            &format!("{}: has no description", violation.field),
        );
    }
    differences.1
}

fn info_of_every_error(info: &ErrorInfo, code: &str, differences: &mut Differences<'_>) {
    differences.check("domain", Some(&info.domain), Some(DOMAIN));
    differences.check(
        "code of that reason",
        Some(code_of(&info.reason)),
        Some(code),
    );
    for (name, allowed) in [
        ("applied", ["NO", "UNKNOWN", "YES"].as_slice()),
        (
            "fault",
            ["CALLER", "VEDETTA", "REDIS", "SENTINEL"].as_slice(),
        ),
    ] {
        let got = info.metadata.get(name).map(String::as_str);
        let legal = got.is_some_and(|got| allowed.contains(&got));
        differences.demand(legal, &format!("{name}: is {got:?}"));
    }
}

/// The code that `common.proto` gives to a reason.
fn code_of(reason: &str) -> &'static str {
    match reason {
        "INVALID_REQUEST" => "INVALID_ARGUMENT",
        "CAPABILITY_MISSING" => "UNIMPLEMENTED",
        "STORE_FULL"
        | "REDIS_OUT_OF_MEMORY"
        | "OVERLOADED"
        | "LIST_TOO_LARGE"
        | "SESSION_TOO_LARGE"
        | "QUOTA" => "RESOURCE_EXHAUSTED",
        "LINEAGE_CHANGED" | "NOT_A_NUMBER" | "NOT_A_LIST" | "FLOOR_REQUIRED"
        | "SESSIONS_INACTIVE" | "TOO_MANY_GROUPS" => "FAILED_PRECONDITION",
        "APPLIED_UNREPLICATED" => "ABORTED",
        "DEADLINE" => "DEADLINE_EXCEEDED",
        "OUTCOME_UNKNOWN" => "UNKNOWN",
        "INTERNAL" => "INTERNAL",
        _ => "UNAVAILABLE",
    }
}

/// The fields that `BadRequest` must name, sorted.
fn fields(written: &serde_json::Map<String, Json>) -> Option<Vec<&str>> {
    let mut fields: Vec<&str> = match (written.get("field"), written.get("fields")) {
        (Some(one), None) => one.as_str().into_iter().collect(),
        (None, Some(several)) => several
            .as_array()?
            .iter()
            .filter_map(Json::as_str)
            .collect(),
        (None, None) => return None,
        _ => panic!("the table is wrong: either field or fields"),
    };
    fields.sort_unstable();
    Some(fields)
}

/// The name of a code in the documents of gRPC, which `Debug` of tonic spells differently.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What was found so far, and the error it was found in.
struct Differences<'a>(&'a Status, Vec<String>);

impl Differences<'_> {
    fn check(&mut self, what: &str, got: Option<&str>, wanted: Option<&str>) {
        self.demand(
            got == wanted,
            &format!("{what}: is {got:?}, expected {wanted:?}"),
        );
    }

    fn demand(&mut self, holds: bool, difference: &str) {
        if !holds {
            let (code, message) = (self.0.code(), self.0.message());
            self.1.push(format!("{difference} ({code:?}: {message:?})"));
        }
    }
}
