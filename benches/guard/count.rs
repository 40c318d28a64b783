//! Counts instructions with callgrind, of this program.
//!
//! Invariants: a count is the difference of two runs that are alike but for the number of operations, so that neither the
//! start nor the filling is in it.

use std::process::Command;

use crate::paths::Operation;

/// How often a path is done in the shorter run, and in the longer one.
const TIMES: [u32; 2] = [5_000, 25_000];

/// The instructions of one operation.
///
/// # Errors
/// Valgrind is missing, or the path fails.
pub(crate) fn each(operation: Operation) -> Result<f64, String> {
    let [few, many] = TIMES;
    let more = all(operation, many)?.saturating_sub(all(operation, few)?);
    // To one digit behind the point; there are not so many that a float would not hold them.
    Ok((10.0 * more as f64 / f64::from(many - few)).round() / 10.0)
}

/// The instructions of a whole run. Its profile stays beside the program, for `callgrind_annotate`.
fn all(operation: Operation, times: u32) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let profile = program.with_file_name(format!("{}.callgrind", operation.text()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(["run", operation.text(), &times.to_string()])
        .output()
        .map_err(|error| {
            format!(
                "valgrind: {error}; install it with `apt-get install valgrind`, as tests/run does"
            )
        })?;
    let told = String::from_utf8_lossy(&output.stderr);
    let counted = told
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match counted {
        Some(counted) if output.status.success() => Ok(counted),
        _ => Err(format!(
            "{} under callgrind ({}):\n{told}",
            operation.text(),
            output.status
        )),
    }
}
