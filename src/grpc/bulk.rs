//! `Cache/BulkLoad` and `Cache/Scan`: streams in and out, one message or one step at a time.
//!
//! Invariants: of a load no more than a batch is held here; the next message is taken when there is room for it, so
//! that HTTP/2 holds the sender back; a stream that ends before `end`, with too few entries, or with a mistake, is not
//! completed.
//!
//! Not here: what a load overwrites (`cache::load`).

use std::time::Duration;

use futures_util::stream;
use tokio::time::Instant;
use tonic::codegen::BoxStream;
use tonic::{Status, Streaming};

use crate::cache::{Call, Load, LoadFigures, Loaded, Loading, Loads, Mode, Put, Start, Store};
use crate::config::Encoding;
use crate::model::{CacheId, Cause, Condition, Expiry, Fault, Hit, Key, Value};
use crate::proto::v1;
use crate::proto::v1::bulk_load_request::{self as asked, Message};
use crate::proto::v1::bulk_load_response::{self as answer, Event};
use crate::proto::v1::get_status_response as shown;

use super::cache::CacheService;
use super::check::Checker;
use super::convert::{duration, timestamp};
use super::metrics::Outcome;
use super::request::Answer;
use super::status::Refusal;
use super::stream::stopping;

/// How long a load waits for its next message.
const IDLE: Duration = Duration::from_secs(60);

type Entries = Streaming<v1::BulkLoadRequest>;

/// Where a load is.
enum Stage<S: Store> {
    Waiting(Call, CacheId, Load, Entries),
    Filling(Box<Loading<S>>, Call, Entries),
    Over,
}

impl<S: Store> CacheService<S> {
    pub(super) async fn do_bulk_load(
        &self,
        call: Call,
        mut entries: Entries,
    ) -> Answer<BoxStream<v1::BulkLoadResponse>> {
        let first = self.until_stop(entries.message()).await?;
        let first = first.map_err(Refusal::Unread)?;
        let first = first.and_then(|first| first.message);
        let mut check = self.checker();
        let begun = match first {
            Some(Message::Begin(begin)) => begin_of(&mut check, &begin),
            _ => check.refuse("begin", "is missing; it is the first message"),
        };
        let (cache, load) = check.finish(|| begun)?;
        let waiting = Stage::Waiting(call, cache, load, entries);
        let answers = stream::unfold((waiting, self.clone()), |(stage, service)| async move {
            let (answer, stage) = service.next(stage).await?;
            Some((answer, (stage, service)))
        });
        Ok((Box::pin(answers), Outcome::Done))
    }

    /// The next message, and where the load is then; after an error, the end.
    async fn next(
        &self,
        stage: Stage<S>,
    ) -> Option<(Result<v1::BulkLoadResponse, Status>, Stage<S>)> {
        let said = |event| Ok(v1::BulkLoadResponse { event: Some(event) });
        Some(match stage {
            Stage::Over => return None,
            Stage::Waiting(call, cache, load, entries) => {
                let begun = self.cache.begin_load(call, &cache, load, &self.loads);
                match self.until_stop(begun).await.and_then(|begun| begun) {
                    Err(fault) => (Err(fault.into()), Stage::Over),
                    Ok(Start::Unneeded(snapshot_version)) => {
                        let unneeded = answer::AlreadyLoaded { snapshot_version };
                        (said(Event::AlreadyLoaded(unneeded)), Stage::Over)
                    }
                    Ok(Start::Runs(loading)) => (
                        said(Event::Begun(answer::Begun {})),
                        Stage::Filling(loading, call, entries),
                    ),
                }
            }
            Stage::Filling(loading, call, entries) => {
                let loaded = self.fill(loading, call, entries).await;
                (
                    loaded.and_then(|loaded| said(Event::Loaded(told(loaded)))),
                    Stage::Over,
                )
            }
        })
    }

    async fn fill(
        &self,
        mut loading: Box<Loading<S>>,
        call: Call,
        mut entries: Entries,
    ) -> Result<Loaded, Status> {
        let mut heard = Instant::now();
        loop {
            let patience = heard + IDLE;
            let patience = call.deadline().map_or(patience, |at| at.min(patience));
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(interrupted().into()),
                message = entries.message() => message?,
                () = tokio::time::sleep_until(patience) => return Err(too_slow().into()),
                () = tokio::time::sleep_until(loading.next_step()) => {
                    loading.step().await?;
                    continue;
                }
            };
            heard = Instant::now();
            let mut check = self.checker();
            match message.map(|message| message.message) {
                Some(Some(Message::Entry(item))) => {
                    let encoding = self.cache.policy(loading.cache()).encoding;
                    let put = entry_of(&mut check, item, encoding);
                    loading.put(check.finish(|| put)?).await?;
                }
                Some(Some(Message::End(end))) if end.entries == loading.entries() => {
                    return Ok(loading.finish().await?);
                }
                wrong => {
                    let (field, problem) = mistake(wrong, loading.entries());
                    check.refuse::<()>(field, problem);
                    check.finish(|| None::<()>)?;
                }
            }
        }
    }

    /// Waits for what may be given up when the process stops.
    async fn until_stop<T>(&self, work: impl Future<Output = T> + Send) -> Result<T, Fault> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(stopping()),
            done = work => Ok(done),
        }
    }

    pub(super) async fn do_scan(
        &self,
        call: Call,
        request: v1::ScanRequest,
    ) -> Answer<BoxStream<v1::ScanResponse>> {
        let mut check = self.checker();
        let cache = check.cache(&request.tenant, &request.cache);
        let cache = check.finish(|| cache)?;
        let scanning = Some((self.cache.scan(call, cache), self.clone()));
        let steps = stream::unfold(scanning, |scanning| async move {
            let (mut scanning, service) = scanning?;
            let step = service.until_stop(scanning.next()).await;
            Some(match step.and_then(|step| step) {
                Ok(None) => return None,
                Ok(Some(found)) => {
                    let entries = found.into_iter().map(entry).collect();
                    (Ok(v1::ScanResponse { entries }), Some((scanning, service)))
                }
                Err(fault) => (Err(fault.into()), None),
            })
        });
        Ok((Box::pin(steps), Outcome::Done))
    }
}

fn begin_of<Admit: Fn(&CacheId) -> Result<(), String>>(
    check: &mut Checker<'_, Admit>,
    begin: &asked::Begin,
) -> Option<(CacheId, Load)> {
    let mode = match begin.mode() {
        asked::Mode::Replace => Some(Mode::Replace),
        asked::Mode::IfOlder => Some(Mode::IfOlder),
        asked::Mode::Unspecified => check.refuse(
            "begin.mode",
            "is missing or unknown; set MODE_REPLACE or MODE_IF_OLDER",
        ),
    };
    let cache = check.cache(&begin.tenant, &begin.cache);
    let load = Load {
        snapshot: begin.snapshot_version,
        mode: mode?,
        again: begin.again,
    };
    Some((cache?, load))
}

fn entry_of<Admit: Fn(&CacheId) -> Result<(), String>>(
    check: &mut Checker<'_, Admit>,
    item: v1::put_many_request::Item,
    encoding: Encoding,
) -> Option<Put> {
    if item
        .condition
        .is_some_and(|condition| condition.must_be.is_some())
    {
        let problem = "means nothing in a load; leave it out, the mode of the load decides";
        check.refuse::<()>("entry.condition", problem);
    }
    let key = check.key("entry.key", item.key);
    let groups = check.groups("entry.groups", &item.groups, Some(encoding));
    let value = check.value("entry.", item.content.map(Value::from));
    let expiry = match check.expiry("entry.", item.expiry) {
        Some(Expiry::Keep) => {
            let problem = "means nothing in a load; set `ttl`, `deadline` or `none`";
            check.refuse("entry.expiry.keep", problem)
        }
        expiry => expiry,
    };
    Some(Put {
        key: key?,
        value: value?,
        expiry: expiry?,
        condition: Condition::None,
        groups: groups?,
        lease: None,
    })
}

/// What is wrong with a message, or with the end of the stream (`None`).
fn mistake(message: Option<Option<Message>>, entries: u64) -> (&'static str, String) {
    match message {
        None => (
            "end",
            "is missing; a stream that ends without it is taken for one that was cut, and not completed".to_owned(),
        ),
        Some(Some(Message::End(end))) => (
            "end.entries",
            format!("is {}, but {entries} entries have arrived; send as many as you count", end.entries),
        ),
        Some(Some(Message::Begin(_))) => ("begin", "may only be the first message".to_owned()),
        Some(_) => ("message", "is missing; set `entry` or `end`".to_owned()),
    }
}

fn too_slow() -> Fault {
    Fault::unknown(
        Cause::Deadline,
        format!(
            "no entry has come for {IDLE:?}, or the deadline of the call has passed; what was stored stays, nothing was \
             removed; load again"
        ),
    )
}

fn interrupted() -> Fault {
    Fault::unknown(
        Cause::ShuttingDown,
        "this vedetta is stopping; what was stored stays, nothing was removed; load again",
    )
}

fn told(loaded: Loaded) -> answer::Loaded {
    let keys = loaded.removed_keys.iter();
    answer::Loaded {
        stored: loaded.stored,
        skipped: loaded.skipped,
        removed: loaded.removed,
        removed_keys: keys.map(|key| key.as_bytes().clone()).collect(),
    }
}

fn entry((key, hit): (Key, Hit)) -> v1::scan_response::Entry {
    use v1::scan_response::entry::Content;
    v1::scan_response::Entry {
        key: key.as_bytes().clone(),
        content: Some(match hit.value {
            Value::Null => Content::Null(v1::Null {}),
            Value::Data(data) => Content::Value(data),
        }),
        version: hit.version.as_bytes().clone(),
        remaining_ttl: hit.ttl.map(duration),
    }
}

/// The loads of this process, as GetStatus shows them.
pub(super) fn show(loads: &Loads) -> Vec<shown::Load> {
    let show = |load: LoadFigures| shown::Load {
        cache: load.cache.name.as_str().to_owned(),
        tenant: load.cache.tenant.as_str().to_owned(),
        snapshot_version: load.snapshot,
        entries: load.entries,
        bytes: load.bytes,
        since: Some(timestamp(load.since)),
        waiting: load.waiting,
    };
    loads.figures().into_iter().map(show).collect()
}
