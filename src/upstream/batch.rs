//! Commands to be sent in one write, and the replies to them.
//!
//! Invariants: commands execute in the order in which they were appended. A single script call travels by its SHA-1,
//! and again with its source only after the server said that it does not have it, which proves that it did not run.
//!
//! Not here: sending (`session`).

use std::sync::LazyLock;

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value};
use sha1::{Digest, Sha1};

use crate::model::{Fault, hex};

use super::reply::Reply;

/// What a batch is for: the label of its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Values read.
    Get,
    /// Values written.
    Put,
    /// Entries removed.
    Evict,
    /// Expiry changed.
    Touch,
    /// Expiry read.
    Ttl,
    /// A cache cleared, or its remains removed.
    Clear,
    /// Caches listed.
    List,
    /// The session asks for the role of its node.
    Heartbeat,
    /// A session is being opened.
    Greeting,
    /// Groups joined or flushed.
    Group,
    /// A counter changed.
    Increment,
    /// A list changed.
    ListEdit,
    /// A lease given or given back.
    Lease,
    /// Recent writes looked for on a new master.
    Reconcile,
    /// Copies waited for.
    Wait,
    /// The configuration of the node read.
    Survey,
    /// The canary is read, written, or looked for losses with.
    Canary,
    /// HTTP sessions.
    Session,
    /// A message appended.
    Publish,
    /// Messages read.
    Log,
    /// A cache is loaded.
    Load,
    /// Keys are listed.
    Scan,
}

impl Operation {
    /// Every operation, in the order of their numbers: metrics are registered and found by it.
    pub const ALL: [Self; 22] = [
        Self::Get,
        Self::Put,
        Self::Evict,
        Self::Touch,
        Self::Ttl,
        Self::Clear,
        Self::List,
        Self::Heartbeat,
        Self::Greeting,
        Self::Group,
        Self::Increment,
        Self::ListEdit,
        Self::Lease,
        Self::Reconcile,
        Self::Wait,
        Self::Survey,
        Self::Canary,
        Self::Session,
        Self::Publish,
        Self::Log,
        Self::Load,
        Self::Scan,
    ];

    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Evict => "evict",
            Self::Touch => "touch",
            Self::Ttl => "ttl",
            Self::Clear => "clear",
            Self::List => "list",
            Self::Heartbeat => "heartbeat",
            Self::Greeting => "greeting",
            Self::Canary => "canary",
            Self::Group => "group",
            Self::Increment => "increment",
            Self::ListEdit => "list_edit",
            Self::Lease => "lease",
            Self::Reconcile => "reconcile",
            Self::Wait => "wait",
            Self::Survey => "survey",
            Self::Session => "session",
            Self::Publish => "publish",
            Self::Log => "log",
            Self::Load => "load",
            Self::Scan => "scan",
        }
    }
}

/// Whether a lost answer leaves something in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing can have changed.
    Read,
    /// Something may have changed.
    Write,
}

/// A Lua script.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    sha1: LazyLock<String, Box<dyn Fn() -> String + Send + Sync>>,
}

impl Script {
    /// Names a script by its source.
    pub fn new(source: &'static str) -> Self {
        Self {
            source,
            sha1: LazyLock::new(Box::new(move || hex(&Sha1::digest(source.as_bytes())))),
        }
    }
}

/// Which script calls travel with their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sources {
    /// Those that could not be sent again.
    Needed,
    /// All.
    All,
}

/// Commands to be sent together.
#[derive(Debug)]
pub struct Batch {
    pub(super) operation: Operation,
    pub(super) effect: Effect,
    commands: Vec<Command>,
    bytes: usize,
    answered_at_length: bool,
    with_offset: bool,
}

#[derive(Debug)]
struct Command {
    packed: Cmd,
    /// What is sent right before it, with a reply of its own.
    before: Option<Cmd>,
    script: Option<ScriptCall>,
}

/// What is needed to send a script call again with its source.
#[derive(Debug)]
struct ScriptCall {
    source: &'static str,
    keys: usize,
    arguments: Vec<Bytes>,
}

impl Batch {
    /// An empty batch.
    pub fn new(operation: Operation, effect: Effect) -> Self {
        Self {
            operation,
            effect,
            commands: Vec::new(),
            bytes: 0,
            answered_at_length: false,
            with_offset: false,
        }
    }

    /// Asks for the replication offset behind the last command, as one more reply: ROLE's.
    pub fn with_offset(&mut self) -> &mut Self {
        self.with_offset = true;
        self
    }

    /// Its answer may hold a value, for which the answers of others should not wait.
    pub fn answered_at_length(&mut self) -> &mut Self {
        self.answered_at_length = true;
        self
    }

    pub(super) fn is_answered_at_length(&self) -> bool {
        self.answered_at_length
    }

    /// Appends a command.
    pub fn command(&mut self, name: &str, arguments: &[&[u8]]) -> &mut Self {
        let mut packed = redis::cmd(name);
        for argument in arguments {
            packed.arg(*argument);
            self.bytes += argument.len();
        }
        self.commands.push(Command {
            packed,
            before: None,
            script: None,
        });
        self
    }

    /// Appends a call of a script; every key that it touches is in `keys`.
    pub fn script(&mut self, script: &Script, keys: &[Bytes], arguments: &[Bytes]) -> &mut Self {
        let arguments: Vec<Bytes> = keys.iter().chain(arguments).cloned().collect();
        self.bytes += arguments.iter().map(Bytes::len).sum::<usize>();
        self.commands.push(Command {
            packed: eval("EVALSHA", script.sha1.as_str(), keys.len(), &arguments),
            before: None,
            script: Some(ScriptCall {
                source: script.source,
                keys: keys.len(),
                arguments,
            }),
        });
        self
    }

    /// Has another write executed before the last command, which without it does not count as done. It has no reply.
    pub fn after(&mut self, (name, arguments): (&str, &[&[u8]])) -> &mut Self {
        let mut before = redis::cmd(name);
        for argument in arguments {
            before.arg(*argument);
        }
        if let Some(last) = self.commands.last_mut() {
            last.before = Some(before);
        }
        self
    }

    /// Whether the replication offset behind it is asked for.
    pub(super) fn asks_for_offset(&self) -> bool {
        self.with_offset
    }

    /// What its keys and arguments hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many values its commands will have, that about the offset not included.
    pub(super) fn values(&self) -> usize {
        let preceded = self
            .commands
            .iter()
            .filter(|command| command.before.is_some());
        self.commands.len() + preceded.count()
    }

    /// One reply for each command, and that about the offset, from the values of both.
    pub(super) fn replies(&self, values: Vec<Value>) -> Vec<Reply> {
        let mut values = values
            .into_iter()
            .map(|value| Reply::from_value(value, self.effect));
        let mut replies = Vec::with_capacity(self.commands.len() + 1);
        for command in &self.commands {
            let before = command.before.as_ref().and_then(|_| values.next());
            let Some(reply) = values.next() else { break };
            replies.push(match (before, reply) {
                (_, Reply::Failed(fault)) => Reply::Failed(fault),
                (Some(Reply::Failed(fault)), _) => {
                    Reply::Failed(Fault::unknown(fault.cause, fault.detail))
                }
                (_, reply) => reply,
            });
        }
        replies.extend(values);
        replies
    }

    /// How many commands were appended.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Appends the commands to what is sent. A single script call goes by its hash; where there is more than one command,
    /// the first call of each script carries its source, since a call that was sent again would have lost its place in the
    /// order.
    pub(super) fn add_to(&self, pipeline: &mut Pipeline, sources: Sources) {
        let whole = sources == Sources::All || self.commands.len() > 1;
        let mut sources = Vec::new();
        for command in &self.commands {
            if let Some(before) = &command.before {
                pipeline.add_command(before.clone());
            }
            match &command.script {
                Some(call) if whole && !sources.contains(&call.source) => {
                    sources.push(call.source);
                    pipeline.add_command(call.with_source());
                }
                _ => {
                    pipeline.add_command(command.packed.clone());
                }
            }
        }
    }

    /// Whether it is one script call and nothing else, which may be sent again where the node does not know the script.
    pub(super) fn is_single_script(&self) -> bool {
        matches!(self.commands.as_slice(), [command] if command.script.is_some())
    }
}

impl ScriptCall {
    fn with_source(&self) -> Cmd {
        eval("EVAL", self.source, self.keys, &self.arguments)
    }
}

fn eval(command: &str, script: &str, keys: usize, arguments: &[Bytes]) -> Cmd {
    let mut packed = redis::cmd(command);
    packed.arg(script).arg(keys);
    for argument in arguments {
        packed.arg(argument.as_ref());
    }
    packed
}

#[cfg(test)]
mod tests {
    use crate::model::Applied;

    use super::*;

    #[test]
    fn every_operation_is_where_its_number_says() {
        let numbers = Operation::ALL.map(|operation| operation as usize);
        assert!(
            numbers.into_iter().eq(0..Operation::ALL.len()),
            "{numbers:?}"
        );
    }

    #[test]
    fn a_command_that_had_to_come_after_another_answers_for_both() {
        let oom = || {
            let parsed = redis::parse_redis_value(b"-OOM command not allowed\r\n");
            parsed.expect("an error is a value")
        };
        let answer = |first, second| {
            let mut batch = Batch::new(Operation::Put, Effect::Write);
            batch
                .command("SET", &[b"a", b"1"])
                .after(("RPUSHX", &[b"n", b"a"]));
            batch.command("GET", &[b"b"]).with_offset();
            assert_eq!(batch.values(), 3);
            let mut replies = batch.replies(vec![first, second, Value::Int(7), Value::Int(8)]);
            assert_eq!(replies[1..], [Reply::Int(7), Reply::Int(8)]);
            replies.remove(0)
        };
        assert_eq!(answer(Value::Int(0), Value::Int(5)), Reply::Int(5));
        let applied = |reply| match reply {
            Reply::Failed(fault) => fault.applied,
            reply => panic!("{reply:?}"),
        };
        assert_eq!(applied(answer(oom(), Value::Okay)), Applied::Unknown);
        assert_eq!(applied(answer(oom(), oom())), Applied::No);
    }
}
