//! The coherence protocol, model-checked: what the design promises holds in every state, and each of its rules is
//! needed.
//!
//! A variant is a set of rules in a world with bounds. It is searched exhaustively, and must hold, or break a promise,
//! as its line says. The numbers 1 to 11 are those of the table in which the variants were first listed.
//!
//! `--nocapture` shows figures and counterexamples; `VEDETTA_LONG=1`, meant for `--release`, takes the far bounds.
//!
//! Invariants: a mutant differs by one rule from a variant that holds in the same world, or its line says otherwise.
//!
//! Not here: vedetta's own code, which other tests hold against the same promises, with the same mutants.

mod answer;
mod check;
mod failover;
mod history;
mod majority;
mod promise;
mod protocol;
mod server;
mod state;
mod step;

use answer::{Answers, Since};
use check::Verdict::{self, Breaks, Holds};
use check::{Searched, check, is_long};
use majority::{Agreement, Base, Majority};
use promise::{BOUNDED, Coherence, OWN, UNSTUCK};
use protocol::{
    BROADCAST, Bounds, DESIGN, DESIGN_AFTER_ACK, Naming, Proof, Protocol, Pushes, Token,
};

impl Searched for Coherence {}
impl Searched for Majority {}
impl Searched for Answers {}

/// One node, and links that break.
const QUICK: Bounds = Bounds {
    writes: 2,
    fills: 2,
    staleness: 1,
    travel: true,
    reconnects: true,
    flush: false,
    own_writes: false,
    failover: false,
};

const FAR: Bounds = Bounds {
    writes: 4,
    staleness: 2,
    ..QUICK
};

/// A failover, and a link to the old master that never breaks.
const QUICK_FAILOVER: Bounds = Bounds {
    writes: 1,
    fills: 1,
    travel: false,
    reconnects: false,
    failover: true,
    ..QUICK
};

/// The same, and links that break.
const FAR_FAILOVER: Bounds = Bounds {
    writes: 2,
    fills: 2,
    reconnects: true,
    ..QUICK_FAILOVER
};

const BROADCAST_AFTER_ACK: Protocol = Protocol {
    pushes: Pushes::AfterAck,
    proof: Proof::PreviousSent,
    ..BROADCAST
};

type Variant = (&'static str, Protocol, Verdict);

fn run(group: &str, quick: Bounds, far: Bounds, variants: &[Variant]) {
    let bounds = if is_long() { far } else { quick };
    println!("{group}: {bounds:?}");
    for &(name, protocol, verdict) in variants {
        let name = format!("{group}: {name}");
        check(&name, &Coherence { protocol, bounds }, verdict);
    }
}

#[test]
fn two_connections() {
    #[rustfmt::skip]
    let variants = [
        ("1 tokens", BROADCAST, Holds),
        ("2 no tokens", Protocol { token: Token::Never, ..BROADCAST }, Breaks(BOUNDED)),
        ("3 base is receive time", Protocol { proof: Proof::Received, ..BROADCAST }, Breaks(BOUNDED)),
        ("4 entries kept on reconnect", Protocol { entries_end_with_session: false, ..BROADCAST }, Breaks(BOUNDED)),
        ("6 early ack, this heartbeat", Protocol { pushes: Pushes::AfterAck, ..BROADCAST }, Breaks(BOUNDED)),
        ("6b early ack, previous heartbeat", BROADCAST_AFTER_ACK, Holds),
    ];
    run("two connections", QUICK, FAR, &variants);
}

#[test]
fn one_connection() {
    #[rustfmt::skip]
    let variants = [
        ("design", DESIGN, Holds),
        ("design, early ack", DESIGN_AFTER_ACK, Holds),
        ("5 inserted by the reader in order, no tokens", Protocol { handoff: false, token: Token::Never, ..DESIGN }, Holds),
        // In default tracking the push is in the stream before the acknowledgement leaves.
        ("this heartbeat", Protocol { proof: Proof::ThisSent, ..DESIGN }, Holds),
        ("old generation accepted, but tokens end with their session", Protocol { tokens_end_with_session: true, generation_checked: false, ..DESIGN }, Holds),
    ];
    run("one connection", QUICK, FAR, &variants);
}

#[test]
fn one_connection_mutants() {
    #[rustfmt::skip]
    let variants = [
        ("no token", Protocol { token: Token::Never, ..DESIGN }, Breaks(BOUNDED)),
        ("no token", Protocol { token: Token::Never, ..DESIGN }, Breaks(UNSTUCK)),
        ("token taken after the reply", Protocol { token: Token::AfterReply, ..DESIGN }, Breaks(BOUNDED)),
        ("tokens survive a push", Protocol { push_kills_tokens: false, ..DESIGN }, Breaks(BOUNDED)),
        ("base is receive time", Protocol { proof: Proof::Received, ..DESIGN }, Breaks(BOUNDED)),
        ("early ack, this heartbeat", Protocol { proof: Proof::ThisSent, ..DESIGN_AFTER_ACK }, Breaks(BOUNDED)),
        ("early ack, two heartbeats in flight", Protocol { heartbeats: 2, ..DESIGN_AFTER_ACK }, Breaks(BOUNDED)),
        ("entries kept on reconnect", Protocol { entries_end_with_session: false, ..DESIGN }, Breaks(BOUNDED)),
        ("old generation accepted", Protocol { generation_checked: false, ..DESIGN }, Breaks(BOUNDED)),
    ];
    run("one connection", QUICK, FAR, &variants);
}

#[test]
fn flush_of_everything() {
    #[rustfmt::skip]
    let variants = [
        ("design", DESIGN, Holds),
        ("null push ignored", Protocol { null_push_heard: false, ..DESIGN }, Breaks(BOUNDED)),
    ];
    let quick = Bounds {
        flush: true,
        ..QUICK
    };
    let far = Bounds { flush: true, ..FAR };
    run("flush", quick, far, &variants);
}

#[test]
fn own_writes() {
    #[rustfmt::skip]
    let variants = [
        ("design", DESIGN, Holds),
        ("removed before the answer only", Protocol { own_write_removes_first: false, ..DESIGN }, Holds),
        ("removed before sending only", Protocol { own_write_removes_last: false, ..DESIGN }, Breaks(OWN)),
    ];
    let quick = Bounds {
        fills: 1,
        own_writes: true,
        ..QUICK
    };
    let far = Bounds {
        writes: 3,
        own_writes: true,
        ..QUICK
    };
    run("own writes", quick, far, &variants);
}

#[test]
fn failover() {
    let variants = [("9 heartbeat and majority lease", DESIGN, Holds)];
    let far = Bounds {
        writes: 2,
        travel: true,
        ..QUICK_FAILOVER
    };
    run("failover", QUICK_FAILOVER, far, &variants);
}

#[test]
fn failover_with_early_ack() {
    let variants = [("9b early ack", DESIGN_AFTER_ACK, Holds)];
    run("failover", QUICK_FAILOVER, FAR_FAILOVER, &variants);
}

#[test]
fn failover_with_old_fills() {
    #[rustfmt::skip]
    let variants = [
        ("10 old generation accepted, but tokens end with their session", Protocol { tokens_end_with_session: true, generation_checked: false, ..DESIGN }, Holds),
    ];
    run("failover", QUICK_FAILOVER, FAR_FAILOVER, &variants);
}

#[test]
fn failover_mutants() {
    #[rustfmt::skip]
    let variants = [
        ("8 heartbeat lease alone", Protocol { naming: Naming::Ignored, ..DESIGN }, Breaks(BOUNDED)),
        ("one Sentinel is enough", Protocol { naming: Naming::One, ..DESIGN }, Breaks(BOUNDED)),
        ("old generation accepted", Protocol { generation_checked: false, ..DESIGN }, Breaks(BOUNDED)),
        // Two rules: without tokens alone it breaks as well.
        ("11 old generation accepted, no tokens", Protocol { generation_checked: false, token: Token::Never, ..DESIGN }, Breaks(BOUNDED)),
    ];
    run("failover", QUICK_FAILOVER, FAR_FAILOVER, &variants);
}

#[test]
fn failover_on_two_connections() {
    #[rustfmt::skip]
    let variants = [
        ("8 heartbeat lease alone", Protocol { naming: Naming::Ignored, ..BROADCAST }, Breaks(BOUNDED)),
        ("9 heartbeat and majority lease", BROADCAST, Holds),
        ("9b early ack", BROADCAST_AFTER_ACK, Holds),
        ("10 old generation accepted, but tokens end with their session", Protocol { generation_checked: false, ..BROADCAST }, Holds),
        ("11 old generation accepted, no tokens", Protocol { generation_checked: false, token: Token::Never, ..BROADCAST }, Breaks(BOUNDED)),
    ];
    run(
        "failover, two connections",
        QUICK_FAILOVER,
        FAR_FAILOVER,
        &variants,
    );
}

#[test]
fn majority_lease() {
    let staleness = if is_long() { 3 } else { 1 };
    let design = Majority {
        staleness,
        ..majority::DESIGN
    };
    #[rustfmt::skip]
    let variants = [
        ("design", design, Holds),
        ("base is receive time", Majority { base: Base::Received, ..design }, Breaks(majority::ALONE)),
        ("addresses without epochs", Majority { agreement: Agreement::Address, ..design }, Breaks(majority::ALONE)),
        ("one Sentinel is enough", Majority { reader: 1, ..design }, Breaks(majority::ALONE)),
        ("writers that believe one Sentinel", Majority { writers: 1, ..design }, Breaks(majority::ALONE)),
    ];
    println!("majority lease: {design:?}");
    for (name, model, verdict) in &variants {
        check(&format!("majority lease: {name}"), model, *verdict);
    }
}

#[test]
fn answers_of_a_fill() {
    let design = answer::DESIGN;
    #[rustfmt::skip]
    let variants = [
        ("design", design, Holds),
        ("expiry counted from receive time", Answers { expiry: Since::Received, ..design }, Breaks(answer::EXPIRES)),
        ("fresh however long it took", Answers { freshness: Since::Received, ..design }, Breaks(answer::BOUNDED)),
    ];
    println!("answers: {design:?}");
    for (name, model, verdict) in &variants {
        check(&format!("answers: {name}"), model, *verdict);
    }
}
