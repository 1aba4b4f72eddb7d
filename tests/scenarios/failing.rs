//! Handlers that fail: for now, for good, by panic, by not answering.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Process, Raw, Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_transient_failure_is_tried_again_and_only_its_key_waits),
        scenario!(a_permanent_failure_is_a_dead_letter_with_its_count),
        scenario!(a_panic_is_a_dead_letter_and_the_rest_goes_on),
        scenario!(a_handler_that_does_not_answer_is_tried_again),
        scenario!(a_failure_that_outlasts_its_time_is_a_dead_letter),
        scenario!(a_stop_ends_in_time_though_an_attempt_is_due_much_later),
    ]
}

fn run(test: &Test, arguments: &[&str], records: &[Raw]) -> (Process, Value) {
    test.records.send(test.topic(1), records);
    let all = [arguments, &["--until-caught-up", "--output", "json"]].concat();
    let mut b = test.scripted(&all);
    assert_eq!(b.exit_code(soon()), Some(0));
    let summary = serde_json::from_str(&b.stdout().concat()).unwrap();
    (b, summary)
}

fn data(b: &Process) -> Vec<String> {
    printed(b).into_iter().map(|(_, data, _)| data).collect()
}

/// The value, delivery count and reason of each dead letter.
fn letters(test: &Test) -> Vec<(String, String, String)> {
    let all = test.records.all(&test.dead_letters());
    let said = |record: &Raw, name: &str| record.text(&format!("__dlq.errors.{name}")).unwrap_or_default();
    all.iter()
        .map(|sent| {
            (sent.record.value_text(), said(&sent.record, "delivery.count"), said(&sent.record, "message"))
        })
        .collect()
}

/// Catches: a retry that lets a later event of its key pass, that holds other keys, or that blocks its lane.
fn a_transient_failure_is_tried_again_and_only_its_key_waits(test: &Test) {
    let records = [
        Raw::new("k1", "fail 4 first"),
        Raw::new("k1", "ok second"),
        Raw::new("k2", "ok other"),
        Raw::new("k3", "ok another"),
    ];
    let (b, summary) = run(test, &["--retry-first", "200ms", "--retry-max", "500ms"], &records);
    let data = data(&b);
    assert_eq!(data.len(), 4);
    let mut others = data[..2].to_vec();
    others.sort();
    assert_eq!(others, ["ok another", "ok other"], "other keys go on meanwhile");
    assert_eq!(data[2..], ["fail 4 first", "ok second"], "its own key waits");
    assert_eq!((&summary["handled"], &summary["retries"]), (&4.into(), &4.into()));
    assert_eq!(letters(test), []);
}

/// Catches: a permanent failure that is tried again, a count that is off by one, a reason that is lost.
fn a_permanent_failure_is_a_dead_letter_with_its_count(test: &Test) {
    let records = [Raw::new("k1", "refuse 0 a"), Raw::new("k2", "refuse 2 b"), Raw::new("k1", "ok after a")];
    let (b, summary) = run(test, &["--retry-first", "50ms"], &records);
    assert_eq!(data(&b), ["ok after a"]);
    let mut letters = letters(test);
    letters.sort();
    let letter = |data: &str, count: &str| (data.to_owned(), count.to_owned(), "refused as told".to_owned());
    assert_eq!(letters, [letter("refuse 0 a", "1"), letter("refuse 2 b", "3")]);
    assert_eq!((&summary["handled"], &summary["dead_letters"]), (&1.into(), &2.into()));
}

/// Catches: a panic that takes its lane, its task or the process with it.
fn a_panic_is_a_dead_letter_and_the_rest_goes_on(test: &Test) {
    let records = [Raw::new("k1", "panic"), Raw::new("k1", "ok after"), Raw::new("k2", "ok other")];
    let (b, _) = run(test, &["--lanes", "1"], &records);
    assert_eq!(data(&b).len(), 2);
    let letters = letters(test);
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].0.as_str(), letters[0].1.as_str()), ("panic", "1"));
    assert!(letters[0].2.contains("panicked: as told"), "{letters:?}");
}

/// Catches: a handler without a timeout, and one whose timeout counts as its event's fault.
fn a_handler_that_does_not_answer_is_tried_again(test: &Test) {
    let records = [Raw::new("k1", "hang 1"), Raw::new("k1", "ok after"), Raw::new("k2", "ok other")];
    let (b, summary) = run(test, &["--handler-timeout", "300ms", "--retry-first", "50ms"], &records);
    assert_eq!(data(&b), ["ok other", "hang 1", "ok after"]);
    assert_eq!((&summary["handled"], &summary["retries"]), (&3.into(), &1.into()));
}

/// Catches: retries without end, and retries that end before their time.
fn a_failure_that_outlasts_its_time_is_a_dead_letter(test: &Test) {
    let settings = ["--retry-first", "100ms", "--retry-max", "200ms", "--retry-for", "1s"];
    let records = [
        Raw::new("k1", "fail 999"),
        Raw::new("k1", "ok after"),
        Raw::new("k2", "sleep 500 proves that it can"),
    ];
    let (b, _) = run(test, &settings, &records);
    assert_eq!(data(&b), ["sleep 500 proves that it can", "ok after"]);
    let letters = letters(test);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(letters[0].1.parse::<u32>().is_ok_and(|count| count >= 3), "{letters:?}");
    assert!(letters[0].2.contains("as told"), "{letters:?}");
}

/// Catches: a stop that waits for a retry beyond its deadline, and one that forgets what waits in the ledger.
fn a_stop_ends_in_time_though_an_attempt_is_due_much_later(test: &Test) {
    let topic = test.topic(1);
    test.records
        .send(topic, &[Raw::new("k0", "ok before"), Raw::new("k1", "fail 1"), Raw::new("k1", "ok after")]);
    let mut b = test.scripted(&["--retry-first", "10s", "--retry-max", "10s", "--shutdown-deadline", "3s"]);
    b.wait_for_line("Trying: fail", soon());
    eventually(soon(), "all is committed, because it is in the ledger", || {
        (test.records.committed(&test.group, topic).get(&0) == Some(&3)).then_some(())
    });
    let start = Instant::now();
    assert_eq!(b.stop(Duration::from_secs(10)), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    // Of a new process it is the first attempt again, so that it fails once more, and shortly after succeeds.
    let mut again = test.scripted(&["--until-caught-up", "--retry-first", "50ms"]);
    assert_eq!(again.exit_code(soon()), Some(0));
    assert_eq!(data(&again), ["fail 1", "ok after"]);
}
