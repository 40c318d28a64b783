//! What a write costs Redis with many sidecars, as a ratio to what it costs with one.

use serde_json::{Value, json};

use crate::figures::{Figures, write};
use crate::keys::Holders;
use crate::surroundings::round;
use crate::writes::Writer;

/// Redis CPU per write, of the largest fleet to a single sidecar, at most.
const BOUND: f64 = 1.3;

/// One ratio.
pub(crate) struct Goal {
    writer: Writer,
    holders: Holders,
    /// Of the largest fleet and of one sidecar, in microseconds.
    many: f64,
    one: f64,
}

impl Goal {
    fn ratio(&self) -> f64 {
        self.many / self.one
    }

    fn state(&self) -> &'static str {
        if self.ratio() <= BOUND {
            "met"
        } else {
            "missed"
        }
    }

    fn what(&self) -> String {
        let (writer, holders) = (self.writer.text(), self.holders.text());
        format!("6. Redis CPU per {writer}, held by {holders}: largest fleet / one sidecar")
    }

    pub(crate) fn show(&self) -> Value {
        json!({
            "goal": self.what(),
            "bound": format!("<= {BOUND}"),
            "state": self.state(),
            "ratio": round(self.ratio()),
            "of": format!("{:.1} / {:.1} us", self.many, self.one),
        })
    }
}

/// Judges each kind of write, whoever holds the keys.
///
/// # Errors
/// A figure is missing.
pub(crate) fn judge(figures: &Figures, (one, many): (usize, usize)) -> Result<Vec<Goal>, String> {
    let mut goals = Vec::new();
    for writer in Writer::ALL {
        for holders in Holders::ALL {
            let cpu = |sidecars| figures.median(sidecars, &write(writer, holders, "cpu_us"));
            goals.push(Goal {
                writer,
                holders,
                many: cpu(many)?,
                one: cpu(one)?,
            });
        }
    }
    Ok(goals)
}

/// Prints them.
pub(crate) fn print(goals: &[Goal]) {
    println!("\nverdict");
    for goal in goals {
        let Goal { many, one, .. } = goal;
        println!(
            "  {:<7} {:<74} {:>6.2} (<= {BOUND}; {many:.1} / {one:.1} us)",
            goal.state(),
            goal.what(),
            goal.ratio(),
        );
    }
}
