//! Runs cases one after the other on one connection.
//!
//! Invariants: a case that fails does not keep the others from running, nor a step those after it.
//!
//! Not here: reading the table (`table`), judging answers (`compare`, `error`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::call::Client;
use super::notation::{self, Scope};
use super::table::{Case, Outcome, Step};
use super::{compare, error};

const RETRY: Duration = Duration::from_millis(20);

/// What the server keeps entries in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Embedded,
    Redis,
    Sentinel,
}

impl Store {
    /// In `stores` of a case.
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
            Self::Sentinel => "sentinel",
        }
    }

    /// In `Status`.
    fn status(self) -> &'static str {
        match self {
            Self::Embedded => "STORE_EMBEDDED",
            Self::Redis => "STORE_REDIS",
            Self::Sentinel => "STORE_SENTINEL",
        }
    }
}

/// How the cases ended.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    /// Case and differences.
    pub(crate) failed: Vec<(String, Vec<String>)>,
}

impl Report {
    /// Prints every difference and the sum.
    pub(crate) fn print(&self, address: &str) {
        for (case, differences) in &self.failed {
            println!("FAILED {case}");
            for difference in differences {
                println!("    {difference}");
            }
        }
        println!(
            "{address}: {} passed, {} failed",
            self.passed,
            self.failed.len()
        );
    }
}

/// Every case that is for this store, once per encoding.
pub(crate) async fn all(client: &Client, cases: &[Case], store: Store) -> Report {
    let mut report = Report::default();
    let run = format!("{:08x}", rand::random::<u32>());
    for case in cases {
        if !case.stores.is_empty() && !case.stores.iter().any(|name| name == store.name()) {
            continue;
        }
        for encoding in &case.encodings {
            let mut scope = Scope {
                run: run.clone(),
                case: case.name.clone(),
                cache: format!("bt_{encoding}"),
                store: store.status(),
                captures: BTreeMap::new(),
            };
            let differences = one(client, case, &mut scope).await;
            if differences.is_empty() {
                report.passed += 1;
            } else {
                let name = format!("{} [{encoding}]", case.name);
                report.failed.push((name, differences));
            }
        }
    }
    report
}

async fn one(client: &Client, case: &Case, scope: &mut Scope) -> Vec<String> {
    let mut differences = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        let found = perform(client, step, scope).await;
        let place = format!("step {} {}", index + 1, step.call);
        differences.extend(found.iter().map(|text| format!("{place}: {text}")));
    }
    differences
}

async fn perform(client: &Client, step: &Step, scope: &mut Scope) -> Vec<String> {
    if let Some(period) = step.after {
        // The passing of time is what such a step is about.
        tokio::time::sleep(period).await;
    }
    let started = Instant::now();
    loop {
        let differences = attempt(client, step, scope).await;
        if differences.is_empty() || started.elapsed() >= step.eventually {
            return differences;
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn attempt(client: &Client, step: &Step, scope: &mut Scope) -> Vec<String> {
    let input = client.method(&step.call).input();
    let several = notation::several(&step.request);
    let written = several.as_deref();
    let written = written.unwrap_or_else(|| std::slice::from_ref(&step.request));
    let build = |written| notation::message(&input, written, scope);
    let mut messages = match written.iter().map(build).collect::<Result<Vec<_>, _>>() {
        Ok(messages) => messages,
        Err(missing) => return vec![missing],
    };
    let answers = match several {
        Some(_) => client.converse(&step.call, messages).await,
        None => {
            let answer = client.call(&step.call, messages.pop()).await;
            answer.map(|answer| vec![answer])
        }
    };
    match (answers, &step.outcome) {
        (Ok(answers), Outcome::Answer(written)) => match answers.last() {
            Some(last) => compare::message(last, written, scope, ""),
            None => vec!["the stream ended without an answer".to_owned()],
        },
        (Ok(answers), Outcome::Answers(written)) => compare::messages(answers, written, scope),
        (Err(status), Outcome::Error(written)) => error::compare(&status, written),
        (Ok(_), Outcome::Error(written)) => {
            vec![format!("answered OK, expected {}", written["code"])]
        }
        (Err(status), Outcome::Answer(_) | Outcome::Answers(_)) => {
            vec![format!(
                "failed with {:?}: {:?}",
                status.code(),
                status.message()
            )]
        }
    }
}
