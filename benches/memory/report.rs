//! The figures, for a person and as JSON.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cases::{CAPACITY, Churned, Held, Idle};
use crate::meter;
use crate::subject::Memory;
use crate::verdict::Goal;

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

pub(crate) fn print_idle(idle: &[Idle]) {
    println!(
        "\nidle\n  {:<24}{:>9}{:>15}",
        "store", "RSS MiB", "anonymous MiB"
    );
    for Idle { store, memory } in idle {
        let (resident, anonymous) = (mib(memory.resident), mib(memory.anonymous));
        println!("  {:<24}{resident:>9.1}{anonymous:>15.1}", store.text());
    }
}

pub(crate) fn print_held(held: &[Held]) {
    println!(
        "\nfilled\n  {:<24}{:>7}{:>10}{:>9}{:>12}{:>12}{:>13}{:>12}",
        "store", "B", "entries", "RSS MiB", "of payload", "B for each", "overhead B", "weighed B"
    );
    for one in held {
        println!(
            "  {:<24}{:>7}{:>10}{:>9.1}{:>12.2}{:>12.0}{:>13.0}{:>12.0}",
            one.store.text(),
            one.size,
            one.entries,
            mib(one.memory.resident),
            one.of_payload(),
            one.each,
            one.overhead(),
            one.weighed(),
        );
    }
}

pub(crate) fn print_churned(churned: &[Churned]) {
    println!(
        "\noverwritten with mixed sizes, capacity {CAPACITY} MiB\n  {:<24}{:>6}{:>9}{:>10}{:>9}{:>9}{:>9}",
        "store", "round", "entries", "weighed %", "RSS MiB", "most MiB", "taken %"
    );
    for one in churned {
        println!(
            "  {:<24}{:>6}{:>9}{:>10.1}{:>9.1}{:>9.1}{:>9.1}",
            one.store.text(),
            one.round,
            one.kept.entries,
            100.0 * one.weighed(),
            mib(one.memory.resident),
            mib(one.most),
            100.0 * one.taken(),
        );
    }
}

pub(crate) fn print_verdict(goals: &[Goal]) {
    println!("\nverdict");
    for goal in goals {
        let state = if goal.met { "met" } else { "MISSED" };
        let Goal {
            what,
            figure,
            bound,
            ..
        } = goal;
        println!("  {state:<8}{what:<56}{figure:>7.3} (bound {bound})");
    }
}

/// Writes the report.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(
    path: &Path,
    idle: &[Idle],
    held: &[Held],
    churned: &[Churned],
    goals: &[Goal],
) -> Result<(), String> {
    let report = json!({
        "run": surroundings(),
        "idle": idle.iter().map(show_idle).collect::<Vec<_>>(),
        "filled": held.iter().map(show_held).collect::<Vec<_>>(),
        "overwritten": churned.iter().map(show_churned).collect::<Vec<_>>(),
        "verdict": goals.iter().map(show_goal).collect::<Vec<_>>(),
    });
    std::fs::write(path, format!("{report:#}\n"))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn surroundings() -> Value {
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let commit = git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    json!({
        "ended": now.to_string(),
        "commit": commit.unwrap_or_else(|_| "unknown".to_owned()),
        "machine": meter::machine(),
        "load": meter::load(),
    })
}

fn show_memory(memory: &Memory) -> Value {
    json!({
        "resident_kib": memory.resident,
        "anonymous_kib": memory.anonymous,
        "peak_kib": memory.peak,
    })
}

fn show_idle(one: &Idle) -> Value {
    json!({"store": one.store.text(), "memory": show_memory(&one.memory)})
}

fn show_held(one: &Held) -> Value {
    json!({
        "store": one.store.text(),
        "value_bytes": one.size,
        "entries": one.entries,
        "memory": show_memory(&one.memory),
        "weight_bytes": one.kept.weight,
        "resident_of_payload": round(one.of_payload()),
        "bytes_for_each": round(one.each),
        "overhead_bytes": round(one.overhead()),
        "overhead_bytes_weighed": round(one.weighed()),
    })
}

fn show_churned(one: &Churned) -> Value {
    json!({
        "store": one.store.text(),
        "round": one.round,
        "capacity_mib": CAPACITY,
        "entries": one.kept.entries,
        "weight_bytes": one.kept.weight,
        "idle": show_memory(&one.idle),
        "memory": show_memory(&one.memory),
        "most_resident_kib": one.most,
        "taken_of_capacity": round(one.taken()),
    })
}

fn show_goal(goal: &Goal) -> Value {
    json!({
        "goal": goal.what,
        "bound": goal.bound,
        "figure": round(goal.figure),
        "met": goal.met,
    })
}

/// To three digits behind the point: more is noise.
fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
