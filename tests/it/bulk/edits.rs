//! Whatever is done to an entry while a load runs wins over it, by whichever command it was done.
//!
//! Not here: what is loaded, and by whom (`bulk`).

use std::time::Duration;

use vedetta::proto::v1::bulk_load_request::Mode;

use crate::client::{Client, Failure};
use crate::support::{Redis, RedisOptions, wait};

use super::loader::{Loader, begin};
use super::{CACHES, WITHIN, pods, spent, text};

const HOUR: Duration = Duration::from_secs(3600);

/// Each changes the entry of a key of that name, and what it leaves is told.
type Edit = (&'static str, fn(&Client, &str) -> Result<(), Failure>);

const EDITS: [Edit; 6] = [
    ("put", |client, cache| client.put(cache, "put", "1")),
    ("evicted", |client, cache| {
        client.evict(cache, "evicted").map(|_| ())
    }),
    ("counted", |client, cache| {
        client.increment(cache, "counted", None).map(|_| ())
    }),
    ("touched", |client, cache| {
        client.touch(cache, "touched").map(|_| ())
    }),
    ("limited", |client, cache| {
        client.set_deadline(cache, "limited", HOUR).map(|_| ())
    }),
    ("listed", |client, cache| {
        client.add_member(cache, "listed", "m")
    }),
];

#[test]
fn every_kind_of_edit_wins() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let editor = Client::connect(editing.api());
    for cache in CACHES {
        for (key, _) in EDITS {
            if key != "listed" {
                editor.put(cache, key, "0").expect("a put");
            }
        }
        let mut loader = Loader::begun(loading.api(), begin(cache, Mode::Replace, 1));
        for (key, edit) in EDITS {
            edit(&editor, cache).expect(key);
        }
        let left = EDITS.map(|(key, _)| text(&editor, cache, key));
        for (key, _) in EDITS {
            loader.send(key, "snapshot");
        }
        let loaded = loader.loaded();
        assert_eq!(
            (loaded.stored, loaded.skipped),
            (0, EDITS.len() as u64),
            "{cache}"
        );
        assert_eq!(
            EDITS.map(|(key, _)| text(&editor, cache, key)),
            left,
            "{cache}"
        );
        assert!(
            editor.ttl(cache, "limited").expect("an answer").is_some(),
            "{cache}"
        );
    }
}

/// A raw cache in which nobody has set deadlines is written with SET, and a load hears of that too.
#[test]
fn a_plain_set_wins() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let editor = Client::connect(editing.api());
    let scripts = || spent(&redis, "evalsha").0 + spent(&redis, "eval").0;
    wait::until("a put is a plain SET", WITHIN, || {
        let before = scripts();
        editor
            .put("raw", "k", "before")
            .map_err(|failure| failure.message)?;
        match scripts() == before {
            true => Ok(()),
            false => Err("it is a script".to_owned()),
        }
    });
    let mut loader = Loader::begun(loading.api(), begin("raw", Mode::Replace, 1));
    let before = scripts();
    editor.put("raw", "k", "edit").expect("a put");
    assert_eq!(scripts(), before, "a plain SET");
    loader.send("k", "snapshot");
    assert_eq!(loader.loaded().skipped, 1);
    assert_eq!(text(&editor, "raw", "k").as_deref(), Some("edit"));
    let left = redis.cli(&["EXISTS", "vedetta:load-notes:::raw", "vedetta:load:::raw"]);
    assert_eq!(left, "0");
}

#[test]
fn entries_of_a_group_that_was_flushed_meanwhile_are_passed_over() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let editor = Client::connect(editing.api());
    editor.flush_groups("framed", &["before"]).expect("a flush");
    let mut loader = Loader::begun(loading.api(), begin("framed", Mode::Replace, 1));
    editor.flush_groups("framed", &["during"]).expect("a flush");
    loader.send_in("a", "snapshot", &["before"]);
    loader.send_in("b", "snapshot", &["before", "during"]);
    loader.send("c", "snapshot");
    let loaded = loader.loaded();
    assert_eq!((loaded.stored, loaded.skipped), (2, 1));
    let found = || ["a", "b", "c"].map(|key| text(&editor, "framed", key).is_some());
    assert_eq!(found(), [true, false, true]);
    editor.flush_groups("framed", &["before"]).expect("a flush");
    assert_eq!(found(), [false, false, true]);
}
