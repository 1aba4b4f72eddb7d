//! Which rows may go out, and which wait for another of their key.

use std::collections::HashMap;

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::record::{Origin, RecordBuilder};

fn row(number: i64, topic: &str, key: Option<&[u8]>, size: usize) -> OutboxRow {
    let origin = Origin { topic: "", partition: 0, offset: 0, timestamp: None };
    let packed = RecordBuilder::default().start(key, Some(&vec![0; size])).finish(origin).pack();
    OutboxRow { number, topic: topic.to_owned(), packed, refused: None }
}

fn numbers(window: &mut Window, rows: &[OutboxRow]) -> Vec<i64> {
    window.choose(rows).into_iter().map(|index| rows[index].number).collect()
}

/// Catches: a key that is not remembered as stuck, and a refused row that is sent again.
#[test]
fn a_refused_row_holds_its_key_and_nobody_else() {
    let mut rows = [
        row(1, "t", Some(b"a"), 1),
        row(2, "t", Some(b"a"), 1),
        row(3, "t", Some(b""), 1),
        row(4, "u", Some(b"a"), 1),
        row(5, "t", None, 1),
        row(6, "t", None, 1),
    ];
    rows[0].refused = Some("too large".to_owned());
    rows[4].refused = Some("too large".to_owned());
    let mut window = Window::default();
    assert_eq!(numbers(&mut window, &rows), [3, 4, 6]);
    assert_eq!((window.stuck().rows, window.stuck().refused), (3, 2));
    assert_eq!(window.limits().0, MOST_ROWS + 3, "what is stuck hides nothing");
}

#[test]
fn a_suspect_goes_alone_and_has_its_turn() {
    let rows = [row(1, "t", None, 1), row(2, "t", None, 1), row(3, "t", None, 1)];
    let mut window = Window::default();
    window.suspect([2]);
    assert_eq!(numbers(&mut window, &rows), [1], "what is above waits");
    window.sent(&rows[0]);
    assert_eq!(numbers(&mut window, &rows), [0; 0]);
    assert!(window.answered(1, true));
    assert_eq!(numbers(&mut window, &rows[1..]), [2]);
    window.sent(&rows[1]);
    assert!(!window.has_room());
    assert_eq!(numbers(&mut window, &rows[1..]), [0; 0], "nothing goes with it");
    assert!(window.answered(2, true));
    window.forget(2);
    assert_eq!(numbers(&mut window, &rows[2..]), [3]);
}

#[test]
fn bytes_are_bounded_and_one_large_row_still_goes() {
    let rows = [row(1, "t", None, 2 * MOST_BYTES), row(2, "t", None, 1)];
    let mut window = Window::default();
    assert_eq!(numbers(&mut window, &rows), [1]);
    window.sent(&rows[0]);
    assert!(!window.has_room());
    assert_eq!(numbers(&mut window, &rows), [0; 0]);
}

/// Catches: rows sent before the first of their key is taken, also by the next producer.
#[test]
fn the_first_row_of_a_key_goes_before_the_others_and_the_others_together() {
    let rows = [
        row(1, "t", Some(b"a"), 1),
        row(2, "t", Some(b"a"), 1),
        row(3, "t", Some(b"a"), 1),
        row(4, "u", Some(b"a"), 1),
    ];
    let mut window = Window::default();
    assert_eq!(numbers(&mut window, &rows), [1, 4]);
    window.sent(&rows[0]);
    assert_eq!(numbers(&mut window, &rows), [4], "it has no answer yet");
    assert_eq!(window.stuck(), Stuck::default(), "that will pass");
    assert!(window.answered(1, false));
    assert_eq!(numbers(&mut window, &rows), [1, 4], "it was not taken");
    window.sent(&rows[0]);
    assert!(window.answered(1, true));
    assert_eq!(numbers(&mut window, &rows[1..]), [2, 3, 4]);
    window.clear();
    assert_eq!(numbers(&mut window, &rows[1..]), [2, 4], "another producer");
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// Rows are added: topic and key of each.
    Add(Vec<(bool, Option<u8>)>),
    /// A look, and all that it chose is sent.
    Look,
    /// The first in flight of each partition are taken, in order.
    Take(usize),
    /// The producer ends with that one at fault: those before it were taken.
    Fail(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (any::<bool>(), option::of(0u8..3));
    let step = prop_oneof![
        vec(row, 1..6).prop_map(Step::Add),
        Just(Step::Look),
        (1usize..6).prop_map(Step::Take),
        (0usize..6).prop_map(Step::Fail),
    ];
    vec(step, 1..60)
}

proptest! {
    /// Whatever fails and whatever is taken: of a topic and key, rows are first taken in order, and none is skipped.
    #[test]
    fn no_row_overtakes_another_of_its_key(steps in steps()) {
        let mut window = Window::default();
        let (mut rows, mut flying) = (Vec::<OutboxRow>::new(), Vec::<OutboxRow>::new());
        let mut taken: HashMap<(String, Vec<u8>), i64> = HashMap::new();
        let mut next = 0;
        let look = |window: &mut Window, rows: &[OutboxRow], flying: &mut Vec<OutboxRow>| {
            for index in window.choose(rows) {
                window.sent(&rows[index]);
                flying.push(rows[index].clone());
            }
        };
        let mut take = |row: &OutboxRow, rows: &mut Vec<OutboxRow>| {
            rows.retain(|left| left.number != row.number);
            let Some(key) = Record::packed_key(&row.packed) else { return Ok(()) };
            let last = taken.insert((row.topic.clone(), key.to_vec()), row.number);
            prop_assert!(last < Some(row.number), "{last:?} before {}", row.number);
            let waits = |left: &&OutboxRow| {
                left.number < row.number && left.topic == row.topic && Record::packed_key(&left.packed) == Some(key)
            };
            prop_assert_eq!(rows.iter().find(waits), None, "{} was overtaken", row.number);
            Ok(())
        };
        for step in steps {
            match step {
                Step::Add(new) => for (topic, key) in new {
                    next += 1;
                    let topic = if topic { "t" } else { "u" };
                    rows.push(row(next, topic, key.as_ref().map(std::slice::from_ref), 1));
                },
                Step::Look => look(&mut window, &rows, &mut flying),
                Step::Take(count) => for row in flying.drain(..count.min(flying.len())) {
                    prop_assert!(window.answered(row.number, true));
                    window.forget(row.number);
                    take(&row, &mut rows)?;
                },
                Step::Fail(at) if at < flying.len() => {
                    let was_alone = flying.len() == 1;
                    for row in flying.drain(..at) {
                        window.answered(row.number, true);
                        take(&row, &mut rows)?;
                    }
                    let guilty = flying[0].number;
                    if was_alone {
                        let row = rows.iter_mut().find(|row| row.number == guilty).expect("a row");
                        row.refused = Some("too large".to_owned());
                    } else {
                        window.suspect(flying.iter().map(|row| row.number));
                    }
                    flying.clear();
                    window.clear();
                }
                Step::Fail(_) => {}
            }
        }
        // In the end everything that nothing holds goes out.
        for _ in 0..=rows.len() {
            look(&mut window, &rows, &mut flying);
            for row in std::mem::take(&mut flying) {
                window.answered(row.number, true);
                window.forget(row.number);
                take(&row, &mut rows)?;
            }
        }
        prop_assert_eq!(window.stuck().rows, rows.len());
    }
}
