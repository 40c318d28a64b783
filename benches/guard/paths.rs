//! The paths whose instructions are counted.

use std::hint::black_box;
use std::time::Duration;

use rooms::model::Moment;
use rooms::near::Want;

use crate::copies::{addresses, fill, near, read_back, value};

/// Bytes of each value.
const SIZE: usize = 1024;

/// Some time after the boot. The clock is not read, so it costs nothing here.
fn now() -> Moment {
    Moment::after_boot(Duration::from_secs(1000))
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    /// A copy is handed out, and dropped as it is after the answer.
    Hit,
    /// A key is invalidated, and then filled again from the token of its read to the entry.
    Fill,
}

impl Operation {
    pub(crate) const ALL: [Self; 2] = [Self::Hit, Self::Fill];

    /// As in `counts.txt`, and on the command line.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Hit => "near-hit",
            Self::Fill => "near-fill",
        }
    }

    /// Sets everything up, and then does it so many times.
    pub(crate) fn run(self, times: u32) {
        let (addresses, read) = (addresses(), read_back(&value(SIZE), now()));
        let near = near(&addresses, &read);
        let want = Want {
            bound: Duration::MAX,
            token: None,
        };
        for (address, _) in addresses.iter().cycle().zip(0..times) {
            let key = address.key.as_bytes();
            let done = match self {
                Self::Hit => black_box(near.fresh(key, &address.cache, want, now())).is_some(),
                Self::Fill => {
                    near.invalidate(key);
                    fill(&near, address, &read)
                }
            };
            assert!(done, "it is held, and nothing overtakes a fill");
        }
    }
}
