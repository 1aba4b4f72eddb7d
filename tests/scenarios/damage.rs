//! A broker's disk that does not give back what was written.

use std::path::Path;

use super::work::{handled, numbered};
use crate::harness::{Broker, Node, PLAIN, Scenario, Test, free_port, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(a_damaged_batch_ends_it_and_nothing_behind_it_is_handled, Own)]
}

/// Flips a bit of that text where the partition keeps it.
fn flip_a_bit_of(text: &str, partition: &Path) {
    let segment = partition.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .expect("it is there, as it was sent");
    bytes[at + text.len() - 1] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
}

/// Catches: checksums that nobody looks at (`check.crcs`), a damaged batch that is skipped, a reason that names another
/// fault.
fn a_damaged_batch_ends_it_and_nothing_behind_it_is_handled(test: &Test) {
    const EACH: usize = 20;
    let port = free_port();
    let node = Node::alone(&[(port, port, PLAIN)], &[]);
    node.start();
    let test = test.on(Broker::Own { address: format!("127.0.0.1:{port}"), nodes: vec![node] });
    let topic = test.topic(1);
    for part in 0..3 {
        // Each is sent as batches of its own: all are acknowledged before the next begins.
        test.records.send(topic, &numbered("ok", part * EACH, EACH, 5));
    }
    let [node] = test.broker.nodes() else { panic!("one node") };
    node.stop();
    // The last letter of a number in the middle: what would be handled looks as good as what was sent.
    flip_a_bit_of("ok k0:30", &node.data().join(format!("{topic}-0")));
    node.start();

    for arguments in [&[][..], &["--until-caught-up"]] {
        let mut b = test.scripted(arguments);
        assert_eq!(b.exit_code(soon()), Some(1), "{arguments:?}");
        let said = b.stderr().concat();
        for needle in ["a batch of records is damaged", &test.group, "mend the broker's log"] {
            assert!(said.contains(needle), "{arguments:?}: {needle:?} is not in {said}");
        }
        let numbers: Vec<usize> = handled(printed(&b)).into_iter().map(|(_, number)| number).collect();
        assert!(numbers.iter().all(|number| *number < 30), "{arguments:?}: {numbers:?}");
    }
    let committed = test.records.committed(&test.group, topic).get(&0).copied().unwrap_or(0);
    assert!(committed <= 30, "{committed}");
}
