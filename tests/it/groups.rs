//! Groups on a real Redis: what a flush costs, what it beats, and what it survives.
//!
//! Not here: what the calls answer (`tests/behaviour/groups.json`); a failover that loses a flush (`resurrection`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, Vedetta, wait};

const CACHE: &str = "pages";
const GROUP: &str = "PageCacheGroup_home";
const SWEPT_WITHIN: Duration = Duration::from_secs(20);
const PUSHED_WITHIN: Duration = Duration::from_secs(5);

/// The staleness bound of the vedettas here.
const BOUND: Duration = Duration::from_secs(1);

fn follow(redis: &Redis) -> (Vedetta, Client) {
    let address = redis.address().to_string();
    let bound = format!("{}ms", BOUND.as_millis());
    let flags = ["--near-staleness", bound.as_str()];
    let vedetta = Vedetta::start(&flags, &[("REDIS_ADDRESS", &address)]);
    let client = Client::connect(vedetta.api());
    (vedetta, client)
}

fn single() -> (Redis, Vedetta, Client) {
    let redis = Redis::start(&RedisOptions::default());
    let (vedetta, client) = follow(&redis);
    (redis, vedetta, client)
}

/// How often Redis has executed that command, and for how many microseconds.
fn calls(redis: &Redis, command: &str) -> (u64, u64) {
    let head = format!("cmdstat_{command}:calls=");
    let info = redis.cli(&["INFO", "commandstats"]);
    let line = info.lines().find_map(|line| line.strip_prefix(&head));
    let number = |text: &str| text.trim().parse::<u64>().expect("a number");
    line.map_or((0, 0), |line| {
        let mut fields = line.split(',');
        let calls = number(fields.next().expect("calls"));
        let usec = fields.next().and_then(|field| field.strip_prefix("usec="));
        (calls, number(usec.expect("usec")))
    })
}

#[test]
fn a_flush_touches_as_many_keys_for_ten_members_as_for_a_hundred_thousand() {
    let (redis, _vedetta, client) = single();
    // What does not depend on the members: the clock, the stamp, the lock of the sweep, canaries of several seconds.
    const MOST: u64 = 20;
    for members in [10, 1_000, 100_000] {
        let group = format!("of {members}");
        let keys: Vec<String> = (0..members)
            .map(|number| format!("{group}: {number}"))
            .collect();
        for keys in keys.chunks(1_000) {
            client.put_many_in(CACHE, keys, &group);
        }
        let before = calls(&redis, "set").0;
        let began = Instant::now();
        assert_eq!(client.flush_groups(CACHE, &[&group]), Ok(()));
        let took = began.elapsed();
        let sets = calls(&redis, "set").0 - before;
        println!("flush of {members} members: {took:?}, {sets} keys set");
        assert!(
            (2..=MOST).contains(&sets),
            "{sets} keys set for {members} members"
        );
        for key in [&keys[0], &keys[keys.len() - 1]] {
            assert_eq!(client.text(CACHE, key), None);
        }
    }
}

#[test]
fn members_of_a_flushed_group_give_their_memory_back() {
    let (redis, _vedetta, client) = single();
    assert_eq!(client.put_in(CACHE, "member", "v", &[GROUP]), Ok(()));
    assert_eq!(client.put_in(CACHE, "other", "v", &["another"]), Ok(()));
    assert_eq!(client.flush_groups(CACHE, &[GROUP]), Ok(()));
    wait::until("the member is removed", SWEPT_WITHIN, || {
        let left = redis.cli(&["EXISTS", "pages::member"]);
        (left == "0").then_some(()).ok_or(left)
    });
    assert_eq!(redis.cli(&["EXISTS", "pages::other"]), "1");
    assert_eq!(client.text(CACHE, "other").as_deref(), Some("v"));
}

/// Lists of members lost a third to a half of what two pods added at the same time.
#[test]
fn two_vedettas_that_add_members_lose_none() {
    const KEYS: usize = 300;
    let (redis, one, _) = single();
    let (two, client) = follow(&redis);
    std::thread::scope(|scope| {
        for (id, api) in [one.api(), two.api()].into_iter().enumerate() {
            scope.spawn(move || {
                let client = Client::connect(api);
                for number in 0..KEYS {
                    let key = format!("{id}-{number}");
                    let added = match number % 3 {
                        0 => client.put_in(CACHE, &key, "v", &[GROUP]),
                        1 => client
                            .add_to_groups(CACHE, &key, &[GROUP])
                            .and_then(|_| client.put(CACHE, &key, "v")),
                        _ => client
                            .put(CACHE, &key, "v")
                            .and_then(|()| client.add_to_groups(CACHE, &key, &[GROUP]).map(|_| ())),
                    };
                    assert_eq!(added, Ok(()));
                }
            });
        }
    });
    let left = || {
        let keys = (0..2).flat_map(|id| (0..KEYS).map(move |number| format!("{id}-{number}")));
        keys.filter(|key| client.master_text(CACHE, key).is_some())
            .count()
    };
    assert_eq!(left(), 2 * KEYS);
    assert_eq!(client.flush_groups(CACHE, &[GROUP]), Ok(()));
    assert_eq!(left(), 0);
}

/// Eviction, FLUSHALL and loss of single keys are ordinary events.
#[test]
fn whatever_redis_loses_of_groups_can_only_make_misses() {
    let (redis, _vedetta, client) = single();
    let stamp = format!("vedetta:group:::{CACHE}:{GROUP}");
    let stored = |value| {
        assert_eq!(client.put_in(CACHE, "k", value, &[GROUP]), Ok(()));
        assert_eq!(client.text(CACHE, "k").as_deref(), Some(value));
    };
    let becomes_a_miss = |why| {
        wait::until(why, PUSHED_WITHIN, || match client.text(CACHE, "k") {
            None => Ok(()),
            found => Err(format!("it is {found:?}")),
        });
    };
    stored("v1");
    assert_eq!(redis.cli(&["DEL", &stamp]), "1");
    becomes_a_miss("without the stamp of its group an entry is dead");
    stored("v2");
    assert_eq!(redis.cli(&["SET", &stamp, "damaged"]), "OK");
    becomes_a_miss("under a damaged stamp an entry is dead");
    stored("v3");
    assert_eq!(
        redis.cli(&["DEL", &format!("vedetta:flushes:::{CACHE}")]),
        "1"
    );
    assert_eq!(client.master_text(CACHE, "k").as_deref(), Some("v3"));
    assert_eq!(client.flush_groups(CACHE, &[GROUP]), Ok(()));
    assert_eq!(client.text(CACHE, "k"), None);
    stored("v4");
    redis.cli(&["FLUSHALL"]);
    becomes_a_miss("after FLUSHALL nothing is there");
    stored("v5");
}

/// With a counter instead of random bytes the flush that was lost and the next one would look the same, and what was
/// stored in between would be alive again.
#[test]
fn a_flush_that_was_lost_and_done_again_revives_nothing() {
    let (redis, _vedetta, client) = single();
    let stamp = format!("vedetta:group:::{CACHE}:{GROUP}").into_bytes();
    let clock = format!("vedetta:flushes:::{CACHE}").into_bytes();
    let entry = format!("{CACHE}::k").into_bytes();
    let get = |key: &Vec<u8>| match redis.ask(&[b"GET", key.as_slice()]) {
        Ok(crate::support::Reply::Bytes(bytes)) => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(client.put_in(CACHE, "k", "before", &[GROUP]), Ok(()));
    let replica = [(&stamp, get(&stamp)), (&clock, get(&clock))];
    assert_eq!(client.flush_groups(CACHE, &[GROUP]), Ok(()));
    assert_eq!(client.put_in(CACHE, "k", "between", &[GROUP]), Ok(()));
    let between = get(&entry);
    // A failover loses the flush; there is another one; a write that was on its way lands.
    for (key, bytes) in replica {
        redis.ask(&[b"SET", key.as_slice(), &bytes]).expect("SET");
    }
    assert_eq!(client.flush_groups(CACHE, &[GROUP]), Ok(()));
    redis
        .ask(&[b"SET", entry.as_slice(), &between])
        .expect("SET");
    assert_eq!(client.master_text(CACHE, "k"), None);
}

/// What readers are held against: the number below which every value is flushed.
#[derive(Default)]
struct Database {
    value: AtomicU64,
    floor: AtomicU64,
    history: Mutex<VecDeque<(Instant, u64)>>,
    over: AtomicBool,
}

impl Database {
    /// A new value, of which the members of the group are told by a flush.
    fn update(&self, client: &Client) {
        let value = self.value.fetch_add(1, Ordering::SeqCst) + 1;
        assert_eq!(client.flush_groups(CACHE, &[GROUP, "another"]), Ok(()));
        self.floor.store(value, Ordering::SeqCst);
        let mut history = self.history.lock();
        history.push_back((Instant::now(), value));
    }

    /// The floor that long ago.
    fn floor_before(&self, age: Duration) -> u64 {
        let now = Instant::now();
        let history = self.history.lock();
        let old = |(at, _): &&(Instant, u64)| now.duration_since(*at) >= age;
        history
            .iter()
            .rev()
            .find(old)
            .map_or(0, |(_, value)| *value)
    }
}

/// Ends the race.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// As the App Engine does it: the group is joined while the value is being loaded, and the value is stored at the end.
#[test]
fn a_flush_beats_every_fill_that_began_before_it() {
    const UPDATES: u64 = 200;
    let (redis, one, own) = single();
    let (two, _) = follow(&redis);
    let database = Database::default();
    let keys = ["k0", "k1", "k2"];
    let hits = AtomicU64::new(0);
    let (api, other) = (one.api(), two.api());
    let (data, read) = (&database, &hits);
    let reader = move |api, master: bool, floor: &dyn Fn() -> u64| {
        let client = Client::connect(api);
        while !data.over.load(Ordering::SeqCst) {
            for key in keys {
                let floor = floor();
                let found = if master {
                    client.master_text(CACHE, key)
                } else {
                    client.text(CACHE, key)
                };
                let Some(value) = found.map(|text| text.parse::<u64>().expect("a number")) else {
                    continue;
                };
                read.fetch_add(1, Ordering::SeqCst);
                assert!(
                    value >= floor,
                    "{key} is {value} after {floor}, master: {master}"
                );
            }
        }
    };
    std::thread::scope(|scope| {
        for (number, key) in keys.into_iter().enumerate() {
            scope.spawn(move || {
                let client = Client::connect(if number == 0 { api } else { other });
                while !data.over.load(Ordering::SeqCst) {
                    if client.master_text(CACHE, key).is_some() {
                        continue;
                    }
                    assert!(client.add_to_groups(CACHE, key, &[GROUP]).is_ok());
                    let value = data.value.load(Ordering::SeqCst);
                    assert_eq!(client.put(CACHE, key, &value.to_string()), Ok(()));
                }
            });
        }
        let now = move || data.floor.load(Ordering::SeqCst);
        scope.spawn(move || reader(api, false, &now));
        scope.spawn(move || reader(other, true, &now));
        scope.spawn(move || reader(other, false, &move || data.floor_before(BOUND)));
        // Also if an update fails: the others would go on for ever.
        let _over = Over(&data.over);
        for _ in 0..UPDATES {
            let before = read.load(Ordering::SeqCst);
            data.update(&own);
            wait::until("readers find what was stored since", PUSHED_WITHIN, || {
                let found = read.load(Ordering::SeqCst) - before;
                (found > 2).then_some(()).ok_or_else(|| found.to_string())
            });
        }
    });
    let hits = hits.load(Ordering::SeqCst);
    println!("{UPDATES} flushes, {hits} hits");
    assert!(hits > UPDATES, "only {hits} hits");
}
