//! The server: commands in the order of their connections, pushes and acknowledgements in the order of the event loop.
//!
//! Invariants: what one command puts into a stream stays together and in order; whatever enters a stream stays in
//! order until it is read, or is lost together with everything behind it.
//!
//! Not here: turns without a write whose push waits, since several of them are as good as one; the replies of a second
//! connection waiting for the end of a turn, since to be early is worse for the reader.

use crate::history::Write;
use crate::promise::Coherence;
use crate::protocol::{Carrier, Pushes};
use crate::state::{Age, Frame, Node, Request, State};

/// Who wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    Foreign,
    /// This vedetta, on the link.
    Own,
}

impl Coherence {
    pub(crate) fn execute(&self, state: &mut State, request: Request) {
        match request {
            Request::Heartbeat => queue(state, Frame::HeartbeatReply),
            Request::Write => self.write(state, state.session, Writer::Own),
            Request::Read => {
                let found = Frame::Found(state.history.value(state.session));
                match self.protocol.carrier {
                    Carrier::Tracking => {
                        state.tracked = true;
                        queue(state, found);
                    }
                    Carrier::Broadcast => state.data.stream.push(found),
                }
            }
        }
    }

    pub(crate) fn write(&self, state: &mut State, node: Node, writer: Writer) {
        let here = node == state.session;
        let pushed = here && (state.tracked || self.protocol.carrier == Carrier::Broadcast);
        // Default tracking is one shot.
        state.tracked &= !here;
        let waits = pushed && self.protocol.pushes != Pushes::AtOnce;
        if waits {
            state.turn.get_or_insert_default();
        }
        let unacked = waits && self.protocol.pushes == Pushes::EndOfTurn;
        let acked = (!unacked).then_some(Age::NOW);
        state.history.writes.push(Write { node, acked });
        // To its own writer, Redis sends the reply first.
        if writer == Writer::Own {
            queue(state, Frame::Written(state.history.last()));
        }
        if pushed && !waits {
            state.link.stream.push(Frame::Push);
        }
    }

    /// Every tracking connection is told, whatever it has read.
    pub(crate) fn flush(&self, state: &mut State) {
        state.tracked = false;
        state.history.flushed = true;
        state.history.writes.push(Write {
            node: state.session,
            acked: Some(Age::NOW),
        });
        queue(state, Frame::NullPush);
    }

    /// Replies first, the push after them, and then whatever acknowledgements have waited.
    pub(crate) fn end_turn(&self, state: &mut State) {
        let Some(replies) = state.turn.take() else {
            return;
        };
        state.link.stream.extend(replies);
        state.link.stream.push(Frame::Push);
        for write in &mut state.history.writes {
            write.acked.get_or_insert(Age::NOW);
        }
    }
}

/// Into the stream of the link; in a turn whose push is still to come, into that turn.
fn queue(state: &mut State, frame: Frame) {
    match &mut state.turn {
        Some(replies) => replies.push(frame),
        None => state.link.stream.push(frame),
    }
}
