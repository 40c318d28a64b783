//! The client commands: one call each.

use std::io::{IsTerminal, Read};
use std::path::Path;

use bytes::Bytes;
use tonic::Request;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::proto::v1;
use crate::proto::v1::cache_client::CacheClient;
use crate::proto::v1::status_client::StatusClient;

use super::arguments::{Arguments, Command, Output, Put};
use super::bulk;
use super::client::{ConnectError, LARGEST_MESSAGE, address, connect};
use super::effective::Environment;
use super::exit::{Exit, print, tell};
use super::failovers;
use super::show;
use super::watch;

/// Why a command failed, to be told to a person.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{}", describe(.0))]
    Call(#[from] tonic::Status),
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("{0}")]
    Input(bulk::Problem),
}

impl From<bulk::Problem> for Failure {
    fn from(problem: bulk::Problem) -> Self {
        match problem {
            bulk::Problem::Call(status) => Self::Call(status),
            problem => Self::Input(problem),
        }
    }
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(ConnectError::BadAddress(_)) | Self::File(..) | Self::Input(_) => {
                Exit::Usage
            }
            Self::Connect(ConnectError::Unreachable { .. }) => Exit::Unavailable,
            Self::Call(status) => Exit::of(status.code()),
        }
    }
}

/// What a command found: how it ends, and what goes to standard output.
struct Answer {
    exit: Exit,
    text: Vec<u8>,
}

impl Answer {
    fn new(exit: Exit, text: impl Into<Vec<u8>>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }
}

/// Runs a client command and prints its answer.
pub async fn run(arguments: Arguments, environment: &Environment) -> Exit {
    match perform(&arguments, environment).await {
        Ok(answer) => print(&answer.text, answer.exit),
        Err(failure) => {
            tell(&format!("vedetta: {failure}"));
            failure.exit()
        }
    }
}

async fn perform(arguments: &Arguments, environment: &Environment) -> Result<Answer, Failure> {
    let address = address(arguments.address.as_deref(), environment);
    let channel = connect(&address, arguments.timeout).await?;
    if let Command::Watch {
        caches,
        keys,
        groups,
    } = &arguments.command
    {
        return watch::run(arguments, channel, (caches, keys, groups))
            .await
            .map(|exit| Answer::new(exit, ""))
            .map_err(Failure::Call);
    }
    let whole = match &arguments.command {
        Command::Load(load) => Some(bulk::load(arguments, channel.clone(), load).await),
        Command::Dump { cache } => Some(bulk::dump(arguments, channel.clone(), cache).await),
        _ => None,
    };
    if let Some(done) = whole {
        return Ok(Answer::new(done?, ""));
    }
    let session = Session { arguments, channel };
    match &arguments.command {
        Command::Get { cache, key } => session.get(cache, key).await,
        Command::Put(put) => session.put(put).await,
        Command::Evict { cache, keys } => session.evict(cache, keys).await,
        Command::Clear { cache } => session.clear(cache).await,
        Command::FlushGroup { cache, groups } => session.flush_groups(cache, groups).await,
        Command::Status => session.status(show::status_object, show::status_text).await,
        Command::FailoverReport => session.status(failovers::object, failovers::text).await,
        Command::Health { service } => session.health(service).await,
        // These have been dealt with.
        Command::Serve(_)
        | Command::CheckConfig(_)
        | Command::Watch { .. }
        | Command::Load(_)
        | Command::Dump { .. } => Ok(Answer::new(Exit::Usage, "")),
    }
}

struct Session<'a> {
    arguments: &'a Arguments,
    channel: Channel,
}

impl Session<'_> {
    fn cache(&self) -> CacheClient<Channel> {
        CacheClient::new(self.channel.clone())
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.arguments.timeout);
        request
    }

    fn tenant(&self) -> String {
        self.arguments.tenant.clone()
    }

    fn json(&self) -> bool {
        self.arguments.output == Output::Json
    }

    async fn get(&self, cache: &str, key: &str) -> Result<Answer, Failure> {
        use v1::get_response::Result as Found;
        let request = self.request(v1::GetRequest {
            cache: cache.to_owned(),
            tenant: self.tenant(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            ..v1::GetRequest::default()
        });
        let answer = self.cache().get(request).await?.into_inner();
        let hit = match answer.result {
            Some(Found::Hit(hit)) => Some(hit),
            _ => None,
        };
        let exit = if hit.is_some() {
            Exit::Done
        } else {
            Exit::Miss
        };
        if self.json() {
            return Ok(Answer::new(exit, show::json(&show::hit(hit.as_ref()))));
        }
        Ok(match hit.and_then(|hit| hit.content) {
            None => {
                tell("miss");
                Answer::new(exit, "")
            }
            Some(v1::hit::Content::Null(_)) => {
                tell("null");
                Answer::new(exit, "")
            }
            Some(v1::hit::Content::Value(value)) => {
                let mut text = value.to_vec();
                // A pipe gets the exact bytes, a terminal a line.
                if std::io::stdout().is_terminal() {
                    text.push(b'\n');
                }
                Answer::new(exit, text)
            }
        })
    }

    async fn put(&self, put: &Put) -> Result<Answer, Failure> {
        use v1::put_response::Result as Done;
        let content = if put.null {
            v1::put_request::Content::Null(v1::Null {})
        } else {
            v1::put_request::Content::Value(value(put)?)
        };
        let ttl = put.ttl.map(|ttl| v1::Expiry {
            when: Some(v1::expiry::When::Ttl(prost_types::Duration {
                seconds: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
                nanos: ttl.subsec_nanos().cast_signed(),
            })),
        });
        let condition = put.if_absent.then_some(v1::Condition {
            must_be: Some(v1::condition::MustBe::Absent(v1::condition::Absent {})),
        });
        let request = self.request(v1::PutRequest {
            cache: put.cache.clone(),
            tenant: self.tenant(),
            key: Bytes::copy_from_slice(put.key.as_bytes()),
            content: Some(content),
            expiry: ttl,
            condition,
            groups: put.groups.clone(),
            ..v1::PutRequest::default()
        });
        let answer = self.cache().put(request).await?.into_inner();
        let (stored, version) = match answer.result {
            Some(Done::Stored(stored)) => (true, stored.version),
            Some(Done::NotStored(not)) => (false, not.current_version),
            None => (false, Bytes::new()),
        };
        let exit = if stored { Exit::Done } else { Exit::Miss };
        if self.json() {
            return Ok(Answer::new(exit, show::json(&show::put(stored, &version))));
        }
        if !stored {
            tell("not stored: there is an entry");
        }
        Ok(Answer::new(exit, ""))
    }

    async fn evict(&self, cache: &str, keys: &[String]) -> Result<Answer, Failure> {
        use v1::evict_many_response::item::Result as Done;
        let request = self.request(v1::EvictManyRequest {
            cache: cache.to_owned(),
            tenant: self.tenant(),
            keys: keys
                .iter()
                .map(|key| Bytes::copy_from_slice(key.as_bytes()))
                .collect(),
            ..v1::EvictManyRequest::default()
        });
        let answer = self.cache().evict_many(request).await?.into_inner();
        let mut evicted = Vec::new();
        let mut failed = None;
        for (key, item) in keys.iter().zip(answer.items) {
            match item.result {
                Some(Done::Existed(true)) => evicted.push(key.as_str()),
                Some(Done::Error(error)) => {
                    tell(&format!(
                        "vedetta: {key}: {}: {}",
                        error.reason, error.message
                    ));
                    failed = Some(Exit::of(tonic::Code::from_i32(error.code)));
                }
                Some(Done::Existed(false)) | None => {}
            }
        }
        let exit = failed.unwrap_or(if evicted.is_empty() {
            Exit::Miss
        } else {
            Exit::Done
        });
        if self.json() {
            return Ok(Answer::new(
                exit,
                show::json(&serde_json::json!({ "evicted": evicted })),
            ));
        }
        tell(&format!("{} of {} existed", evicted.len(), keys.len()));
        Ok(Answer::new(exit, ""))
    }

    async fn clear(&self, cache: &str) -> Result<Answer, Failure> {
        let request = self.request(v1::ClearRequest {
            cache: cache.to_owned(),
            tenant: self.tenant(),
            ..v1::ClearRequest::default()
        });
        let answer = self.cache().clear(request).await?.into_inner();
        if self.json() {
            let shown = serde_json::json!({ "cleared": true, "removed": answer.removed });
            return Ok(Answer::new(Exit::Done, show::json(&shown)));
        }
        match answer.removed {
            Some(removed) => tell(&format!("cleared, {removed} entries removed")),
            None => tell("cleared"),
        }
        Ok(Answer::new(Exit::Done, ""))
    }

    async fn flush_groups(&self, cache: &str, groups: &[String]) -> Result<Answer, Failure> {
        let request = self.request(v1::FlushGroupsRequest {
            cache: cache.to_owned(),
            tenant: self.tenant(),
            groups: groups.to_vec(),
            ..v1::FlushGroupsRequest::default()
        });
        self.cache().flush_groups(request).await?;
        if self.json() {
            let shown = serde_json::json!({ "flushed": groups });
            return Ok(Answer::new(Exit::Done, show::json(&shown)));
        }
        tell("flushed");
        Ok(Answer::new(Exit::Done, ""))
    }

    async fn status(
        &self,
        object: fn(&v1::GetStatusResponse) -> serde_json::Value,
        text: fn(&v1::GetStatusResponse) -> String,
    ) -> Result<Answer, Failure> {
        let request = self.request(v1::GetStatusRequest {});
        let mut client = StatusClient::new(self.channel.clone());
        let status = client.get_status(request).await?.into_inner();
        let text = if self.json() {
            show::json(&object(&status))
        } else {
            text(&status)
        };
        Ok(Answer::new(Exit::Done, text))
    }

    async fn health(&self, service: &str) -> Result<Answer, Failure> {
        let request = self.request(HealthCheckRequest {
            service: service.to_owned(),
        });
        let mut client = HealthClient::new(self.channel.clone());
        let status = client.check(request).await?.into_inner().status();
        let serving = status == ServingStatus::Serving;
        let exit = if serving {
            Exit::Done
        } else {
            Exit::Unavailable
        };
        let word = if serving { "serving" } else { "not serving" };
        if self.json() {
            return Ok(Answer::new(
                exit,
                show::json(&serde_json::json!({ "serving": serving })),
            ));
        }
        Ok(Answer::new(exit, format!("{word}\n")))
    }
}

fn value(put: &Put) -> Result<Bytes, Failure> {
    let Some(file) = &put.file else {
        return Ok(Bytes::from(put.value.clone().unwrap_or_default()));
    };
    let failed = |error| Failure::File(file.display().to_string(), error);
    if file == Path::new("-") {
        let mut value = Vec::new();
        std::io::stdin().read_to_end(&mut value).map_err(failed)?;
        return Ok(value.into());
    }
    std::fs::read(file).map(Bytes::from).map_err(failed)
}

fn describe(status: &tonic::Status) -> String {
    let details = status.get_error_details();
    match details.error_info() {
        Some(info) => format!("{}: {}", info.reason, status.message()),
        None => format!("{}: {}", status.code(), status.message()),
    }
}
