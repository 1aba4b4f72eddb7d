//! Each kind of violation, planted in a run that is otherwise as it should be: the oracle can fail.

use super::super::events::Expected;
use super::super::facts::{Effect, Letter, Record, Row};
use super::*;

const HOPELESS: u64 = 7;

/// Ten events on two keys, the last one without; number 7 is dead.
fn clean() -> Facts {
    let bytes = |number: u64| Bytes {
        key: Some(vec![number as u8]),
        value: Some(format!("value {number}").into_bytes()),
        headers: vec![("ce_id".to_owned(), Some(b"x".to_vec()))],
    };
    let mut facts = Facts { every_event_has_a_row: true, ..Facts::default() };
    for number in 0..10 {
        let hopeless = number == HOPELESS;
        facts.expected.push(Expected { key: (number < 9).then_some(number as u32 % 2), hopeless });
        let id = format!("id-{number}");
        let kept = hopeless.then(|| bytes(number));
        facts.records.push(Record { number, id: id.clone(), partition: 0, bytes: kept });
        if hopeless {
            facts.rows.push(Row { id: id.clone(), status: "dead".to_owned() });
            facts.letters.push(Letter { id, bytes: bytes(number) });
        } else {
            facts.rows.push(Row { id, status: "handled".to_owned() });
            facts.effects.push(Effect { number, at: 0 });
        }
    }
    facts
}

/// What the oracle says of the run after the change.
fn after(change: impl FnOnce(&mut Facts)) -> Vec<Violation> {
    let mut facts = clean();
    change(&mut facts);
    judge(&facts)
}

fn row(facts: &mut Facts, number: u64) -> &mut Row {
    let id = format!("id-{number}");
    facts.rows.iter_mut().find(|row| row.id == id).expect("a row")
}

fn without_effect(facts: &mut Facts, number: u64) {
    facts.effects.retain(|effect| effect.number != number);
}

#[test]
fn a_run_as_it_should_be_has_no_violations() {
    assert_eq!(after(|_| {}), []);
}

#[test]
fn what_may_happen_is_no_violation() {
    // A relay that was killed publishes again, under the same id: records and dead letters.
    let again = after(|facts| {
        let records: Vec<Record> = facts.records[3..6].to_vec();
        facts.records.splice(6..6, records);
        let letter = facts.letters[0].clone();
        facts.letters.push(letter);
    });
    assert_eq!(again, []);
    // Two keys, and events without a key, may overtake each other.
    assert_eq!(after(|facts| facts.effects.swap(0, 1)), []);
    assert_eq!(after(|facts| facts.effects.rotate_right(1)), []);
    // At least once, rows below the committed offset may be gone.
    let pruned = after(|facts| {
        facts.every_event_has_a_row = false;
        facts.rows.retain(|row| row.status == "dead");
    });
    assert_eq!(pruned, []);
}

#[test]
fn an_event_that_is_not_on_the_topic() {
    let violations = after(|facts| {
        facts.records.remove(4);
        without_effect(facts, 4);
        facts.rows.retain(|row| row.id != "id-4");
    });
    assert_eq!(violations, [Violation::NotPublished(4)]);
}

#[test]
fn an_event_published_under_two_ids() {
    let violations = after(|facts| {
        let mut again = facts.records[4].clone();
        again.id = "another".to_owned();
        facts.records.push(again);
    });
    assert_eq!(violations, [Violation::SeveralIds(4)]);
}

#[test]
fn records_of_a_key_out_of_order() {
    let violations = after(|facts| facts.records.swap(2, 4));
    assert_eq!(violations, [Violation::PublishedOutOfOrder { key: 0, number: 2, after: 4 }]);
}

#[test]
fn an_event_without_effect_and_row() {
    let violations = after(|facts| {
        without_effect(facts, 5);
        facts.rows.retain(|row| row.id != "id-5");
    });
    assert_eq!(violations, [Violation::Lost { number: 5, status: None }]);
}

#[test]
fn an_event_that_is_handled_without_effect_or_still_waits() {
    for status in ["handled", "deferred", "handling", "expired"] {
        let violations = after(|facts| {
            without_effect(facts, 5);
            row(facts, 5).status = status.to_owned();
        });
        assert_eq!(violations, [Violation::Lost { number: 5, status: Some(status.to_owned()) }]);
    }
}

#[test]
fn a_hopeless_event_that_vanished() {
    let violations = after(|facts| {
        facts.rows.retain(|row| row.status != "dead");
        facts.letters.clear();
    });
    assert_eq!(violations, [Violation::Lost { number: HOPELESS, status: None }]);
}

#[test]
fn effects_twice() {
    let violations = after(|facts| {
        let again = facts.effects[2];
        facts.effects.push(again);
    });
    assert_eq!(violations, [Violation::EffectTwice { number: 2, times: 2 }]);
}

#[test]
fn effects_of_a_key_out_of_order() {
    let violations = after(|facts| facts.effects.swap(2, 4));
    assert_eq!(violations, [Violation::OutOfOrder { key: 0, number: 2, after: 4 }]);
}

#[test]
fn every_one_that_was_overtaken_is_named() {
    let violations = after(|facts| facts.effects[..6].rotate_right(2));
    let named = |key, number| Violation::OutOfOrder { key, number, after: 4 + u64::from(key) };
    assert_eq!(violations, [named(0, 0), named(1, 1), named(0, 2), named(1, 3)]);
}

#[test]
fn effects_of_a_hopeless_event() {
    let violations = after(|facts| facts.effects.push(Effect { number: HOPELESS, at: 0 }));
    let status = Some("dead".to_owned());
    let expected =
        [Violation::HopelessWithEffect(HOPELESS), Violation::EffectOf { number: HOPELESS, status }];
    // It stands at the end of the effects, after number 9 without a key and number 8 of the other.
    assert_eq!(violations, expected);
}

#[test]
fn an_event_dead_in_vain() {
    let violations = after(|facts| {
        without_effect(facts, 3);
        row(facts, 3).status = "dead".to_owned();
        facts.letters.push(Letter { id: "id-3".to_owned(), bytes: Bytes::default() });
    });
    assert_eq!(violations, [Violation::DeadInVain(3)]);
}

#[test]
fn effects_that_the_ledger_does_not_know_of() {
    let violations = after(|facts| facts.rows.retain(|row| row.id != "id-3"));
    assert_eq!(violations, [Violation::EffectOf { number: 3, status: None }]);
    let violations = after(|facts| row(facts, 3).status = "deferred".to_owned());
    assert_eq!(violations, [Violation::EffectOf { number: 3, status: Some("deferred".to_owned()) }]);
}

#[test]
fn several_rows() {
    let violations = after(|facts| {
        let again = row(facts, 3).clone();
        facts.rows.push(again);
    });
    assert_eq!(violations, [Violation::SeveralRows { number: 3, rows: 2 }]);
}

#[test]
fn a_dead_event_without_its_letter() {
    assert_eq!(after(|facts| facts.letters.clear()), [Violation::NoLetter(HOPELESS)]);
}

#[test]
fn a_letter_with_other_bytes() {
    let changes: [fn(&mut Bytes); 3] =
        [|bytes| bytes.key = None, |bytes| bytes.value = Some(Vec::new()), |bytes| bytes.headers.clear()];
    for change in changes {
        let violations = after(|facts| change(&mut facts.letters[0].bytes));
        assert_eq!(violations, [Violation::LetterChanged(HOPELESS)]);
    }
}

#[test]
fn a_letter_of_an_event_that_lives() {
    let letter = Letter { id: "id-1".to_owned(), bytes: Bytes::default() };
    assert_eq!(after(|facts| facts.letters.push(letter)), [Violation::LetterOfLiving(1)]);
}

#[test]
fn what_nobody_published() {
    let violations = after(|facts| {
        facts.effects.push(Effect { number: 99, at: 0 });
        facts.rows.push(Row { id: "id-99".to_owned(), status: "handled".to_owned() });
        facts.letters.push(Letter { id: "id-99".to_owned(), bytes: Bytes::default() });
        facts.records.push(Record { number: 99, id: "id-98".to_owned(), partition: 0, bytes: None });
    });
    let places = ["the topic", "the effects", "the ledger", "the dead letters"];
    assert_eq!(violations.len(), places.len());
    for (violation, expected) in violations.iter().zip(places) {
        assert!(matches!(violation, Violation::Unknown { place, .. } if *place == expected), "{violation}");
    }
}
