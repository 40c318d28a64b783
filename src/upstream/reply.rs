//! Replies, in the words of Redis without its driver's.
//!
//! Not here: what an error means (`error`).

use bytes::Bytes;
use redis::Value;

use crate::model::Fault;

use super::batch::Effect;
use super::error;

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing there.
    Nil,
    /// A number.
    Int(i64),
    /// Bytes, or the text of a status.
    Bytes(Bytes),
    /// Several.
    Array(Vec<Self>),
    /// Names and values.
    Map(Vec<(Self, Self)>),
    /// The command failed, alone.
    Failed(Fault),
}

impl Reply {
    /// How many replicas are attached to a master, from its answer to ROLE.
    pub fn replicas_of_role(&self) -> usize {
        match self {
            Self::Array(fields) => match fields.as_slice() {
                [_, _, Self::Array(replicas)] => replicas.len(),
                _ => 0,
            },
            _ => 0,
        }
    }

    pub(super) fn from_value(value: Value, effect: Effect) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Int(number) => Self::Int(number),
            Value::Boolean(truth) => Self::Int(i64::from(truth)),
            Value::BulkString(bytes) => Self::Bytes(bytes.into()),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
                Self::Bytes(text.into_bytes().into())
            }
            Value::Okay => Self::Bytes(Bytes::from_static(b"OK")),
            Value::Array(values) | Value::Set(values) => Self::Array(
                values
                    .into_iter()
                    .map(|value| Self::from_value(value, effect))
                    .collect(),
            ),
            Value::Map(pairs) => Self::Map(
                pairs
                    .into_iter()
                    .map(|(name, value)| {
                        let name = Self::from_value(name, effect);
                        (name, Self::from_value(value, effect))
                    })
                    .collect(),
            ),
            Value::ServerError(error) => Self::Failed(error::classify(&error.into(), effect)),
            other => Self::Failed(error::unexpected(&other, effect)),
        }
    }
}
