//! The first thing that a newcomer sees: ten events, in order; and how a run ends by itself.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::work::numbered;
use crate::harness::{ASSIGNED, Process, Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(ten_events_arrive_in_order_each_once),
        scenario!(a_late_subscriber_sees_everything),
        scenario!(an_early_subscriber_sees_everything),
        scenario!(until_caught_up_handles_the_backlog_and_says_how_fast),
        scenario!(until_caught_up_ends_on_an_empty_topic),
        scenario!(until_caught_up_ends_for_a_member_that_gets_no_partition),
        scenario!(until_caught_up_goes_on_behind_slow_handlers),
        scenario!(a_full_window_costs_no_time),
        scenario!(a_dry_run_sends_nothing),
        scenario!(a_files_lines_arrive_with_their_keys),
    ]
}

fn ten() -> Vec<String> {
    (0..10).map(|number| format!("event_{number}")).collect()
}

fn publish_ten(test: &Test) {
    let mut a = test.service_a(&["--interval", "10ms", "--partitions", "3"]);
    assert_eq!(a.exit_code(soon()), Some(0));
    assert_eq!(a.stdout(), ["published 10, acknowledged 10"]);
}

fn data(b: &Process) -> Vec<String> {
    printed(b).into_iter().map(|(_, data, _)| data).collect()
}

/// Catches: events without a common key (three partitions would mix them), a closing line that counts what was
/// sent instead of what was acknowledged, headers or content type that differ from the binding's.
fn ten_events_arrive_in_order_each_once(test: &Test) {
    publish_ten(test);
    let mut b = test.service_b(&[]);
    b.wait_for_line("Received message: event_9", soon());
    assert_eq!(b.stop(soon()), Some(0));
    assert_eq!(data(&b), ten());
    assert_eq!(b.stdout(), ["handled 10, dead letters 0"]);

    let records = test.records.all(&test.topic);
    assert_eq!(records.iter().map(|sent| sent.record.value_text()).collect::<Vec<_>>(), ten());
    let ids: Vec<_> = printed(&b).into_iter().map(|(_, _, id)| id).collect();
    for (sent, id) in records.iter().zip(ids) {
        let record = &sent.record;
        assert_eq!(record.key.as_deref(), Some(b"counter".as_slice()));
        let header = |name| record.text(name).unwrap_or_default();
        assert_eq!(header("ce_specversion"), "1.0");
        assert_eq!(header("ce_type"), "com.example.counter.event_created.v1");
        assert_eq!(header("ce_source"), "/service-a");
        assert_eq!(header("content-type"), "text/plain");
        assert_eq!(header("ce_id"), id);
        assert!(header("ce_time").ends_with('Z'), "{}", header("ce_time"));
    }
}

/// Catches: `auto.offset.reset` at its default, which skips what was there before.
fn a_late_subscriber_sees_everything(test: &Test) {
    publish_ten(test);
    let mut b = test.service_b(&[]);
    b.wait_for_line("Received message: event_9", soon());
    assert_eq!(data(&b), ten());
}

/// Catches: a subscriber that gives up on a topic which is not there yet, or does not make it.
fn an_early_subscriber_sees_everything(test: &Test) {
    let mut b = test.service_b(&[]);
    b.wait_for_line(ASSIGNED, soon());
    publish_ten(test);
    b.wait_for_line("Received message: event_9", soon());
    assert_eq!(data(&b), ten());
}

/// Catches: an end before the backlog's, no end at all, and offsets that were not committed at the end.
fn until_caught_up_handles_the_backlog_and_says_how_fast(test: &Test) {
    let topic = test.topic(3);
    test.records.send(topic, &numbered("", 0, 500, 20));
    let mut b = test.service_b(&["--until-caught-up"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    let line = b.stdout().concat();
    assert!(line.starts_with("handled 500, dead letters 0 in ") && line.ends_with(" events/s)"), "{line}");

    test.records.send(topic, &numbered("", 500, 7, 7));
    let mut again = test.service_b(&["--until-caught-up", "--output", "json"]);
    assert_eq!(again.exit_code(soon()), Some(0));
    let summary: Value = serde_json::from_str(&again.stdout().concat()).unwrap();
    assert_eq!(summary["handled"], 7, "{summary}");
    for name in ["dead_letters", "retries", "duplicates_possible"] {
        assert_eq!(summary[name], 0, "{summary}");
    }
    assert!(summary["events_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{summary}");
}

/// Catches: waiting for a first event that never comes.
fn until_caught_up_ends_on_an_empty_topic(test: &Test) {
    test.topic(3);
    let mut b = test.service_b(&["--until-caught-up"]);
    assert_eq!(b.exit_code(Duration::from_secs(20)), Some(0));
    assert!(b.stdout().concat().starts_with("handled 0, dead letters 0 in "), "{:?}", b.stdout());
}

/// Catches: waiting for an assignment that never comes, because there are more members than partitions.
fn until_caught_up_ends_for_a_member_that_gets_no_partition(test: &Test) {
    test.topic(1);
    for protocol in ["classic", "consumer"] {
        let group = format!("{}.{protocol}", test.group);
        let arguments = ["--group-protocol", protocol, "--group", &group];
        let mut first = test.service_b(&arguments);
        first.wait_for_line(ASSIGNED, soon());
        let mut second = test.service_b(&[&arguments[..], &["--until-caught-up"]].concat());
        assert_eq!(second.exit_code(soon()), Some(0), "{protocol}");
        assert_eq!(first.stop(soon()), Some(0));
    }
}

/// Catches: time in which the intake was paused, counted as a sign that nothing more comes.
fn until_caught_up_goes_on_behind_slow_handlers(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &numbered("sleep 6000", 0, 2, 2));
    test.records.send(topic, &numbered("ok", 2, 20, 20));
    let mut b = test.scripted(&["--window", "2", "--concurrency", "2", "--until-caught-up"]);
    b.wait_for_line("Trying: sleep", soon());
    test.broker.answer_late(Duration::from_millis(500));
    assert_eq!(b.exit_code(soon()), Some(0));
    assert_eq!(data(&b).len(), 22);
}

/// Catches: partitions that are paused because the window is full, and of which nothing is fetched for up to a second once
/// there is room.
fn a_full_window_costs_no_time(test: &Test) {
    const COUNT: usize = 400;
    let topic = test.topic(1);
    test.records.send(topic, &numbered("sleep 100", 0, COUNT, COUNT));
    let mut b = test.scripted(&["--window", "40", "--concurrency", "20", "--until-caught-up"]);
    let handled = |count: usize| {
        eventually(soon(), "they are handled", || (printed(&b).len() >= count).then_some(()));
    };
    handled(40);
    let start = Instant::now();
    handled(COUNT);
    // 18 times 100 ms is what it takes.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(b.exit_code(soon()), Some(0));
}

/// Catches: a dry run that connects, or sends.
fn a_dry_run_sends_nothing(test: &Test) {
    let topic = test.topic(1);
    let mut a = test.service_a(&["--dry-run", "--interval", "1ms"]);
    assert_eq!(a.exit_code(soon()), Some(0));
    let records: Vec<Value> = a.stdout().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(records.len(), 10, "{:?}", a.stdout());
    assert_eq!(test.records.all(topic), []);
}

/// Catches: keys that are not the field's value, lines that are changed on their way, a lost last line.
fn a_files_lines_arrive_with_their_keys(test: &Test) {
    let topic = test.topic(3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.ndjson");
    let lines: Vec<String> =
        (0..50).map(|number| format!(r#"{{"user":"u{}","n" : {number}}}"#, number % 5)).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let mut a =
        test.service_a(&["--from", file.to_str().unwrap(), "--key-field", "user", "--type", "a.b.v1"]);
    assert_eq!(a.exit_code(soon()), Some(0));
    assert_eq!(a.stdout(), ["published 50, acknowledged 50"]);

    let mut sent = test.records.all(topic);
    // By content: partitions have no order among each other, and within one it is the file's.
    for key in 0..5 {
        let of_key: Vec<String> = sent
            .iter()
            .filter(|sent| sent.record.key == Some(format!("u{key}").into_bytes()))
            .map(|sent| sent.record.value_text())
            .collect();
        let expected: Vec<&String> = lines.iter().skip(key).step_by(5).collect();
        assert_eq!(of_key.iter().collect::<Vec<_>>(), expected);
    }
    sent.retain(|sent| sent.record.text("content-type").as_deref() == Some("application/json"));
    assert_eq!(sent.len(), 50);
}
