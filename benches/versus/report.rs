//! The whole run as JSON: every figure, the verdict, and what it was measured on.

use std::path::Path;

use serde_json::{Value, json};

use crate::measure::Figures;
use crate::plan::Table;
use crate::servers::{Name, Transport};
use crate::surroundings::{Surroundings, round, write_json};
use crate::table::Line;
use crate::tails::{Quantiles, Tail};
use crate::verdict::{Goal, Results};

/// Writes the report.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(
    path: &Path,
    surroundings: &Surroundings,
    idle: &[(Name, u64)],
    results: &Results,
    goals: &[Goal],
) -> Result<(), String> {
    let report = json!({
        "run": surroundings.show(),
        "idle_rss_kib": idle.iter().map(|(name, kib)| json!({"server": name.text(), "kib": kib})).collect::<Vec<_>>(),
        "tables": results.tables.iter().map(|(table, lines)| show(table, lines)).collect::<Vec<_>>(),
        "tails": results.tails.iter().flatten().map(show_tail).collect::<Vec<_>>(),
        "verdict": goals.iter().map(show_goal).collect::<Vec<_>>(),
    });
    write_json(path, &report)
}

fn show(table: &Table, lines: &[Line]) -> Value {
    let line = |(name, outcome): &Line| match outcome {
        Ok(figures) => show_figures(*name, figures),
        Err(refused) => json!({"server": name.text(), "refused": refused}),
    };
    json!({
        "title": table.title(),
        "operation": table.operation.name(),
        "transport": match table.transport { Transport::Unix => "unix", Transport::Tcp => "tcp" },
        "value_bytes": table.size,
        "connections": table.shape.connections,
        "depth": table.shape.depth,
        "servers": lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn show_figures(name: Name, figures: &Figures) -> Value {
    let part = |(name, micros): &(&str, f64)| json!({"process": name, "us": round(*micros)});
    json!({
        "server": name.text(),
        "ops_per_second": figures.rate.round(),
        "p50_us": round(figures.p50),
        "p99_us": round(figures.p99),
        "p999_us": round(figures.p999),
        "server_cpu_us": round(figures.server),
        "server_cpu_parts": figures.parts.iter().map(part).collect::<Vec<_>>(),
        "client_cpu_us": round(figures.client),
        "server_busy": round(figures.server_busy),
        "client_busy": round(figures.client_busy),
        "rss_kib": figures.resident,
        "strays": figures.strays,
    })
}

fn show_tail(tail: &Tail) -> Value {
    let quantiles = |of: &Quantiles| json!({"p50_us": round(of.p50), "p99_us": round(of.p99), "p999_us": round(of.p999)});
    json!({
        "server": tail.name.text(),
        "requests_per_second": tail.rate.round(),
        "calm": quantiles(&tail.calm),
        "with_clear": tail.beside.as_ref().map(|(beside, _)| quantiles(beside)),
        "clear_ms": tail.beside.as_ref().map(|(_, took)| round(*took)),
    })
}

fn show_goal(goal: &Goal) -> Value {
    json!({
        "goal": goal.what,
        "bound": goal.bound_text(),
        "state": goal.state(),
        "ratio": goal.ratio.as_ref().ok().map(|ratio| round(*ratio)),
        "of": goal.ratio.as_ref().map_or_else(Clone::clone, |_| goal.of.clone()),
    })
}
