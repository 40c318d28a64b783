//! Asks every Sentinel who is master, every few milliseconds, and notes when a majority says that it is another one.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::support::{Connection, MASTER, Reply};

/// Between two questions to a Sentinel.
const PAUSE: Duration = Duration::from_millis(3);

const WITHIN: Duration = Duration::from_secs(60);

/// Who is master by one Sentinel, at a time.
struct Word {
    sentinel: usize,
    master: String,
    at: Instant,
}

/// Listens to all of them.
pub(super) struct Observer {
    words: Receiver<Word>,
    sentinels: usize,
}

impl Observer {
    pub(super) fn start(sentinels: &[SocketAddr]) -> Self {
        let (sender, words) = channel();
        for (sentinel, address) in sentinels.iter().copied().enumerate() {
            let sender = sender.clone();
            std::thread::spawn(move || ask(sentinel, address, &sender));
        }
        Self {
            words,
            sentinels: sentinels.len(),
        }
    }

    /// When a majority named one master that is not `old`.
    pub(super) fn majority_other_than(&self, old: SocketAddr) -> Instant {
        let (old, began) = (old.to_string(), Instant::now());
        let mut latest = vec![String::new(); self.sentinels];
        loop {
            let left = WITHIN.saturating_sub(began.elapsed());
            let word = self.words.recv_timeout(left).expect("a majority in time");
            latest[word.sentinel].clone_from(&word.master);
            let agree = latest.iter().filter(|named| **named == word.master).count();
            if word.master != old && agree > self.sentinels / 2 {
                return word.at;
            }
        }
    }
}

/// Asks one of them, until nobody listens any more.
#[expect(
    clippy::disallowed_methods,
    reason = "this thread has nothing else to do"
)]
fn ask(sentinel: usize, address: SocketAddr, sender: &Sender<Word>) {
    let mut connection = Connection::open(address, None).expect("a Sentinel");
    let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
    while let Ok(Reply::Many(parts)) = connection.call(&question) {
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        let word = Word {
            sentinel,
            master: parts.join(":"),
            at: Instant::now(),
        };
        if sender.send(word).is_err() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}
