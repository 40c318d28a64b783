//! Keys, values, and a near cache under a lease: what `benches/guard` and `benches/micro` measure alike.
//!
//! `super` has the rooms: of vedetta's library there, and alone here.

use bytes::Bytes;

use super::model::{Address, CacheId, CacheName, Key, Lineage, Moment, Tenant, Value, Version};
use super::near::{Begin, Capacity, Found, Majority, Near, ReadBack};

/// How many entries there are: of 1 KiB each more than the inner caches of a processor hold.
pub(crate) const ENTRIES: usize = 10_000;
pub(crate) const CACHE: &str = "bench";
/// Enough for all of them.
const CAPACITY: u64 = 1 << 30;

/// The address of every entry, with keys of 32 bytes.
pub(crate) fn addresses() -> Vec<Address> {
    (0..ENTRIES)
        .map(|number| Address {
            cache: CacheId {
                tenant: Tenant::primary(),
                name: CacheName::new(CACHE).expect("a legal name"),
            },
            key: Key::new(Bytes::from(format!("key-{number:028}"))).expect("a key"),
        })
        .collect()
}

/// What each of them holds.
pub(crate) fn value(size: usize) -> Bytes {
    Bytes::from(vec![0x5A; size])
}

/// A near cache that holds all of them.
pub(crate) fn near(addresses: &[Address], read: &ReadBack) -> Near<()> {
    let near = Near::new(Capacity(CAPACITY));
    near.publish(1, Lineage::new(1, CACHE), Majority::Alone, Moment::START);
    for address in addresses {
        assert!(fill(&near, address, read), "nothing overtakes it");
    }
    near
}

/// What a read of the master found, at that time.
pub(crate) fn read_back(value: &Bytes, now: Moment) -> ReadBack {
    ReadBack {
        found: Found::Present(Value::Data(value.clone()), Version::unique(1, 1, 1)),
        mark: None,
        members: Some(Vec::new()),
        ttl: None,
        sent: now,
        received: now,
        generation: 1,
    }
}

/// From the token of a read to the entry.
pub(crate) fn fill(near: &Near<()>, address: &Address, read: &ReadBack) -> bool {
    let key = address.key.as_bytes();
    match near.begin((key, &address.cache, None), None, read.sent, ()) {
        Begin::Lead(fill) => near.complete(fill, read),
        Begin::Join(()) => false,
    }
}
