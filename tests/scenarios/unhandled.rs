//! Events of a type that no handler is for.

use crate::harness::{Raw, Scenario, Test, event_headers, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(an_event_without_a_handler_is_a_dead_letter),
        scenario!(an_event_without_a_handler_is_skipped_if_told),
        scenario!(the_most_specific_handler_gets_the_event),
    ]
}

fn one_without_a_handler(test: &Test, unhandled: &[&str]) -> Vec<String> {
    let topic = test.topic(1);
    let known = Raw::new("k", "known").with(event_headers("1", "com.example.known.v1"));
    let unknown = Raw::new("k", "unknown").with(event_headers("2", "com.elsewhere.v1"));
    test.records.send(topic, &[unknown, known]);
    let mut b =
        test.service_b(&[&["--handle", "com.example.*=log", "--until-caught-up"], unhandled].concat());
    assert_eq!(b.exit_code(soon()), Some(0));
    assert_eq!(printed(&b).into_iter().map(|(_, data, _)| data).collect::<Vec<_>>(), ["known"]);
    let letters = test.records.all(&test.dead_letters());
    letters.iter().map(|sent| sent.record.text("__dlq.errors.message").unwrap_or_default()).collect()
}

/// Catches: an event that disappears because nobody wanted it.
fn an_event_without_a_handler_is_a_dead_letter(test: &Test) {
    let reasons = one_without_a_handler(test, &[]);
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("com.elsewhere.v1"), "{reasons:?}");
}

/// Catches: `--unhandled skip` without effect.
fn an_event_without_a_handler_is_skipped_if_told(test: &Test) {
    assert_eq!(one_without_a_handler(test, &["--unhandled", "skip"]), [""; 0]);
}

/// Catches: handlers tried in the order in which they were given.
fn the_most_specific_handler_gets_the_event(test: &Test) {
    let topic = test.topic(1);
    let event = |number: &str, ty: &str| Raw::new("k", number).with(event_headers(number, ty));
    test.records.send(topic, &[event("1", "a.b.v1"), event("2", "a.c.v1"), event("3", "d.v1")]);
    let handlers = ["--handle", "*=discard", "--handle", "a.*=log", "--handle", "a.c.v1=discard"];
    let mut b = test.service_b(&[handlers.as_slice(), &["--until-caught-up"]].concat());
    assert_eq!(b.exit_code(soon()), Some(0));
    assert_eq!(printed(&b).into_iter().map(|(_, data, _)| data).collect::<Vec<_>>(), ["1"]);
    assert!(b.stdout().concat().starts_with("handled 3, dead letters 0"), "{:?}", b.stdout());
}
