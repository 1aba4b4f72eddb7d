//! A stream's events once more: in the shadow, and for the group.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{ASSIGNED, Raw, Scenario, Test, event_headers, eventually, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_shadow_finds_what_would_differ_and_applies_nothing),
        scenario!(what_the_ledger_has_lost_is_replayed_once),
        scenario!(where_not_every_event_has_a_row_nothing_is_replayed),
        scenario!(statistics_are_rebuilt_beside_what_stands_and_take_its_place),
    ]
}

/// Exit code, what is printed as an object a line, and what is logged.
fn replayed(test: &Test, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let asked = [&["streams", "replay", &test.topic], arguments, &["--output", "json"]].concat();
    let (code, out, err) = test.answer(&asked);
    (code, out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), err)
}

fn ids(lines: &[Value]) -> BTreeSet<&str> {
    lines.iter().filter_map(|line| line["id"].as_str()).collect()
}

fn wait_until_handled(test: &Test, count: usize) {
    let settled = "select count(*) from events where status in ('handled', 'dead')";
    eventually(soon(), "all is settled", || (test.sql(settled) == count as i64).then_some(()));
    eventually(soon(), "all is committed", || {
        let committed = test.records.committed(&test.group, &test.topic);
        (committed.values().sum::<i64>() == count as i64).then_some(())
    });
}

/// Everything that a replay could change.
fn state(test: &Test) -> (Vec<i64>, Vec<(i32, i64)>) {
    let operations = if test.store().starts_with("sqlite:") { "operations" } else { "operation" };
    let queries = [
        "select count(*) from ledger".to_owned(),
        "select count(*) from ledger where status = 2".to_owned(),
        "select coalesce(sum(attempts), 0) from ledger".to_owned(),
        "select count(*) from event_statistics".to_owned(),
        "select coalesce(sum(events), 0) from event_statistics".to_owned(),
        "select count(*) from outbox".to_owned(),
        format!("select count(*) from {operations}"),
    ];
    let committed = test.records.committed(&test.group, &test.topic);
    (queries.iter().map(|query| test.sql(query)).collect(), committed.into_iter().collect())
}

/// Catches: an effect that is applied, an offset that is committed, a difference that is not seen or not there.
fn a_shadow_finds_what_would_differ_and_applies_nothing(test: &Test) {
    let topic = test.topic(2).to_owned();
    let of = |id: &str, ty: &str, data: &str| {
        Raw::new(id, data).with(event_headers(id, ty)).header("content-type", "application/json")
    };
    test.records.send(
        &topic,
        &[
            of("good", "com.example.logged.v1", "{}"),
            of("bad", "com.example.logged.v1", "{"),
            of("counted", "com.example.counted.v1", "{\"a\":1}"),
            of("again", "com.example.counted.v1", "{\"a\":2}"),
        ],
    );
    let live = ["--handle", "com.example.logged.*=log", "--handle", "com.example.counted.*=statistics"];
    let mut b = test.service_b(&live);
    b.wait_for_line(ASSIGNED, soon());
    wait_until_handled(test, 4);
    eventually(soon(), "the letter is published", || {
        (test.sql("select count(*) from outbox") == 0).then_some(())
    });
    let before = state(test);
    assert_eq!(before.0[4], 2, "{before:?}");

    let shadow = |arguments: &[&str]| replayed(test, &[&["--shadow"], arguments].concat());
    // A new version that takes what the old one did not.
    let (code, lines, err) = shadow(&["--handle", "*=discard"]);
    assert_eq!((code, ids(&lines)), (Some(1), BTreeSet::from(["bad"])), "{lines:?} {err}");
    let bad = lines.last().unwrap();
    assert_eq!((&bad["would"], &bad["ledger"]), (&"handled".into(), &"dead".into()), "{bad}");
    assert!(err.contains("1 of 4 events would end differently"), "{err}");
    // One that would kill what the old one handled.
    let (code, lines, _) = shadow(&["--handle", "com.example.counted.*=statistics"]);
    assert_eq!((code, ids(&lines)), (Some(1), BTreeSet::from(["good"])), "{lines:?}");
    assert!(lines.last().unwrap()["reason"].as_str().unwrap().contains("no handler"), "{lines:?}");
    // The one that is there.
    let (code, lines, err) = shadow(&[&live[..], &["--reaching"]].concat());
    assert_eq!((code, ids(&lines)), (Some(0), BTreeSet::new()), "{lines:?} {err}");
    assert_eq!(lines.iter().map(|line| line["count"].as_u64().unwrap()).sum::<u64>(), 4, "{lines:?}");
    let (code, lines, err) = shadow(&live);
    assert_eq!((code, lines.len()), (Some(1), 0), "{err}");
    assert!(err.contains("--reaching") && err.contains("com.example.logged.*"), "{err}");

    assert_eq!(state(test), before);
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: an event that is replayed twice, or although it has a row or is on its way; one that is forgotten; an offset that
/// moves.
fn what_the_ledger_has_lost_is_replayed_once(test: &Test) {
    const COUNT: usize = 300;
    let topic = test.topic(3).to_owned();
    let event = |number: usize| {
        let id = format!("e-{number}");
        Raw::new(format!("k{}", number % 7), format!("effect 0 {number}"))
            .with(event_headers(&id, "com.example.ordered.v1"))
    };
    test.records.send(&topic, &(0..COUNT).map(event).collect::<Vec<_>>());
    let mut b = test.pure(&[]);
    b.wait_for_line(ASSIGNED, soon());
    wait_until_handled(test, COUNT);
    let lose = |numbers: &[usize]| {
        let ids: Vec<String> = numbers.iter().map(|number| format!("'e-{number}'")).collect();
        let ids = ids.join(", ");
        test.change_store(
            &format!("delete from ledger where id in ({ids})"),
            &format!("delete from ledger where convert_from(id, 'UTF8') in ({ids})"),
        );
    };
    let missing: Vec<usize> = (0..COUNT).step_by(9).collect();
    lose(&missing);
    let committed = test.records.committed(&test.group, &topic);

    let limit = COUNT.to_string();
    let (code, mut lines, err) = replayed(test, &["--limit", &limit]);
    let sum = lines.pop().unwrap();
    let expected: Vec<String> = missing.iter().map(|number| format!("e-{number}")).collect();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(ids(&lines), expected.iter().map(String::as_str).collect());
    assert_eq!((&sum["gaps"], &sum["replayed"]), (&missing.len().into(), &0.into()), "{sum}");
    assert_eq!(test.sql("select count(*) from events"), (COUNT - missing.len()) as i64, "only looked at");

    let replay = || {
        let (code, lines, err) = replayed(test, &["--yes"]);
        assert_eq!(code, Some(0), "{err}");
        lines.last().unwrap()["replayed"].as_u64().unwrap() as usize
    };
    assert_eq!(replay(), missing.len());
    assert_eq!(replay(), 0);
    let handled = "select count(*) from events where status = 'handled'";
    // A second, and what a busy machine takes.
    eventually(Duration::from_secs(5), "its owner handles them", || {
        (test.sql(handled) == COUNT as i64).then_some(())
    });
    let applied = |at_least: usize| {
        test.sql(&format!(
            "select count(*) from (select number from test_applied group by number having count(*) >= {at_least}) as n"
        ))
    };
    assert_eq!([applied(1), applied(2), applied(3)], [COUNT as i64, missing.len() as i64, 0]);
    assert_eq!(test.records.committed(&test.group, &topic), committed);

    // With nobody there: it waits for the next owner, as what is ahead of the group does.
    assert_eq!(b.stop(soon()), Some(0));
    lose(&[1, 2]);
    let ahead = 10;
    test.records.send(&topic, &(COUNT..COUNT + ahead).map(event).collect::<Vec<_>>());
    assert_eq!(replay(), 2);
    let mut b = test.pure(&[]);
    b.wait_for_line(ASSIGNED, soon());
    wait_until_handled(test, COUNT + ahead);
    assert_eq!([applied(1), applied(2), applied(3)], [(COUNT + ahead) as i64, missing.len() as i64 + 2, 0]);
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: effects twice, where no row does not mean that an event was not handled.
fn where_not_every_event_has_a_row_nothing_is_replayed(test: &Test) {
    let topic = test.topic(1).to_owned();
    test.records.send(&topic, &[Raw::new("k", "ok").with(event_headers("1", "com.example.ordered.v1"))]);
    let mut b = test.pure(&["--delivery", "at-least-once"]);
    b.wait_for_line(ASSIGNED, soon());
    eventually(soon(), "all is committed", || {
        (test.records.committed(&test.group, &topic).values().sum::<i64>() == 1).then_some(())
    });
    let (code, lines, err) = replayed(test, &["--yes"]);
    assert_eq!((code, lines.len()), (Some(1), 0), "{err}");
    assert!(err.contains("cannot tell what was missed"), "{err}");
    // What would die now was handled: the shadow knows that much.
    let (code, lines, err) = replayed(test, &["--shadow", "--handle", "other=discard"]);
    assert_eq!((code, ids(&lines)), (Some(1), BTreeSet::from(["1"])), "{err}");
    assert_eq!(lines.last().unwrap()["ledger"], "not recorded");
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: an event that is counted twice or not at all, what stood and is mixed in, a topic that stays paused.
fn statistics_are_rebuilt_beside_what_stands_and_take_its_place(test: &Test) {
    const COUNT: usize = 600;
    let topic = test.topic(2).to_owned();
    let of = |id: usize| {
        let (id, data) = (format!("e-{id}"), format!("{{\"total\":{}}}", id % 7));
        Raw::new(format!("k{}", id.len()), data).with(event_headers(&id, "com.example.counted.v1"))
    };
    // The last ten are sent twice.
    let all: Vec<Raw> = (0..COUNT).chain(COUNT - 10..COUNT).map(of).collect();
    test.records.send(&topic, &all);
    let counts = ["--handle", "*=statistics", "--statistics-field", "total"];
    let mut b = test.service_b(&counts);
    b.wait_for_line(ASSIGNED, soon());
    let stands = |what: &str| {
        test.sql(&format!(
            "select coalesce(sum({what}), 0) from event_statistics where consumer_group = '{}'",
            test.group
        ))
    };
    eventually(soon(), "all are counted", || (stands("events") == COUNT as i64).then_some(()));
    let (sum, rows) = (stands("cast(sum as integer)"), stands("1"));
    let broken = "update event_statistics set events = 77, sum = 1.5";
    test.change_store(broken, broken);

    let rebuild = |arguments: &[&str]| replayed(test, &[&["--rebuild", "statistics"], arguments].concat());
    let (code, _, err) = rebuild(&["--handle", "*=discard"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no handler is statistics"), "{err}");
    let (code, lines, err) = rebuild(&counts);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(lines[0]["counted"], COUNT, "{lines:?}");
    assert_eq!((stands("events"), stands("cast(sum as integer)"), stands("1")), (COUNT as i64, sum, rows));
    assert_eq!(test.sql("select count(*) from event_statistics"), rows, "nothing beside it");
    // It goes on from there.
    test.records.send(&topic, &[of(COUNT)]);
    eventually(soon(), "the next one is counted", || (stands("events") == COUNT as i64 + 1).then_some(()));
    assert_eq!(b.stop(soon()), Some(0));
}
