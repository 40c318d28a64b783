//! What can happen next, and what vedetta does about it.
//!
//! Invariants: the world may do everything that Redis, Sentinels and a network can do within the bounds; vedetta only
//! what its protocol allows. A read that is answered from the near cache changes nothing, so it is no action.
//!
//! Not here: a silent link, which is a stream that nobody reads; the loss of a frame in the middle of a stream, which
//! TCP excludes; expiry (`answer`), stamps, the journal and the quarantine, upon which the staleness bound does not rest.

use crate::history::Version;
use crate::promise::Coherence;
use crate::protocol::{Carrier, Proof, Token};
use crate::server::Writer;
use crate::state::{
    Age, Connection, Entry, Fill, Frame, Lease, Node, Own, Request, Sentinel, State, Wire,
};

/// Everything that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// Somebody's write executes.
    Write(Node),
    /// Somebody's FLUSHALL executes.
    Flush,
    EndTurn,
    /// A fill is sent.
    Fill,
    /// A heartbeat is sent.
    Heartbeat,
    /// The next request of a connection executes.
    Execute(Wire),
    /// The next frame of a connection is read.
    Read(Wire),
    /// The task of a fill that was woken with the reply takes its token.
    TakeToken(usize),
    /// The task of a fill that was woken with the reply inserts it, or finds that it may not.
    Insert(usize),
    /// The entry has to make room for another.
    Evict,
    BeginOwnWrite,
    SendOwnWrite,
    AnswerOwnWrite(Version),
    /// The link breaks, and there is a new session with the same node.
    Reconnect,
    /// The new node becomes a master with what had been replicated to it. The old one does not notice.
    Promote(Version),
    /// A Sentinel names the new node.
    Rename(usize),
    /// A Sentinel is polled and answers.
    Poll(usize),
    /// The answer arrives.
    Answer(usize),
    /// There is a session with the new node.
    Follow,
}

impl Coherence {
    /// What can happen to the key, and when a turn ends.
    pub(crate) fn offer_writes(&self, state: &State, actions: &mut Vec<Action>) {
        if state.turn.is_some() {
            actions.push(Action::EndTurn);
        }
        let own = state.near.own;
        if let Some(Own::Acknowledged(version)) = own {
            actions.push(Action::AnswerOwnWrite(version));
        }
        let sent = state.link.requests.contains(&Request::Write);
        if state.history.last() + u8::from(sent) == self.bounds.writes {
            return;
        }
        let offers = [
            // Once the session has moved, nothing that the old node does can be seen here.
            (state.session == Node::Old, Action::Write(Node::Old)),
            (state.new_node_is_named(), Action::Write(Node::New)),
            (self.bounds.flush && !state.history.flushed, Action::Flush),
            (
                self.bounds.own_writes && own.is_none(),
                Action::BeginOwnWrite,
            ),
            (own == Some(Own::Begun), Action::SendOwnWrite),
        ];
        actions.extend(open(&offers));
    }

    /// What vedetta can do by itself, and what can happen on its connections.
    pub(crate) fn offer_reads(&self, state: &State, actions: &mut Vec<Action>) {
        let near = &state.near;
        let taken = near.entry.is_some() || near.fills().any(|fill| fill.token);
        let room = near.fills().count() < self.bounds.fills;
        // A new session takes the server several turns.
        let reconnects = self.bounds.reconnects && state.turn.is_none();
        let beats = state.lease.awaited.len() < self.protocol.heartbeats;
        let offers = [
            (!taken && room, Action::Fill),
            (beats, Action::Heartbeat),
            (!state.link.requests.is_empty(), Action::Execute(Wire::Link)),
            (!state.data.requests.is_empty(), Action::Execute(Wire::Data)),
            (!state.link.stream.is_empty(), Action::Read(Wire::Link)),
            (!state.data.stream.is_empty(), Action::Read(Wire::Data)),
            (near.entry.is_some(), Action::Evict),
            (reconnects, Action::Reconnect),
        ];
        actions.extend(open(&offers));
        for (index, fill) in near.woken.iter().enumerate() {
            let late = self.protocol.token == Token::AfterReply && !fill.token;
            actions.push(if late {
                Action::TakeToken(index)
            } else {
                Action::Insert(index)
            });
        }
    }

    pub(crate) fn perform(&self, state: &mut State, action: Action) {
        match action {
            Action::Tick => self.tick(state),
            Action::Write(node) => self.write(state, node, Writer::Foreign),
            Action::Flush => self.flush(state),
            Action::EndTurn => self.end_turn(state),
            Action::Fill => self.fill(state),
            Action::Heartbeat => {
                state.lease.awaited.push(Age::NOW);
                self.send(state, Request::Heartbeat);
            }
            Action::Execute(wire) => {
                let request = state.wire(wire).requests.remove(0);
                self.execute(state, request);
            }
            Action::Read(wire) => {
                let frame = state.wire(wire).stream.remove(0);
                self.read(state, frame);
            }
            Action::TakeToken(index) => state.near.woken[index].token = true,
            Action::Insert(index) => {
                let fill = state.near.woken.remove(index);
                self.insert(state, &fill);
            }
            Action::Evict => state.near.entry = None,
            Action::BeginOwnWrite => {
                state.near.own = Some(Own::Begun);
                if self.protocol.own_write_removes_first {
                    self.invalidate(state);
                }
            }
            Action::SendOwnWrite => {
                state.near.own = Some(Own::Sent);
                self.send(state, Request::Write);
            }
            Action::AnswerOwnWrite(version) => {
                state.near.own = None;
                state.near.answered = version;
                if self.protocol.own_write_removes_last {
                    self.invalidate(state);
                }
            }
            Action::Reconnect => self.begin_session(state, state.session),
            Action::Promote(kept) => state.history.kept = Some(kept),
            Action::Rename(index) => state.sentinels[index].names = Node::New,
            Action::Poll(index) => self.poll(&mut state.sentinels[index]),
            Action::Answer(index) => state.sentinels[index].arrive(),
            Action::Follow => self.begin_session(state, Node::New),
        }
        state.near.woken.sort();
        state.sentinels.sort();
    }

    fn tick(&self, state: &mut State) {
        let bound = self.bounds.staleness;
        let acked = state.history.writes.iter_mut();
        for age in acked.filter_map(|write| write.acked.as_mut()) {
            age.grow(bound);
        }
        for fill in state.near.fills_mut() {
            fill.sent.grow(bound);
        }
        if let Some(entry) = &mut state.near.entry {
            entry.filled.grow(bound);
        }
        for sent in &mut state.lease.awaited {
            sent.grow(bound);
        }
        state.lease.previous.grow(bound);
        state.lease.base.grow(bound);
        for sentinel in &mut state.sentinels {
            sentinel.answer.grow(bound);
            sentinel.agreed.grow(bound);
        }
    }

    fn fill(&self, state: &mut State) {
        let proves = self.protocol.reads_prove;
        state.near.waiting.push(Fill {
            found: None,
            token: self.protocol.token == Token::BeforeSend,
            outdated: false,
            sent: if proves { Age::NOW } else { Age::OLD },
        });
        self.send(state, Request::Read);
    }

    /// Where requests do not travel, they execute as they are sent. Nothing is lost by that: a read that executes
    /// later finds a newer value under an older token, and a heartbeat that executes later proves more than it claims.
    fn send(&self, state: &mut State, request: Request) {
        let reads = request == Request::Read;
        if !self.bounds.travel {
            self.execute(state, request);
        } else if reads && self.protocol.carrier == Carrier::Broadcast {
            state.data.requests.push(request);
        } else {
            state.link.requests.push(request);
        }
    }

    fn read(&self, state: &mut State, frame: Frame) {
        match frame {
            Frame::Found(version) => {
                let mut fill = state.near.waiting.remove(0);
                fill.found = Some(version);
                if self.protocol.handoff {
                    state.near.woken.push(fill);
                } else {
                    self.insert(state, &fill);
                }
            }
            Frame::HeartbeatReply => self.prove(&mut state.lease),
            Frame::Written(version) => state.near.own = Some(Own::Acknowledged(version)),
            Frame::Push => self.invalidate(state),
            Frame::NullPush if self.protocol.null_push_heard => self.invalidate(state),
            Frame::NullPush => {}
        }
    }

    fn prove(&self, lease: &mut Lease) {
        let sent = lease.awaited.remove(0);
        lease.base = match self.protocol.proof {
            Proof::PreviousSent => std::mem::replace(&mut lease.previous, sent),
            Proof::ThisSent => sent,
            Proof::Received => Age::NOW,
        };
    }

    fn invalidate(&self, state: &mut State) {
        state.near.entry = None;
        if self.protocol.push_kills_tokens {
            state.near.fills_mut().for_each(|fill| fill.token = false);
        }
    }

    fn insert(&self, state: &mut State, fill: &Fill) {
        let token = fill.token || self.protocol.token == Token::Never;
        let generation = !fill.outdated || !self.protocol.generation_checked;
        if token && generation {
            state.near.entry = Some(Entry {
                value: fill.found.expect("its reply has been read"),
                filled: fill.sent,
            });
        }
    }

    /// What was on the link is lost, and with it the server's memory of who has read what. Fills whose reply had been
    /// read, or travels on a connection of its own, live on.
    fn begin_session(&self, state: &mut State, node: Node) {
        self.end_turn(state);
        if node != state.session {
            self.change_lineage(state);
        }
        if state.near.own == Some(Own::Sent) {
            state.near.own = None;
        }
        state.session = node;
        state.tracked = false;
        state.link = Connection::default();
        state.lease = Lease::NONE;
        if self.protocol.carrier == Carrier::Tracking {
            state.near.waiting.clear();
        }
        if self.protocol.entries_end_with_session {
            state.near.entry = None;
        }
        for fill in state.near.fills_mut() {
            fill.outdated = true;
            fill.token &= !self.protocol.tokens_end_with_session;
        }
    }

    /// What was answered to a writer may be lost, what had not reached the old node will not reach the new one, and
    /// nothing depends on the Sentinels any more.
    fn change_lineage(&self, state: &mut State) {
        state.near.own = None;
        state.near.answered = 0;
        state.data.requests.clear();
        state.near.waiting.truncate(state.data.stream.len());
        state.sentinels = [Sentinel::DONE; 3];
    }
}

fn open(offers: &[(bool, Action)]) -> impl Iterator<Item = Action> {
    let open = offers.iter().filter(|(is_open, _)| *is_open);
    open.map(|(_, action)| *action)
}
