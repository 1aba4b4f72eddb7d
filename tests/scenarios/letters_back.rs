//! Dead letters that service-a publishes once more, where the ledger of their group is gone.

use std::collections::BTreeMap;

use crate::harness::{Raw, Scenario, Sent, Test, event_headers, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(dead_letters_go_back_as_they_were_sent_and_another_group_handles_them),
        scenario!(letters_that_cannot_go_back_are_named),
    ]
}

fn event(key: &str, id: &str, data: &str) -> Raw {
    let headers = event_headers(id, "com.example.told.v1");
    Raw::new(key, data).with(headers).header("content-type", "text/plain").header("x-own", b"\xff\0")
}

/// Which records each key has, in order.
fn per_key(sent: Vec<Sent>) -> BTreeMap<(i32, Option<Vec<u8>>), Vec<Raw>> {
    let mut keys = BTreeMap::<_, Vec<Raw>>::new();
    for Sent { partition, record, .. } in sent {
        keys.entry((partition, record.key.clone())).or_default().push(record);
    }
    keys
}

/// Catches: a header of the letter's left on or one of the sender's lost, a key or an id that changes, a letter that is
/// missed in one of the partitions, a name that is not UTF-8 taken for text.
fn dead_letters_go_back_as_they_were_sent_and_another_group_handles_them(test: &Test) {
    let topic = test.topic(3);
    let mut odd = Raw::new("k2", b"\xff\xfe");
    odd.headers = vec![(b"x-\xff".to_vec(), None), (b"__dlq.errors.topic".to_vec(), Some(b"mine".to_vec()))];
    let refused: Vec<Raw> = (0..20)
        .map(|number| {
            event(&format!("k{}", number % 5), &format!("id-{number}"), &format!("refuse 0 {number}"))
        })
        .chain([odd])
        .collect();
    test.records.send(topic, &refused);
    let mut first = test.scripted(&["--until-caught-up"]);
    assert_eq!(first.exit_code(soon()), Some(0));
    assert_eq!(test.records.all(&test.dead_letters()).len(), 21);

    let before = test.records.ends(topic);
    let mut a = test.service_a(&["--from-topic", &test.dead_letters(), "--output", "json"]);
    assert_eq!(a.exit_code(soon()), Some(0));
    let said: serde_json::Value = serde_json::from_str(&a.stdout()[0]).unwrap();
    assert_eq!((&said["published"], &said["acknowledged"]), (&21.into(), &21.into()), "{said}");

    // What is new is what was there, in the same partition, and of each key in the same order.
    let (old, new): (Vec<_>, Vec<_>) =
        test.records.all(topic).into_iter().partition(|sent| sent.offset < before[&sent.partition].1);
    assert!(per_key(new) == per_key(old), "the records differ: see {topic}");

    // Another group finds each event twice in the topic, by its id, and handles it once.
    let other = format!("{}-other", test.group);
    let mut b = test.service_b(&["--group", &other, "--until-caught-up"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    let mut ids: Vec<String> =
        printed(&b).into_iter().map(|(_, _, id)| id).filter(|id| id.starts_with("id-")).collect();
    ids.sort_by_key(|id| id[3..].parse::<u32>().unwrap());
    assert_eq!(ids, (0..20).map(|number| format!("id-{number}")).collect::<Vec<_>>());
}

/// Catches: an event without data published in the place of a large one, a header that sends records where its writer
/// likes, success claimed for what is left out, a limit that nobody keeps.
fn letters_that_cannot_go_back_are_named(test: &Test) {
    let topic = test.topic(1);
    let letter = |id: &str, from: &str| {
        event("k", id, "data").header("__dlq.errors.topic", from).header("__dlq.errors.group", "gone")
    };
    let pointer = Raw { value: None, ..letter("2", topic).header("__dlq.errors.omitted", "9 bytes") };
    let letters =
        [letter("1", topic), pointer, letter("3", "secret"), event("k", "4", "data"), letter("5", topic)];
    let from = test.dead_letters();
    if test.broker.has_admin() {
        // The embedded broker has it with the topic.
        test.broker.create_topic(&from, 1, &[]);
    }
    test.records.send(&from, &letters);
    let ids = || -> Vec<String> {
        test.records.all(topic).iter().map(|sent| sent.record.text("ce_id").unwrap()).collect()
    };

    let mut limited = test.service_a(&["--from-topic", &from, "--limit", "1"]);
    assert_eq!(limited.exit_code(soon()), Some(0));
    assert_eq!(
        (limited.stdout(), ids()),
        (vec!["published 1, acknowledged 1".to_owned()], vec!["1".to_owned()])
    );

    let mut all = test.service_a(&["--from-topic", &from]);
    assert_eq!(all.exit_code(soon()), Some(1));
    let line = "published 2, acknowledged 2, skipped 1 without their value, skipped 2 of no known topic";
    assert_eq!((all.stdout(), ids()), (vec![line.to_owned()], ["1", "1", "5"].map(str::to_owned).to_vec()));
    let said = all.stderr().join("\n");
    for (offset, why) in [(1, "too large"), (2, "secret"), (3, "no header")] {
        let place = format!("({from}/0/{offset}): ");
        let line = said.lines().find(|line| line.starts_with("not published: ") && line.contains(&place));
        assert!(line.is_some_and(|line| line.contains(why)), "{why} in {said}");
    }

    let mut told = test.service_a(&["--from-topic", &from, "--to-topic", topic]);
    assert_eq!(told.exit_code(soon()), Some(1), "the pointer goes nowhere");
    assert_eq!(ids()[3..], ["1", "3", "4", "5"]);

    let mut wrong = test.service_a(&["--from-topic", topic]);
    assert_eq!(wrong.exit_code(soon()), Some(2));
    assert!(wrong.stderr().concat().contains("is no dead-letter topic"));
}
