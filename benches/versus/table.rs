//! The figures as text for a person.

use crate::measure::Figures;
use crate::plan::{MAIN, Table};
use crate::servers::Name;
use crate::tails::{PART, Quantiles, Tail};
use crate::verdict::Goal;

/// A server's line in a table: its figures, or why there are none.
pub(crate) type Line = (Name, Result<Figures, String>);

/// Prints a table to standard output.
pub(crate) fn print(table: &Table, lines: &[Line]) {
    println!("\n{}", table.title());
    println!(
        "  {:<28} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>5} {:>5} {:>7}",
        "server",
        "op/s",
        "p50 us",
        "p99 us",
        "p999 us",
        "server us",
        "client us",
        "srv%",
        "cli%",
        "RSS MiB"
    );
    for (name, outcome) in lines {
        match outcome {
            Ok(figures) => println!(
                "  {:<28} {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>9.2} {:>9.2} {:>5.0} {:>5.0} {:>7.1}",
                name.text(),
                figures.rate,
                figures.p50,
                figures.p99,
                figures.p999,
                figures.server,
                figures.client,
                100.0 * figures.server_busy,
                100.0 * figures.client_busy,
                figures.resident / 1024.0,
            ),
            Err(refused) => println!("  {:<28} refused: {refused}", name.text()),
        }
    }
}

/// Prints the tails.
pub(crate) fn print_tails(tails: &[Tail]) {
    println!("\nget, {MAIN} B, Unix socket, open loop at {PART} of the throughput");
    println!(
        "  {:<28} {:>9} {:>8} {:>8} {:>8}   with a clear of another cache: p50, p99, p999 us; clear ms",
        "server", "op/s", "p50 us", "p99 us", "p999 us"
    );
    for Tail {
        name,
        rate,
        calm,
        beside,
    } in tails
    {
        let beside = beside.as_ref().map_or_else(String::new, |(beside, took)| {
            let Quantiles { p50, p99, p999 } = beside;
            format!("{p50:.1} {p99:.1} {p999:.1}; {took:.1}")
        });
        println!(
            "  {:<28} {rate:>9.0} {:>8.1} {:>8.1} {:>8.1}   {beside}",
            name.text(),
            calm.p50,
            calm.p99,
            calm.p999
        );
    }
}

/// Prints the verdict.
pub(crate) fn print_verdict(goals: &[Goal]) {
    println!("\nverdict");
    for goal in goals {
        let (shown, because) = match &goal.ratio {
            Ok(ratio) => (format!("{ratio:.2}"), &goal.of),
            Err(why) => ("-".to_owned(), why),
        };
        println!(
            "  {:<12} {:<74} {shown:>6} ({}; {because})",
            goal.state(),
            goal.what,
            goal.bound_text()
        );
    }
}
