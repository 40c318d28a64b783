//! What a run was measured on, and how its report is written.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::meter::{self, Ticks};

/// What else was going on, and what was measured.
pub(crate) struct Surroundings {
    began: Ticks,
    load_before: Value,
    mode: &'static str,
    versions: Value,
}

impl Surroundings {
    /// To be made before anything is started.
    /// Of each server that is compared: its program, and how it tells its version.
    pub(crate) fn new(mode: &'static str, servers: &[(&str, &str)]) -> Self {
        let commit = ["describe", "--always", "--dirty", "--abbrev=12"];
        let mut versions = json!({
            "vedetta": env!("CARGO_PKG_VERSION"),
            "commit": first_line("git", &commit),
        });
        for (program, flag) in servers {
            versions[program.trim_end_matches("-server")] = json!(first_line(program, &[flag]));
        }
        Self {
            began: meter::ticks(),
            load_before: meter::load(),
            mode,
            versions,
        }
    }

    /// With what has happened until now.
    pub(crate) fn show(&self) -> Value {
        let (stolen, idle) = meter::ticks().since(self.began);
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        json!({
            "ended": now.to_string(),
            "mode": self.mode,
            "versions": self.versions,
            "machine": meter::machine(),
            "load_before": self.load_before,
            "load_after": meter::load(),
            "stolen_percent": round(stolen),
            "idle_percent": round(idle),
        })
    }
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// Writes a report.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_json(path: &Path, report: &Value) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, format!("{report:#}\n")).map_err(failed)
}

/// To three digits behind the point: more is noise.
pub(crate) fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
