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
    // Was in no group, so that the flush does not reach it.
    editor.put("framed", "b", "before").expect("a put");
    let mut loader = Loader::begun(loading.api(), begin("framed", Mode::Replace, 1));
    editor.flush_groups("framed", &["during"]).expect("a flush");
    loader.send_in("a", "snapshot", &["before"]);
    loader.send_in("b", "snapshot", &["before", "during"]);
    loader.send("c", "snapshot");
    loader.send_in("d", "snapshot", &["unknown"]);
    let loaded = loader.loaded();
    assert_eq!((loaded.stored, loaded.skipped), (3, 1));
    let found = || ["a", "b", "c", "d"].map(|key| text(&editor, "framed", key).is_some());
    assert_eq!(found(), [true, false, true, true]);
    editor.flush_groups("framed", &["before"]).expect("a flush");
    assert_eq!(found(), [false, false, true, true]);
}

/// An entry keeps the groups that it has been in.
#[test]
fn too_many_groups_are_named_as_such() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let names: Vec<String> = (0..16).map(|number| format!("g{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let editor = Client::connect(editing.api());
    editor.put_in("framed", "k", "v", &names).expect("a put");
    let mut loader = Loader::begun(loading.api(), begin("framed", Mode::Replace, 1));
    loader.send_in("k", "v", &["another"]);
    loader.end();
    let failure = loader.answer().expect_err("17 groups");
    assert_eq!(
        (failure.reason.as_str(), failure.applied.as_str()),
        ("TOO_MANY_GROUPS", "UNKNOWN")
    );
}

/// Whoever has seen that a list has what it should have, and whoever has said when an entry ends, was answered.
#[test]
fn what_changes_no_entry_now_holds_too() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let editor = Client::connect(editing.api());
    for cache in CACHES {
        editor.add_member(cache, "list", "m").expect("an edit");
        let before = text(&editor, cache, "list");
        let mut loader = Loader::begun(loading.api(), begin(cache, Mode::Replace, 1));
        editor.add_member(cache, "list", "m").expect("an edit");
        editor
            .set_deadline(cache, "later", HOUR)
            .expect("a deadline");
        loader.send("list", "snapshot");
        loader.send_for_ever("later", "snapshot");
        let loaded = loader.loaded();
        assert_eq!((loaded.stored, loaded.skipped), (1, 1), "{cache}");
        assert_eq!(text(&editor, cache, "list"), before, "{cache}");
        let ttl = editor.ttl(cache, "later").expect("an answer");
        assert!(ttl.is_some_and(|ttl| ttl <= HOUR), "{cache}: {ttl:?}");
    }
}
