//! Free TCP ports of the loopback interface, for servers that cannot tell which one they took.
//!
//! Invariants: a port is handed out once per test process. It is free at that moment; another process may still
//! take it before the server binds it, so whoever starts a server tries again with another port.
//!
//! Not here: noticing the clash (`process::Process::clashed`).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use parking_lot::Mutex;

/// Below the range from which Linux takes the ports of outgoing connections: a port from that range could be
/// lost to any client while the server that owned it is down, as it is in every failover.
const RANGE: std::ops::Range<u16> = 15_000..31_000;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// How often a server is started again on other ports before its test fails.
pub(crate) const ATTEMPTS: usize = 5;

/// An address that nobody listens on and that was not handed out before.
pub(crate) fn free_address() -> SocketAddr {
    let mut handed_out = HANDED_OUT.lock();
    for _ in 0..1000 {
        let port = rand::random_range(RANGE);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !handed_out.contains(&port) && TcpListener::bind(address).is_ok() {
            handed_out.insert(port);
            return address;
        }
    }
    panic!("no free port in {RANGE:?}");
}
