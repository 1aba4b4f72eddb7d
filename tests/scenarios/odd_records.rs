//! Every record that anyone may have sent, and how each ends. The good ones around them are handled.

use std::collections::BTreeMap;

use crate::harness::{Raw, Scenario, Sent, Test, event_headers, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(bad_records_become_dead_letters_with_their_reason_and_their_bytes),
        scenario!(odd_records_that_are_events_are_handled),
    ]
}

const TYPE: &str = "com.example.odd.v1";

fn text(value: impl AsRef<[u8]>) -> Raw {
    Raw { value: Some(value.as_ref().to_vec()), ..Raw::default() }.header("content-type", "text/plain")
}

fn json(value: impl AsRef<[u8]>) -> Raw {
    Raw { value: Some(value.as_ref().to_vec()), ..Raw::default() }.header("content-type", "application/json")
}

/// Bad records: what the dead letter's reason must say of each.
fn bad() -> Vec<(&'static str, Raw)> {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let event = |missing: &str| {
        let headers = event_headers("1", TYPE).into_iter().filter(|(name, _)| name != missing.as_bytes());
        Raw::new("k", "v").with(headers.collect())
    };
    let structured =
        |value: &str| Raw::new("k", value).header("content-type", "application/cloudevents+json");
    vec![
        ("not UTF-8", text(b"caf\xe9 \xff\x00")),
        ("not the JSON expected", json(r#"{"a":[1,2"#)),
        ("recursion limit", json(deep)),
        ("header name is not UTF-8", Raw::new("k", "v").header(b"caf\xe9", b"\xff")),
        (
            "ce_specversion",
            Raw::new("k", "v").header("ce_specversion", "9.9").with(event_headers("1", TYPE)[1..].to_vec()),
        ),
        ("ce_id", event("ce_id")),
        ("ce_source", event("ce_source")),
        ("ce_type", event("ce_type")),
        ("ce_specversion", event("ce_specversion")),
        ("null value", Raw { key: Some(b"k".to_vec()), ..Raw::default() }),
        ("JSON", structured(r#"{"specversion":"1.0","id":"#)),
        ("type", structured(r#"{"specversion":"1.0","id":"1","source":"/s"}"#)),
        ("JSON", structured("[1]")),
    ]
}

/// Catches: any of them stopping the partition (a panic in the client library among them), being skipped in
/// silence, or arriving in the dead-letter topic with bytes, headers, origin or reason changed.
fn bad_records_become_dead_letters_with_their_reason_and_their_bytes(test: &Test) {
    let topic = test.topic(1);
    let bad = bad();
    let mut records = Vec::new();
    for (_, raw) in &bad {
        records.push(Raw::new("good", format!("good_{}", records.len() / 2)));
        records.push(raw.clone());
    }
    records.push(Raw::new("good", "the last"));
    test.records.send(topic, &records);
    let mut b = test.service_b(&["--until-caught-up"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    let ends = format!("handled {}, dead letters {}", bad.len() + 1, bad.len());
    assert!(b.stdout().concat().starts_with(&ends), "{:?}", b.stdout());
    let good = printed(&b).into_iter().map(|(_, data, _)| data).collect::<Vec<_>>();
    assert_eq!(good.len(), bad.len() + 1, "{good:?}");

    let letters: BTreeMap<String, Raw> = test
        .records
        .all(&test.dead_letters())
        .into_iter()
        .map(|sent| (sent.record.text("__dlq.errors.offset").unwrap_or_default(), sent.record))
        .collect();
    let sent: BTreeMap<i64, Sent> =
        test.records.all(topic).into_iter().map(|sent| (sent.offset, sent)).collect();
    assert_eq!(letters.len(), bad.len(), "{:?}", letters.keys());
    for (index, (reason, raw)) in bad.iter().enumerate() {
        let offset = 2 * index as i64 + 1;
        let letter = letters
            .get(&offset.to_string())
            .unwrap_or_else(|| panic!("no dead letter of {offset}: {reason}"));
        assert_eq!(sent[&offset].record, *raw, "the record that was meant stands there");
        assert_eq!((&letter.key, &letter.value), (&raw.key, &raw.value), "{reason}");
        assert_eq!(letter.headers[..raw.headers.len()], raw.headers, "{reason}");
        assert_eq!(letter.headers.len(), raw.headers.len() + 6);
        let added = |name: &str| letter.text(&format!("__dlq.errors.{name}")).unwrap_or_default();
        assert_eq!(added("topic"), *topic);
        assert_eq!(added("partition"), "0");
        assert_eq!(added("group"), test.group);
        assert!(added("delivery.count").parse::<u32>().is_ok_and(|count| count <= 1), "{reason}");
        assert!(added("message").contains(reason), "{:?} does not say {reason:?}", added("message"));
    }
}

/// Odd records that are events nevertheless: what is printed of each.
fn odd() -> Vec<(String, Raw)> {
    let structured = r#"{"specversion":"1.0","id":"s","source":"/s","type":"t.v1","datacontenttype":"text/plain","data":"structured"}"#;
    let many = (0..10_000).map(|i| (format!("h{i}").into_bytes(), Some(b"v".to_vec()))).collect();
    let no_value = Raw { key: Some(b"k".to_vec()), ..Raw::default() };
    vec![
        ("null key".to_owned(), text("null key")),
        ("empty key".to_owned(), Raw::new("", "empty key")),
        (String::new(), Raw::new("k", "")),
        ("5 bytes: ff 00 01 fe 7f".to_owned(), Raw::new("k", [0xff, 0, 1, 0xfe, 0x7f])),
        (format!("{}… (1048576 bytes)", "x".repeat(200)), text("x".repeat(1024 * 1024))),
        ("many headers".to_owned(), Raw::new("k", "many headers").with(many)),
        ("twice".to_owned(), Raw::new("k", "twice").header("a", "1").header("a", "2").header("a", "1")),
        ("plain".to_owned(), Raw::new("k", "plain")),
        ("(no data)".to_owned(), no_value.with(event_headers("n", TYPE))),
        (
            "structured".to_owned(),
            Raw::new("k", structured).header("content-type", "Application/CloudEvents+JSON; charset=UTF-8"),
        ),
        ("not json".to_owned(), Raw::new("k", "not json").header("content-type", "application/unheard-of")),
    ]
}

/// Catches: null taken for empty, a size or a count that was not thought of, structured mode not recognised.
fn odd_records_that_are_events_are_handled(test: &Test) {
    let topic = test.topic(1);
    let odd = odd();
    let records: Vec<Raw> = odd.iter().map(|(_, raw)| raw.clone()).collect();
    test.records.send(topic, &records);
    let mut b = test.service_b(&["--until-caught-up", "--concurrency", "1"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    let ends = format!("handled {}, dead letters 0", odd.len());
    assert!(b.stdout().concat().starts_with(&ends), "{:?}", b.stdout());
    let mut shown: Vec<String> = printed(&b).into_iter().map(|(_, data, _)| data).collect();
    let mut expected: Vec<String> = odd.into_iter().map(|(data, _)| data).collect();
    // Different keys are under way at once.
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
}
