//! Shows, before anything is measured, that the load program would notice a wrong answer.
//!
//! Each protocol is told to expect values of one byte more than were stored. A slice that succeeds nevertheless means
//! that its figures would be worth nothing.

use std::time::Duration;

use crate::load::Slice;
use crate::measure::{Requests, measure};
use crate::plan::{BATCHES, MAIN, MANY, Table};
use crate::requests::Operation;
use crate::servers::{Fleet, Name, Transport};

/// Long enough for some answers.
const SLICE: Slice = Slice {
    warm: Duration::from_millis(20),
    measured: Duration::from_millis(100),
};

/// Tries them all but `Pipeline` where `piped` says that no vedetta has it.
///
/// # Errors
/// A wrong answer is taken for a good one.
pub(crate) fn control(fleet: &Fleet, requests: &mut Requests, piped: bool) -> Result<(), String> {
    let vedetta = [
        (Name::VedettaEmbedded, Operation::Get),
        (Name::VedettaEmbedded, Operation::GetMany),
        (Name::VedettaEmbedded, Operation::Pipeline),
    ];
    let others = [
        (Name::Redis, Operation::Get),
        (Name::Redis, Operation::GetMany),
        (Name::Memcached, Operation::Get),
    ];
    for (name, operation) in vedetta.into_iter().chain(others) {
        if operation == Operation::Pipeline && !piped {
            continue;
        }
        let table = Table {
            operation,
            transport: Transport::Unix,
            size: MAIN,
            shape: if operation == Operation::GetMany {
                BATCHES
            } else {
                MANY
            },
            servers: vec![name],
        };
        if measure(fleet, requests, (&table, 1), name, SLICE).is_ok() {
            return Err(format!(
                "{}, {}: a wrong answer is not noticed; this benchmark is broken",
                name.text(),
                operation.name()
            ));
        }
        measure(fleet, requests, (&table, 0), name, SLICE)
            .map_err(|problem| format!("{}, {}: {problem}", name.text(), operation.name()))?;
    }
    Ok(())
}
