//! One key, the nodes it lives on, the wire and the near cache of one vedetta, at a moment.
//!
//! Invariants: states that behave alike are equal, or the search would not end. Hence times are ages and an age beyond
//! the staleness bound is `OLD`; lists whose order means nothing are sorted; entries that can never again be served
//! FRESH are not kept.
//!
//! Not here: how one state follows from another (`server`, `step`, `failover`).

use crate::history::{History, Version};

/// Ticks since a moment, as long as they are within the staleness bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Age(u8);

impl Age {
    pub(crate) const NOW: Self = Self(0);
    /// Beyond the bound, or never.
    pub(crate) const OLD: Self = Self(u8::MAX);

    pub(crate) fn grow(&mut self, bound: u8) {
        self.0 = if self.0 < bound { self.0 + 1 } else { u8::MAX };
    }

    pub(crate) fn is_within_bound(self) -> bool {
        self != Self::OLD
    }
}

/// The two nodes that are master in turn. Neither ever stops acknowledging writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Node {
    Old,
    New,
}

/// A read that was sent to fill the near cache, as the task that waits for it sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fill {
    /// `None` until its reply was read.
    pub(crate) found: Option<Version>,
    /// Whether the placeholder in the cache is still this fill's.
    pub(crate) token: bool,
    /// Whether its session has ended.
    pub(crate) outdated: bool,
    pub(crate) sent: Age,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Read,
    Heartbeat,
    Write,
}

/// What the server puts into a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    Found(Version),
    HeartbeatReply,
    Written(Version),
    /// The key has changed.
    Push,
    /// Everything has changed.
    NullPush,
}

/// Which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Link,
    Data,
}

/// A connection: two queues in wire order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    pub(crate) requests: Vec<Request>,
    pub(crate) stream: Vec<Frame>,
}

impl Connection {
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.stream.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) value: Version,
    /// When its read was sent.
    pub(crate) filled: Age,
}

/// A write of this vedetta, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Own {
    Begun,
    Sent,
    /// Its task was woken with the reply.
    Acknowledged(Version),
}

/// The near cache, as far as it is of the current generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Near {
    pub(crate) entry: Option<Entry>,
    /// Fills whose reply has not been read, in the order of their requests, which is that of the replies.
    pub(crate) waiting: Vec<Fill>,
    /// Fills whose task was woken with the reply and has not run yet.
    pub(crate) woken: Vec<Fill>,
    pub(crate) own: Option<Own>,
    /// The last write that was answered to a caller here; 0 for none on this lineage.
    pub(crate) answered: Version,
}

impl Near {
    pub(crate) fn fills(&self) -> impl Iterator<Item = &Fill> {
        self.waiting.iter().chain(&self.woken)
    }

    pub(crate) fn fills_mut(&mut self) -> impl Iterator<Item = &mut Fill> {
        self.waiting.iter_mut().chain(&mut self.woken)
    }
}

/// The link lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    /// When the heartbeats in flight were sent.
    pub(crate) awaited: Vec<Age>,
    /// When the last heartbeat that was answered was sent.
    pub(crate) previous: Age,
    pub(crate) base: Age,
}

impl Lease {
    pub(crate) const NONE: Self = Self {
        awaited: Vec::new(),
        previous: Age::OLD,
        base: Age::OLD,
    };
}

/// One Sentinel, and what this vedetta has from it. Answers that name the new node are not kept, see
/// `Coherence::poll`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sentinel {
    /// The master that it names. It changes its mind once, to a higher epoch.
    pub(crate) names: Node,
    /// When the poll was sent whose answer, naming the old node, is on its way.
    pub(crate) answer: Age,
    /// When the last poll was sent whose answer, naming the old node, has arrived.
    pub(crate) agreed: Age,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) history: History,
    /// The node of the session.
    pub(crate) session: Node,
    /// Whether that node is going to push the next change of the key.
    pub(crate) tracked: bool,
    /// The replies of a turn of the event loop in which a write executed whose push is still to come.
    pub(crate) turn: Option<Vec<Frame>>,
    /// The connection of pushes and heartbeats.
    pub(crate) link: Connection,
    /// The connection of reads, where that is another one.
    pub(crate) data: Connection,
    pub(crate) near: Near,
    pub(crate) lease: Lease,
    pub(crate) sentinels: [Sentinel; 3],
}

impl State {
    pub(crate) fn first() -> Self {
        let sentinel = Sentinel {
            names: Node::Old,
            answer: Age::OLD,
            agreed: Age::OLD,
        };
        Self {
            history: History::default(),
            session: Node::Old,
            tracked: false,
            turn: None,
            link: Connection::default(),
            data: Connection::default(),
            near: Near::default(),
            lease: Lease::NONE,
            sentinels: [sentinel; 3],
        }
    }

    pub(crate) fn wire(&mut self, wire: Wire) -> &mut Connection {
        match wire {
            Wire::Link => &mut self.link,
            Wire::Data => &mut self.data,
        }
    }

    /// Whether the Sentinels that name the new node are a majority, so that writers may go there.
    pub(crate) fn new_node_is_named(&self) -> bool {
        let names = |sentinel: &&Sentinel| sentinel.names == Node::New;
        self.sentinels.iter().filter(names).count() >= 2
    }
}
