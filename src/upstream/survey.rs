//! Asks a node for what weakens the promises: its configuration, as far as we may see it.
//!
//! Invariants: nothing is changed; what is refused is not known.
//!
//! Sources: <https://redis.io/docs/latest/commands/config-get/>.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Fault;

use super::batch::{Batch, Effect, Operation};
use super::reply::Reply;
use super::session::Session;

/// What is asked for.
const NAMES: [&str; 6] = [
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "client-output-buffer-limit",
    "maxmemory-policy",
    "appendonly",
    "save",
];

/// The configuration of a node; `None` if it may not be read.
pub type NodeConfig = Option<HashMap<String, String>>;

impl Session {
    /// Asks for it.
    ///
    /// # Errors
    /// The link failed.
    pub async fn survey(self: &Arc<Self>) -> Result<NodeConfig, Fault> {
        let mut batch = Batch::new(Operation::Survey, Effect::Read);
        for name in NAMES {
            batch.command("CONFIG", &[b"GET", name.as_bytes()]);
        }
        let mut found = HashMap::new();
        for reply in self.execute(batch).await? {
            let fields: Vec<(Reply, Reply)> = match reply {
                Reply::Map(fields) => fields,
                Reply::Failed(_) => return Ok(None),
                _ => continue,
            };
            for field in fields {
                if let (Reply::Bytes(name), Reply::Bytes(value)) = field {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    found.insert(text(&name), text(&value));
                }
            }
        }
        Ok(Some(found))
    }
}
