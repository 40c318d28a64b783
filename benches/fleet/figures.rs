//! What was measured: by the number of sidecars and by name, with a value from each round.
//!
//! Invariants: a figure that was not measured is an error and never zero.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::keys::Holders;
use crate::surroundings::round;
use crate::writes::Writer;

/// More values than a round has are those of single operations: only their quantiles are written down.
const SHOWN: usize = 10;

/// The figures of a run.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<(usize, String), Vec<f64>>);

/// The name of a figure about writes.
pub(crate) fn write(writer: Writer, holders: Holders, what: &str) -> String {
    format!("write/{}/{}/{what}", writer.text(), holders.text())
}

/// The name of the delays after writes of that writer, in microseconds.
pub(crate) fn delay(writer: Writer) -> String {
    format!("delay/{}/us", writer.text())
}

impl Figures {
    /// Adds the value of a round, or of an operation.
    pub(crate) fn note(&mut self, sidecars: usize, name: impl Into<String>, value: f64) {
        self.0
            .entry((sidecars, name.into()))
            .or_default()
            .push(value);
    }

    /// The median of its values.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn median(&self, sidecars: usize, name: &str) -> Result<f64, String> {
        self.quantile(sidecars, name, 0.5)
    }

    /// A quantile of its values.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn quantile(
        &self,
        sidecars: usize,
        name: &str,
        quantile: f64,
    ) -> Result<f64, String> {
        let values = self.0.get(&(sidecars, name.to_owned()));
        let values = values.ok_or_else(|| format!("{name} of {sidecars} was not measured"))?;
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (quantile * (sorted.len() - 1) as f64).round() as usize;
        Ok(sorted[rank])
    }

    /// The medians of a report.
    ///
    /// # Errors
    /// It has none.
    pub(crate) fn read(report: &Value) -> Result<Self, String> {
        let mut figures = Self::default();
        for figure in report["figures"].as_array().into_iter().flatten() {
            let sidecars = figure["sidecars"]
                .as_u64()
                .and_then(|size| size.try_into().ok());
            let (name, median) = (figure["figure"].as_str(), figure["median"].as_f64());
            match (sidecars, name, median) {
                (Some(sidecars), Some(name), Some(median)) => figures.note(sidecars, name, median),
                _ => return Err(format!("not a figure: {figure}")),
            }
        }
        if figures.0.is_empty() {
            return Err("has no figures; measure first".to_owned());
        }
        Ok(figures)
    }

    /// All of them, for the report.
    pub(crate) fn show(&self) -> Value {
        let one = |((sidecars, name), values): (&(usize, String), &Vec<f64>)| {
            let quantile = |q| round(self.quantile(*sidecars, name, q).unwrap_or_default());
            let mut shown = json!({
                "sidecars": sidecars,
                "figure": name,
                "median": quantile(0.5),
            });
            if values.len() > SHOWN {
                shown["p99"] = json!(quantile(0.99));
                shown["of"] = json!(values.len());
            } else {
                let rounds: Vec<f64> = values.iter().copied().map(round).collect();
                shown["rounds"] = json!(rounds);
            }
            shown
        };
        self.0.iter().map(one).collect()
    }
}
