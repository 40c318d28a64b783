//! What memory of a length really takes.
//!
//! Not here: what entries are made of, which weigh themselves (`near`, `cache::embedded`).

/// Up to here memory is given in words.
const SMALL: usize = 64;
const WORD: usize = 8;

/// What the allocator takes for that many bytes. mimalloc, as most, has four sizes for each doubling: a value of 1,025
/// bytes takes 1,280.
pub fn allocated(bytes: usize) -> u64 {
    let step = if bytes <= SMALL {
        WORD
    } else {
        1 << ((bytes - 1).ilog2() - 2)
    };
    // No value is so large that this would not hold it.
    bytes.next_multiple_of(step) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_four_sizes_for_each_doubling() {
        for (bytes, taken) in [
            (0, 0),
            (1, 8),
            (64, 64),
            (65, 80),
            (80, 80),
            (100, 112),
            (113, 128),
            (128, 128),
            (1024, 1024),
            (1025, 1280),
            (16 * 1024 + 41, 20 * 1024),
        ] {
            assert_eq!(allocated(bytes), taken, "{bytes}");
        }
    }
}
