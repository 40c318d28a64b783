//! Messages between the pods of an application: published to a channel, delivered to whoever has subscribed, at least
//! once within a bounded log, in order, or with the word Gap where something may be missing.
//!
//! `log` is where messages are, in Redis (`remote`) or in this process (`embedded`). `channel` follows the log of one
//! channel for all its subscribers; a bell (`invalidation::Bell`) wakes it. What it read lies in a `ring`, from which each `subscription`
//! takes at its own pace. `reader` reads what comes after a `point`, and `chain` is the rule of what was missed.
//!
//! **How a message is heard.** There is no blocking read, no polling and no connection of its own. The log of a
//! channel that somebody has subscribed to is read on the tracked session; so Redis pushes an invalidation at the next
//! append, `invalidation::intake` rings the bell, and the log is read from the last message on, which also asks for
//! the next push. The bell is rung before a read is answered that came before the append, and a ring during a read
//! is kept, so no append falls between two reads. Pushes end with their session; therefore every bell is rung when a
//! session begins, when one *ends* (a read may have been answered by it after its successor began), and when Redis
//! flushes its tracking table. `channel::REREAD` is for nothing of this: it bounds what a defect could cost.
//!
//! **Why nothing is missed silently.** Three things may come between a point and the next message:
//!
//! 1. *The log forgot it*: the bound, the idle time, an eviction, FLUSHALL, DEL, XDEL. Each message has a random mark
//!    of 64 bits and holds the mark of its predecessor, which the script that appended it has seen. A message whose
//!    predecessor is not the last one delivered comes after a Gap. Ids do not matter here: a log that begins anew
//!    under a clock that was set back repeats ids, not marks.
//! 2. *A failover took it back after it was delivered.* Then the mark at the point is not in the log any more, whatever
//!    ids the new master gives, lower or equal ones too: a read begins *at* its point and looks whether that very
//!    message is there. If it is not, the newest message that is known here and is in the log takes its place, and if
//!    there is none, the log is told from its beginning: twice is allowed, skipping is not.
//! 3. *A failover took it back before it was delivered.* No trace of it is left in the log, so it cannot be told from
//!    a message that never was. But it is part of a history (`model::HistoryId`, the replication id) that has ended. A
//!    point carries the history in which it was read, and after a change of history a Gap is told, lost or not.
//!    Replication ids are random and never come back, a restart of the master changes them as a promotion does, and
//!    a session is of one history (`Session::check_history`).
//!
//! A Gap says that something *may* be missing. It is told too often rather than too seldom.
//!
//! Not here: protobuf (`grpc`); caches, whose invalidations are told by `invalidation`.

mod chain;
mod channel;
mod embedded;
mod hub;
mod log;
mod metrics;
mod point;
mod reader;
mod remote;
mod ring;
mod subscription;

pub use chain::Gap;
pub use embedded::EmbeddedLog;
pub use hub::{Events, EventsLimits};
pub use log::{Log, Publication};
pub use metrics::Metrics;
pub use point::Point;
pub use remote::RemoteLog;
pub use ring::Message;
pub use subscription::{Begin, Delivery, Subscription};
