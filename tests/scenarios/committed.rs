//! What a group's committed offsets say, while it works and after.

use std::collections::BTreeMap;
use std::time::Duration;

use super::work::{handled, numbered};
use crate::harness::{Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(committed_offsets_only_grow_and_stay_behind_what_is_handled),
        scenario!(after_a_clean_stop_the_committed_offsets_are_the_ends),
        scenario!(a_second_group_sees_everything_again),
    ]
}

fn ends(test: &Test) -> BTreeMap<i32, i64> {
    test.records.ends(&test.topic).into_iter().map(|(partition, (_, end))| (partition, end)).collect()
}

/// Catches: offsets stored from several places, of which the last is not the highest; an offset stored for
/// what settled first instead of for what is settled without a gap.
fn committed_offsets_only_grow_and_stay_behind_what_is_handled(test: &Test) {
    const COUNT: usize = 800;
    let topic = test.topic(2);
    // Delays of 1 to 40 ms without a pattern: settled out of order within a partition.
    let records: Vec<_> =
        (0..COUNT).flat_map(|i| numbered(&format!("sleep {}", 1 + i * 7919 % 40), i, 1, 50)).collect();
    test.records.send(topic, &records);
    let mut places = BTreeMap::new();
    for sent in test.records.all(topic) {
        places.insert(sent.record.value_text(), (sent.partition, sent.offset));
    }
    let mut b = test.scripted(&["--concurrency", "4"]);
    let mut last = BTreeMap::new();
    let mut seen = 0;
    eventually(Duration::from_mins(1), "all is committed", || {
        // First the commits, then what is handled: whatever is committed must have been printed before.
        let committed = test.records.committed(&test.group, topic);
        for (partition, offset) in &committed {
            let before = last.insert(*partition, *offset);
            assert!(before.is_none_or(|before| before <= *offset), "{partition}: {offset} after {before:?}");
            seen += usize::from(before != Some(*offset));
        }
        let done: Vec<(i32, i64)> =
            printed(&b).iter().filter_map(|(_, data, _)| places.get(data).copied()).collect();
        for (partition, offset) in &committed {
            let below = done.iter().filter(|(of, at)| of == partition && at < offset).count() as i64;
            assert_eq!(
                below, *offset,
                "committed {offset} of partition {partition}, handled {below} below it"
            );
        }
        (committed == ends(test)).then_some(())
    });
    assert!(seen > 2, "committed while it worked, not only at the end");
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: a stop that does not commit, commits what was received, or commits the last offset instead of the next.
fn after_a_clean_stop_the_committed_offsets_are_the_ends(test: &Test) {
    let topic = test.topic(3);
    test.records.send(topic, &numbered("ok", 0, 300, 30));
    // So long a commit of librdkafka's own would not come before the end.
    let mut b = test.scripted(&["--kafka", "auto.commit.interval.ms=600000"]);
    eventually(soon(), "all is handled", || (printed(&b).len() == 300).then_some(()));
    assert_eq!(b.stop(soon()), Some(0));
    assert_eq!(test.records.committed(&test.group, topic), ends(test));
}

/// Catches: state that groups share.
fn a_second_group_sees_everything_again(test: &Test) {
    let topic = test.topic(3);
    test.records.send(topic, &numbered("ok", 0, 100, 10));
    let other = format!("{}-other", test.group);
    let mut runs =
        [test.scripted(&["--until-caught-up"]), test.scripted(&["--until-caught-up", "--group", &other])];
    for run in &mut runs {
        assert_eq!(run.exit_code(soon()), Some(0));
        assert_eq!(handled(printed(run)).len(), 100);
    }
}
