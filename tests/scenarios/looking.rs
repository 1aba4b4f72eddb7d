//! What operators' tools show of streams, groups and records, and what they delete.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::work::numbered;
use crate::harness::{Raw, Scenario, Test, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_record_is_shown_with_all_its_bytes),
        scenario!(records_are_listed_from_wherever_one_wants),
        scenario!(a_group_is_described_and_not_disturbed),
        scenario!(a_group_of_the_new_protocol_says_what_cannot_be_seen, Admin),
        scenario!(a_stream_that_grows_is_described_with_its_rates),
        scenario!(streams_are_listed_while_others_come_and_go, Admin),
        scenario!(what_is_not_there_gets_a_sentence),
        scenario!(a_broker_that_is_away_gets_a_sentence_in_time),
        scenario!(a_stream_is_truncated_up_to_what_is_handled, Admin),
        scenario!(a_key_is_deleted_where_the_topic_is_compacted, Admin),
    ]
}

/// What a tool that succeeds prints, as an object a line.
fn objects(test: &Test, arguments: &[&str]) -> Vec<Value> {
    let (code, out, err) = test.answer(&[arguments, &["--output", "json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refused(test: &Test, arguments: &[&str], code: i32, needle: &str) {
    let (found, out, err) = test.answer(arguments);
    assert_eq!(found, Some(code), "{arguments:?}: {out}{err}");
    assert!(err.contains(needle) && !err.contains("panicked"), "{needle:?} is not in: {err}");
}

/// Catches: a listing that fails because of somebody else's topic.
fn streams_are_listed_while_others_come_and_go(test: &Test) {
    let topic = test.topic(1).to_owned();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let names = |number: usize| [format!("{}.{number}", test.group)];
            for number in (0..60).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                test.broker.create_topic(&names(number)[0], 6, &[]);
                test.broker.delete_topics(&names(number));
            }
        });
        let answers: Vec<_> =
            (0..20).map(|_| test.answer(&["streams", "list", "--limit", "10000"])).collect();
        is_over.store(true, Ordering::Relaxed);
        for (code, out, err) in answers {
            assert_eq!(code, Some(0), "{err}");
            assert!(out.contains(&topic), "{out}");
        }
    });
}

/// Catches: bytes that are lost on the way to the terminal, or obeyed by it.
fn a_record_is_shown_with_all_its_bytes(test: &Test) {
    let topic = test.topic(1).to_owned();
    let odd = Raw { key: None, value: Some(vec![0xff, 0]), headers: vec![(vec![0xfe], None)] };
    let plain = Raw::new("k\u{1b}[2J", "{\"a\":[1,2]}").header("name", "value");
    test.records.send(&topic, &[plain, odd]);
    let of = |offset: usize| objects(test, &["records", "get", &format!("{topic}/0/{offset}")]).remove(0);
    assert_eq!(of(0)["key"], "k\u{1b}[2J");
    assert_eq!(of(0)["headers"], json!([{ "name": "name", "value": "value" }]));
    assert_eq!(of(1)["value"], json!({ "base64": "/wA=" }));
    assert_eq!(of(1)["headers"], json!([{ "name": { "base64": "/g==" }, "value": null }]));
    assert!(of(1)["key"].is_null() && of(1)["offset"] == 1);
    let (_, shown, _) = test.answer(&["records", "get", &format!("{topic}/0/0")]);
    assert!(shown.contains("\"a\": [\n    1,") && shown.contains("k\\u{1b}[2J"), "{shown}");
}

/// Catches: a limit that is not kept, an end that is waited for, a partition left out.
fn records_are_listed_from_wherever_one_wants(test: &Test) {
    let topic = test.topic(2).to_owned();
    for partition in [0, 1] {
        test.records.send_to(&topic, partition, &numbered("", 0, 10, 1), Duration::ZERO);
    }
    let listed = |arguments: &[&str]| -> Vec<(i64, i64)> {
        let found = objects(test, &[&["records", "list", &topic], arguments].concat());
        found
            .iter()
            .map(|one| (one["partition"].as_i64().unwrap(), one["offset"].as_i64().unwrap()))
            .collect()
    };
    assert_eq!(listed(&[]).len(), 20);
    assert_eq!(listed(&["--from", "-1"]), [(0, 9), (1, 9)]);
    assert_eq!(listed(&["--partition", "1", "--from", "8"]), [(1, 8), (1, 9)]);
    assert_eq!(listed(&["--partition", "1", "--from", "3", "--limit", "2"]), [(1, 3), (1, 4)]);
    assert_eq!(listed(&["--partition", "1", "--from", "10"]), []);
    if test.broker.is_kafka() {
        // The embedded broker has no times.
        assert_eq!(listed(&["--from", "1h"]).len(), 20);
        assert_eq!(listed(&["--from", "2100-01-01T00:00:00Z"]), []);
    }
}

/// Catches: a look that joins the group, or commits for it; lag that is counted from elsewhere than what is committed.
fn a_group_is_described_and_not_disturbed(test: &Test) {
    let topic = test.topic(3).to_owned();
    test.records.send(&topic, &numbered("ok", 0, 30, 9));
    let mut b = test.scripted(&[]);
    eventually(soon(), "all is committed", || {
        (test.records.committed(&test.group, &topic).values().sum::<i64>() == 30).then_some(())
    });
    let before = b.stderr().len();
    let described = objects(test, &["groups", "describe", &test.group, "--for", "1s"]);
    let whole = described.last().unwrap();
    assert_eq!((&whole["lag"], &whole["drain"]), (&json!(0), &json!("caught_up")), "{whole}");
    if test.broker.is_kafka() {
        assert_eq!((&whole["members"], &whole["state"]), (&json!(1), &json!("Stable")), "{whole}");
        let owned = described.iter().filter(|one| one["of"] == "partition" && one["owner"].is_string());
        assert_eq!(owned.count(), 3);
        assert_eq!(whole["partitions_a_member"], json!({ "mean": 3.0, "range": 0.0 }));
        let listed = objects(test, &["groups", "list"]);
        assert!(listed.iter().any(|one| one["group"] == *test.group && one["members"] == 1), "{listed:?}");
    } else {
        assert!(whole["members_hidden"].as_str().unwrap().contains("embedded"), "{whole}");
        refused(test, &["groups", "list"], 1, "embedded");
    }
    let said = b.stderr()[before..].concat();
    assert!(!said.contains("revoked") && !said.contains("assigned"), "{said}");
    assert_eq!(b.stop(soon()), Some(0));

    test.records.send(&topic, &numbered("ok", 30, 12, 9));
    let described = objects(test, &["streams", "describe", &topic, "--for", "1s"]);
    let whole = described.last().unwrap();
    assert_eq!((&whole["lag"], &whole["drain"]), (&json!(12), &json!("never")), "{whole}");
    let behind = |one: &Value| one["behind_seconds"].as_f64().unwrap();
    let late = described.iter().filter(|one| one["of"] == "partition" && one["lag"].as_i64().unwrap() > 0);
    assert!(
        late.clone().count() > 0 && late.clone().all(|one| (0.0..60.0).contains(&behind(one))),
        "{described:?}"
    );
    assert_eq!(test.records.committed(&test.group, &topic).values().sum::<i64>(), 30);
}

/// Catches: a group that seems to have no members, or to be dead, because this client cannot see them.
fn a_group_of_the_new_protocol_says_what_cannot_be_seen(test: &Test) {
    let topic = test.topic(1).to_owned();
    test.records.send(&topic, &numbered("ok", 0, 10, 2));
    let mut b = test.scripted(&["--group-protocol", "consumer"]);
    eventually(soon(), "all is committed", || {
        (test.records.committed(&test.group, &topic).values().sum::<i64>() == 10).then_some(())
    });
    let whole = objects(test, &["groups", "describe", &test.group, "--for", "1s"]).pop().unwrap();
    assert!(
        whole["members_hidden"].as_str().unwrap().contains("KIP-848") && whole["state"].is_null(),
        "{whole}"
    );
    assert_eq!(whole["lag"], 0);
    let listed = objects(test, &["groups", "list"]);
    assert!(listed.iter().any(|one| one["group"] == *test.group && one["members"].is_null()), "{listed:?}");
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: a rate in other units, samples that are all taken at once.
fn a_stream_that_grows_is_described_with_its_rates(test: &Test) {
    let topic = test.topic(2).to_owned();
    test.records.send(&topic, &numbered("ok", 0, 10, 2));
    let a = test.service_a(&["--count", "100000", "--rate", "200"]);
    eventually(soon(), "events come", || (test.records.all(&topic).len() > 50).then_some(()));
    let start = Instant::now();
    let whole = objects(test, &["streams", "describe", &topic, "--for", "3s"]).pop().unwrap();
    assert!(start.elapsed() > Duration::from_secs(3));
    let rate = whole["production"]["rate"].as_f64().unwrap();
    assert!((100.0..300.0).contains(&rate), "{whole}");
    assert_eq!((&whole["consumption"]["rate"], &whole["drain"]), (&json!(0.0), &json!("never")), "{whole}");
    drop(a);
}

/// Catches: an empty answer, or a topic that is made by asking for it.
fn what_is_not_there_gets_a_sentence(test: &Test) {
    let topic = test.topic(1).to_owned();
    test.records.send(&topic, &[Raw::new("k", "one")]);
    refused(
        test,
        &["records", "get", &format!("{topic}/0/1")],
        1,
        "has no offset 1: its records are at 0 to 0",
    );
    refused(test, &["records", "get", &format!("{topic}/1/0")], 1, "no partition 1");
    refused(test, &["records", "list", &topic, "--from", "7"], 1, "ends at offset 1");
    refused(test, &["records", "get", "not-a-place"], 2, "topic1/0/42");
    for noun in ["records list", "streams describe"] {
        let words: Vec<&str> = noun.split(' ').chain(["pair.nowhere"]).collect();
        refused(test, &words, 1, "there is no topic pair.nowhere");
        refused(test, &words, 1, "there is no topic pair.nowhere");
    }
    refused(test, &["groups", "describe", "pair-nobody"], 1, "there is no group pair-nobody");
    refused(test, &["streams", "pause", "no/topic"], 1, "is not a topic name");
    if test.store().starts_with("sqlite:") {
        refused(test, &["streams", "pause", &topic], 1, "there is no store at");
    }
    if !test.broker.is_kafka() {
        let truncate =
            ["streams", "truncate", &topic, "--partition", "0", "--before", "1", "--force", "--yes"];
        refused(test, &truncate, 1, "the embedded one has no administrative requests");
    }
}

/// Catches: a tool that waits as a service does.
fn a_broker_that_is_away_gets_a_sentence_in_time(test: &Test) {
    for words in ["streams list", "groups list", "records get topic1/0/0", "streams describe topic1"] {
        let words: Vec<&str> = words.split(' ').chain(["--bootstrap-servers", "127.0.0.1:1"]).collect();
        let start = Instant::now();
        refused(test, &words, 1, "no Kafka broker answers at 127.0.0.1:1");
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    }
}

/// Catches: records that are deleted unasked, or before they are handled.
fn a_stream_is_truncated_up_to_what_is_handled(test: &Test) {
    let topic = test.topic(1).to_owned();
    test.records.send(&topic, &numbered("ok", 0, 10, 1));
    let mut b = test.scripted(&["--until-caught-up"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    test.records.send(&topic, &numbered("ok", 10, 5, 1));
    let truncate = |before, more: &[&'static str]| {
        [["streams", "truncate", &topic, "--partition", "0", "--before", before].as_slice(), more].concat()
    };
    let refuse = |given: Vec<&str>, code, needle| refused(test, &given, code, needle);
    refuse(truncate("4", &[]), 2, "say --yes if that is meant");
    refuse(truncate("12", &["--yes"]), 1, "has not handled");
    refuse(truncate("99", &["--yes", "--force"]), 1, "ends at offset 15");
    assert_eq!(test.records.all(&topic).len(), 15, "nothing was deleted");
    let rows = test.sql("select count(*) from events");
    for (before, more, left) in [("4", ["--yes"].as_slice(), 11), ("12", &["--yes", "--force"], 3)] {
        let answer = objects(test, &truncate(before, more)).remove(0);
        assert_eq!(answer["low"].to_string(), before, "{answer}");
        assert_eq!(test.records.all(&topic).len(), left);
    }
    assert_eq!(test.sql("select count(*) from events"), rows);
}

/// Catches: a tombstone in a topic that keeps everything.
fn a_key_is_deleted_where_the_topic_is_compacted(test: &Test) {
    let topic = test.topic(1).to_owned();
    refused(test, &["streams", "delete-key", &topic, "--key", "k", "--yes"], 1, "is not compacted");
    let compacted = format!("{topic}.compacted");
    test.broker.create_topic(&compacted, 1, &[("cleanup.policy", "compact")]);
    test.records.send(&compacted, &[Raw::new("k", "one"), Raw::new("l", "two")]);
    refused(test, &["streams", "delete-key", &compacted, "--key", "k"], 2, "say --yes if that is meant");
    objects(test, &["streams", "delete-key", &compacted, "--key", "k", "--yes"]);
    let last = test.records.all(&compacted).pop().unwrap().record;
    assert_eq!((last.key.as_deref(), last.value), (Some(b"k".as_slice()), None));
    test.broker.delete_topics(&[compacted]);
}
