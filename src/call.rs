//! What travels with every call: until when its caller waits, and when it is acknowledged.
//!
//! Invariants: a call whose deadline has passed is not begun; one that passes it is answered at once, and a write
//! says that nobody knows whether it was applied.
//!
//! Not here: waiting for a master (`failover::passage`), which ends a little before the deadline.

use tokio::time::Instant;

use crate::model::{Cause, Durability, Fault};

/// What travels with every call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    deadline: Option<Instant>,
    durability: Durability,
}

impl Call {
    /// A call whose caller waits until then, or for ever.
    pub fn until(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            durability: Durability::Async,
        }
    }

    /// The same, acknowledged when so many copies exist.
    pub fn durable(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Until when its caller waits.
    pub fn deadline(self) -> Option<Instant> {
        self.deadline
    }

    /// When it is acknowledged.
    pub fn durability(self) -> Durability {
        self.durability
    }

    /// Whether its caller has given up.
    pub fn is_late(self) -> bool {
        self.deadline
            .is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Does a call that changes nothing.
    ///
    /// # Errors
    /// That of the work, or `Deadline`.
    pub async fn read<T>(
        self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        self.bounded(work, too_late).await
    }

    /// Does a call that changes something.
    ///
    /// # Errors
    /// That of the work, or `Deadline`, with nobody knowing whether it was applied if it was begun.
    pub async fn write<T>(
        self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        self.bounded(work, late_in_flight).await
    }

    async fn bounded<T>(
        self,
        work: impl Future<Output = Result<T, Fault>> + Send,
        late: fn() -> Fault,
    ) -> Result<T, Fault> {
        let Some(deadline) = self.deadline else {
            return work.await;
        };
        if self.is_late() {
            return Err(too_late());
        }
        tokio::time::timeout_at(deadline, work)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

fn too_late() -> Fault {
    Fault::not_applied(Cause::Deadline, "the deadline of the call has passed")
}

fn late_in_flight() -> Fault {
    Fault::unknown(
        Cause::Deadline,
        "the deadline of the call has passed with the write in flight",
    )
}
