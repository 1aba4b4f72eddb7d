//! The dead-letter topic cannot be written: the letter waits in the outbox, and nothing else waits for it.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;

use crate::harness::{ASSIGNED, Process, Raw, Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_refused_dead_letter_waits_in_the_outbox_and_nothing_else_waits, Refusals),
        scenario!(a_dead_letter_that_is_too_large_goes_out_without_its_value, Admin),
    ]
}

/// A poison record between good ones, all in one partition, of which everything but the letter is done.
fn around(test: &Test, poison: &[u8], before: impl FnOnce()) -> Process {
    let topic = test.topic(1);
    let mut b = test.service_b(&[]);
    b.wait_for_line(ASSIGNED, soon());
    before();
    let bad = Raw::new("k1", poison).header("content-type", "text/plain");
    let records = [Raw::new("k0", "ahead"), bad, Raw::new("k1", "behind"), Raw::new("k2", "other")];
    test.records.send(topic, &records);
    b.wait_for_line("Received message: behind", soon());
    eventually(soon(), "all is committed: the ledger has the poison record", || {
        (test.records.committed(&test.group, topic).get(&0) == Some(&4)).then_some(())
    });
    assert_eq!(printed(&b).len(), 3);
    b
}

fn the_letter(test: &Test) -> Raw {
    let letters = eventually(Duration::from_mins(1), "the letter is there", || {
        let letters = test.records.all(&test.dead_letters());
        (!letters.is_empty()).then_some(letters)
    });
    assert_eq!(letters.len(), 1);
    letters[0].record.clone()
}

/// Catches: a letter that is dropped with its refusal, one that holds its partition, and one that a stop forgets.
fn a_refused_dead_letter_waits_in_the_outbox_and_nothing_else_waits(test: &Test) {
    let letters = test.dead_letters();
    let refuse = |error| test.broker.refuse(&letters, error);
    let mut b = around(test, b"\xff", || refuse(Some(RDKafkaErrorCode::TopicAuthorizationFailed)));
    b.wait_for_line("outbox: ", soon());
    assert_eq!(b.stop(soon()), Some(0));
    assert_eq!(test.records.all(&letters).len(), 0);
    refuse(None);
    let mut again = test.service_b(&[]);
    assert_eq!(the_letter(test).value.as_deref(), Some(&b"\xff"[..]));
    assert_eq!(again.stop(soon()), Some(0));
}

/// Catches: a letter that is refused for its size for ever, or dropped for it.
fn a_dead_letter_that_is_too_large_goes_out_without_its_value(test: &Test) {
    let letters = test.dead_letters();
    test.broker.create_topic(&letters, 1, &[("max.message.bytes", "1000")]);
    // Not compressible, so that the limit is met.
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 | 0x80
    };
    let poison: Vec<u8> = (0..5_000).map(|_| next()).collect();
    let mut b = around(test, &poison, || {});
    let letter = the_letter(test);
    let omitted = letter.text("__dlq.errors.omitted").unwrap_or_default();
    assert_eq!((letter.key.as_deref(), letter.value.map(|value| value.len())), (Some(&b"k1"[..]), None));
    assert!(omitted.starts_with("5000 bytes"), "{omitted}");
    assert_eq!(
        test.sql(&format!("select count(*) from events where status = 'dead' and topic = '{}'", test.topic)),
        1
    );
    assert_eq!(b.stop(soon()), Some(0));
}
