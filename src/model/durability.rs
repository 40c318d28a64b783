//! How many copies a write has when it is acknowledged.
//!
//! Not here: how they are counted (`upstream::copies`).

use std::time::Duration;

use super::fault::{Applied, Cause, Fault};

/// How long copies are waited for when the caller does not say.
pub const COPIES_WITHIN: Duration = Duration::from_secs(1);

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the master has it.
    #[default]
    Async,
    /// When so many copies exist besides the master's.
    Copies {
        /// How many.
        copies: Copies,
        /// How long they are waited for; the write stays applied when they are too few.
        within: Duration,
    },
}

/// How many replicas must have a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// That many.
    Replicas(u32),
    /// Every one that the Sentinels know of, so that whichever is promoted has it.
    All,
}

impl Durability {
    /// Whether every replica must have it.
    pub fn is_all(&self) -> bool {
        matches!(
            self,
            Self::Copies {
                copies: Copies::All,
                ..
            }
        )
    }

    /// What a write is answered that is in place in a store without replicas.
    ///
    /// # Errors
    /// `AppliedUnreplicated`, if copies were asked for.
    pub fn without_replicas(&self) -> Result<(), Fault> {
        let Self::Copies {
            copies: Copies::Replicas(1..),
            ..
        } = self
        else {
            return Ok(());
        };
        Err(Fault {
            cause: Cause::AppliedUnreplicated,
            applied: Applied::Yes,
            detail: "the embedded store has no replicas".to_owned(),
            wait: None,
        })
    }
}
