//! `vedetta load` and `vedetta dump`: a whole cache, from and to lines of JSON.
//!
//! A file is read twice: once to find every mistake before anything is sent, and to know how much there is.
//!
//! Invariants: neither holds more than a line, or a step of a scan, in memory.
//!
//! Not here: the format (`jsonl`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::time::SystemTime;

use futures_util::stream;
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use crate::proto::v1;
use crate::proto::v1::bulk_load_request::{Begin, End, Message, Mode};
use crate::proto::v1::bulk_load_response::{Event, Loaded};
use crate::proto::v1::cache_client::CacheClient;

use super::arguments::{Arguments, Load, Output};
use super::client::LARGEST_MESSAGE;
use super::exit::{Exit, print, tell};
use super::jsonl;
use super::show;

/// Between two times that the terminal is told, in entries.
const TOLD_EVERY: u64 = 500;

/// Why a load or a dump failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("{0}: line {1} {2}")]
    Line(String, u64, String),
    #[error(transparent)]
    Call(#[from] Status),
}

/// Prints every entry of a cache.
pub(super) async fn dump(
    arguments: &Arguments,
    channel: Channel,
    cache: &str,
) -> Result<Exit, Problem> {
    let request = v1::ScanRequest {
        cache: cache.to_owned(),
        tenant: arguments.tenant.clone(),
    };
    let mut steps = client(channel).scan(request).await?.into_inner();
    while let Some(step) = steps.message().await? {
        let now = SystemTime::now();
        let lines: Vec<String> = step
            .entries
            .iter()
            .map(|entry| jsonl::line(entry, now) + "\n")
            .collect();
        let exit = print(lines.concat().as_bytes(), Exit::Done);
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    Ok(Exit::Done)
}

/// Loads a file into a cache.
pub(super) async fn load(
    arguments: &Arguments,
    channel: Channel,
    load: &Load,
) -> Result<Exit, Problem> {
    let mut total = 0;
    for entry in entries(&load.file)? {
        entry?;
        total += 1;
    }
    let begin = Message::Begin(Begin {
        cache: load.cache.clone(),
        tenant: arguments.tenant.clone(),
        mode: if load.replace {
            Mode::Replace
        } else {
            Mode::IfOlder
        }
        .into(),
        snapshot_version: load.snapshot,
        again: load.again,
    });
    let mut sent = 0;
    let shown = io::stderr().is_terminal();
    // A file that has got a mistake in the meantime ends the stream without `end`, which vedetta does not complete.
    let items = entries(&load.file)?
        .map_while(Result::ok)
        .inspect(move |_| {
            sent += 1;
            if shown && (sent % TOLD_EVERY == 0 || sent == total) {
                // Where nobody reads, nothing is said.
                let _ = write!(io::stderr(), "\r{sent} of {total} entries sent");
            }
        });
    let messages = std::iter::once(begin)
        .chain(items.map(Message::Entry))
        .chain([Message::End(End { entries: total })])
        .map(|message| v1::BulkLoadRequest {
            message: Some(message),
        });
    let answers = client(channel).bulk_load(stream::iter(messages)).await;
    let answer = match answers {
        Ok(answers) => last(answers.into_inner()).await,
        Err(status) => Err(status),
    };
    if shown && total > 0 {
        tell("");
    }
    Ok(report(arguments, answer?))
}

async fn last(
    mut answers: tonic::Streaming<v1::BulkLoadResponse>,
) -> Result<Option<Event>, Status> {
    let mut last = None;
    while let Some(answer) = answers.message().await? {
        last = answer.event;
    }
    Ok(last)
}

fn report(arguments: &Arguments, event: Option<Event>) -> Exit {
    let json = arguments.output == Output::Json;
    match event {
        Some(Event::Loaded(loaded)) if json => {
            print(show::json(&object(&loaded)).as_bytes(), Exit::Done)
        }
        Some(Event::Loaded(loaded)) => {
            let Loaded {
                stored,
                skipped,
                removed,
                ..
            } = loaded;
            tell(&format!(
                "{stored} stored, {skipped} passed over, {removed} removed"
            ));
            Exit::Done
        }
        Some(Event::AlreadyLoaded(already)) if json => {
            let object = json!({ "loaded": false, "snapshot_version": already.snapshot_version });
            print(show::json(&object).as_bytes(), Exit::Miss)
        }
        Some(Event::AlreadyLoaded(already)) => {
            tell(&format!(
                "not loaded: snapshot {} is there already",
                already.snapshot_version
            ));
            Exit::Miss
        }
        Some(Event::Begun(_)) | None => {
            tell("vedetta: the load ended without an answer; load again");
            Exit::Unavailable
        }
    }
}

fn object(loaded: &Loaded) -> serde_json::Value {
    let keys = loaded.removed_keys.iter();
    json!({
        "loaded": true,
        "stored": loaded.stored,
        "skipped": loaded.skipped,
        "removed": loaded.removed,
        "removed_keys": keys.map(|key| show::key(key)).collect::<Vec<_>>(),
    })
}

fn client(channel: Channel) -> CacheClient<Channel> {
    CacheClient::new(channel)
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE)
}

type Entries = Box<dyn Iterator<Item = Result<v1::put_many_request::Item, Problem>> + Send>;

/// The entries of a file; empty lines are none.
fn entries(path: &Path) -> Result<Entries, Problem> {
    let name = path.display().to_string();
    let file = File::open(path).and_then(|file| match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(
            "it is read twice, so it has to be a regular file",
        )),
    });
    let file = file.map_err(|error| Problem::File(name.clone(), error))?;
    let lines = BufReader::new(file).lines().zip(1..);
    Ok(Box::new(lines.filter_map(
        move |(line, number)| match line {
            Err(error) => Some(Err(Problem::File(name.clone(), error))),
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => {
                let parsed = jsonl::parse(&line);
                Some(parsed.map_err(|problem| Problem::Line(name.clone(), number, problem)))
            }
        },
    )))
}
