//! The paths whose instructions are counted.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use vedetta::cache::Call;
use vedetta::clock;
use vedetta::model::Consistency;
use vedetta::near::Want;

use crate::stand::{
    Server, Service, addresses, at_once, fill, frame, get_request, near, read_back, value,
};

/// Bytes of each value.
const SIZE: usize = 1024;

/// One of them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Operation {
    /// A copy of the near cache is handed out.
    NearHit,
    /// A key of the near cache is invalidated, and filled again from its token to its entry.
    NearFill,
    /// The embedded store is asked, without protobuf.
    StoreGet,
    /// The same by the bytes of a gRPC message, up to the bytes of the answer: check, conversion, metrics and tonic.
    WholeGet,
}

impl Operation {
    pub(crate) const ALL: [Self; 4] = [
        Self::NearHit,
        Self::NearFill,
        Self::StoreGet,
        Self::WholeGet,
    ];

    /// As in `counts.json`, and on the command line.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NearHit => "near-hit",
            Self::NearFill => "near-fill",
            Self::StoreGet => "store-get",
            Self::WholeGet => "whole-get",
        }
    }

    /// Sets everything up, and then does it so many times.
    pub(crate) fn run(self, times: u32) {
        match self {
            Self::NearHit => near_hit(times),
            Self::NearFill => near_fill(times),
            Self::StoreGet => store_get(times),
            Self::WholeGet => whole_get(times),
        }
    }
}

/// These in turn, so many.
fn in_turn<T>(all: &[T], times: u32) -> impl Iterator<Item = &T> {
    all.iter().cycle().zip(0..times).map(|(one, _)| one)
}

fn near_hit(times: u32) {
    let (addresses, near, read) = (addresses(), near(), read_back(&value(SIZE)));
    for address in &addresses {
        assert!(fill(&near, address, &read), "nothing overtakes it");
    }
    let want = Want {
        bound: Duration::MAX,
        token: None,
    };
    for address in in_turn(&addresses, times) {
        let key = address.key.as_bytes();
        let hit = near.fresh(key, &address.cache, want, clock::now());
        assert!(black_box(hit).is_some(), "it is held");
    }
}

fn near_fill(times: u32) {
    let (addresses, near, read) = (addresses(), near(), read_back(&value(SIZE)));
    for address in &addresses {
        assert!(fill(&near, address, &read), "nothing overtakes it");
    }
    for address in in_turn(&addresses, times) {
        near.invalidate(address.key.as_bytes());
        assert!(fill(&near, address, &read), "nothing overtakes it");
    }
}

fn store_get(times: u32) {
    let addresses = addresses();
    let service = Service::filled(&addresses, &value(SIZE));
    for address in in_turn(&addresses, times) {
        let fresh = Consistency::Fresh(None);
        let found = at_once(service.cache.get(Call::until(None), address, fresh));
        assert!(black_box(found).is_ok(), "it is stored");
    }
}

fn whole_get(times: u32) {
    let addresses = addresses();
    let Service { service, .. } = Service::filled(&addresses, &value(SIZE));
    let mut server = Server::new(service);
    let frames: Vec<Bytes> = addresses.iter().map(|at| frame(&get_request(at))).collect();
    for frame in in_turn(&frames, times) {
        let answered = server.call("/vedetta.v1.Cache/Get", frame.clone());
        assert!(black_box(answered) > SIZE, "it is stored");
    }
}
