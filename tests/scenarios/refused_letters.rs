//! The dead-letter topic cannot be written: the offset waits, and nothing is skipped.

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;

use crate::harness::{Process, Raw, Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_refused_dead_letter_holds_its_offset_until_it_is_written, Refusals),
        scenario!(a_dead_letter_that_is_too_large_holds_its_offset, Admin),
    ]
}

/// A poison record between good ones, all in one partition, and service-b that tries to get rid of it.
fn hold(test: &Test, poison: &[u8], before: impl FnOnce(&mut Process)) -> Process {
    let topic = test.topic(1);
    let mut b = test.service_b(&["--retry-max", "1s"]);
    b.wait_for_line("assigned", soon());
    before(&mut b);
    let bad = Raw::new("k1", poison).header("content-type", "text/plain");
    test.records
        .send(topic, &[Raw::new("k0", "ahead"), bad, Raw::new("k1", "behind"), Raw::new("k2", "other")]);
    b.wait_for_line("Received message: other", soon());
    b.wait_for_line("the dead letter cannot be written", soon());
    // Two commits' time: one a second.
    let until = Instant::now() + Duration::from_millis(2_500);
    eventually(soon(), "the offset is committed up to the poison record", || {
        let committed = test.records.committed(&test.group, topic).get(&0).copied();
        assert!(committed.is_none_or(|offset| offset <= 1), "committed {committed:?}");
        (committed == Some(1) && Instant::now() > until).then_some(())
    });
    assert!(!data(&b).contains(&"behind".to_owned()), "its key waits");
    b
}

fn data(b: &Process) -> Vec<String> {
    printed(b).into_iter().map(|(_, data, _)| data).collect()
}

fn all_is_done(test: &Test, b: &mut Process) {
    b.wait_for_line("Received message: behind", Duration::from_mins(1));
    assert_eq!(b.stop(soon()), Some(0));
    assert_eq!(test.records.all(&test.dead_letters()).len(), 1);
    assert_eq!(test.records.committed(&test.group, &test.topic).get(&0), Some(&4));
}

/// Catches: an offset that moves although its dead letter is nowhere, and a refusal that is never tried again.
fn a_refused_dead_letter_holds_its_offset_until_it_is_written(test: &Test) {
    let letters = test.dead_letters();
    let refuse = |error| test.broker.refuse(&letters, error);
    let mut b = hold(test, b"\xff", |_| refuse(Some(RDKafkaErrorCode::TopicAuthorizationFailed)));
    refuse(None);
    all_is_done(test, &mut b);
}

/// The same with what a real broker refuses; it heals when the topic's limit is raised.
fn a_dead_letter_that_is_too_large_holds_its_offset(test: &Test) {
    let letters = test.dead_letters();
    test.broker.create_topic(&letters, 1, &[("max.message.bytes", "500")]);
    // Not compressible, so that the limit is met.
    let poison: Vec<u8> = (0..2_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    let mut b = hold(test, &poison, |_| {});
    test.broker.alter_topic(&letters, "max.message.bytes", "100000");
    all_is_done(test, &mut b);
}
