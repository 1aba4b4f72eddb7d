//! What an operator may do to a topic while the services use it: more partitions, fewer records.

use std::collections::BTreeMap;
use std::time::Duration;

use super::work::{assert_in_order_per_key, assert_none_lost, assert_none_twice, handled, numbered};
use crate::harness::{ASSIGNED, Process, Raw, Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_topic_that_grows_while_keys_wait_loses_nothing, Admin),
        scenario!(records_deleted_before_they_are_handled_end_it_until_it_is_told, Admin),
    ]
}

fn wait_for(members: &[Process], count: usize) {
    eventually(soon(), &format!("{count} handled"), || {
        (members.iter().map(|member| printed(member).len()).sum::<usize>() >= count).then_some(())
    });
}

/// Catches: partitions that nobody reads or whose first records are skipped, waiting events forgotten with the assignment
/// that brought them, growth that nobody mentions.
fn a_topic_that_grows_while_keys_wait_loses_nothing(test: &Test) {
    const WAITING: usize = 4;
    const EACH: usize = 10;
    const OTHERS: usize = 300;
    let topic = test.topic(3);
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    // The first event of each of these keys fails until there is a file, and those behind it wait.
    let waiting = |number: usize| {
        let script = if number < WAITING { format!("need {}", there.display()) } else { "ok".to_owned() };
        let key = format!("w{}", number % WAITING);
        Raw::new(key.clone(), format!("{script} {key}:{number}"))
    };
    let before: Vec<Raw> = (0..WAITING * EACH).map(waiting).collect();
    let after: Vec<Raw> = (WAITING * EACH..WAITING * EACH * 2).map(waiting).collect();
    let first = WAITING * EACH * 2;
    let settings = [
        "--retry-first",
        "200ms",
        "--retry-max",
        "500ms",
        "--kafka",
        "topic.metadata.refresh.interval.ms=500",
    ];
    let mut members = [test.scripted(&settings), test.scripted(&settings)];
    for member in &mut members {
        member.wait_for_line(ASSIGNED, soon());
    }
    test.records.send(topic, &before);
    test.records.send(topic, &numbered("ok", first, OTHERS, 30));
    wait_for(&members, OTHERS);

    test.broker.grow(topic, 6);
    eventually(soon(), "somebody says it", || {
        let said = |member: &Process| {
            member.stderr().iter().any(|line| line.contains("has 6 partitions now, 3 before"))
        };
        members.iter().any(said).then_some(())
    });
    // Of the waiting keys some go elsewhere from here on.
    test.records.send(topic, &after);
    test.records.send(topic, &numbered("ok", first + OTHERS, OTHERS, 30));
    wait_for(&members, OTHERS * 2);
    std::fs::write(&there, "").unwrap();
    wait_for(&members, first + OTHERS * 2);

    for member in &mut members {
        assert_eq!(member.stop(soon()), Some(0));
    }
    let handled = handled(members.iter().flat_map(printed).collect());
    assert_none_lost(&handled, first + OTHERS * 2);
    assert_none_twice(&handled);
    let ends: BTreeMap<i32, i64> =
        test.records.ends(topic).into_iter().map(|(partition, (_, end))| (partition, end)).collect();
    assert!(ends.len() == 6 && ends.range(3..).any(|(_, end)| *end > 0), "{ends:?}");
    // A partition without a record has no offset to commit.
    let committed = test.records.committed(&test.group, topic);
    assert!(
        ends.iter().all(|(partition, end)| committed.get(partition).copied().unwrap_or(0) == *end),
        "{committed:?}"
    );
    // Order is kept within what was sent before, and within what was sent after.
    let (old, new): (Vec<_>, Vec<_>) = handled
        .into_iter()
        .partition(|(_, number)| *number < WAITING * EACH || (first..first + OTHERS).contains(number));
    assert_in_order_per_key(&old);
    assert_in_order_per_key(&new);
}

/// Catches: a group whose next record is gone and that goes on at the end, or at the beginning, without a word.
fn records_deleted_before_they_are_handled_end_it_until_it_is_told(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &numbered("ok", 0, 100, 10));
    let mut b = test.scripted(&["--until-caught-up"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    test.records.send(topic, &numbered("ok", 100, 100, 10));
    test.broker.delete_below(topic, 0, 150);

    for arguments in [&[][..], &["--until-caught-up"], &["--group-protocol", "consumer"]] {
        let mut b = test.scripted(arguments);
        assert_eq!(b.exit_code(soon()), Some(1), "{arguments:?}");
        let said = b.stderr().concat();
        for needle in
            [&test.group, "deleted before they were handled", "--on-missing-offsets earliest", "latest"]
        {
            assert!(said.contains(needle), "{arguments:?}: {needle:?} is not in {said}");
        }
        assert_eq!(printed(&b), [], "{arguments:?}");
        assert_eq!(test.records.committed(&test.group, topic)[&0], 100, "{arguments:?}");
    }
    let mut b = test.scripted(&["--until-caught-up", "--on-missing-offsets", "earliest"]);
    assert_eq!(b.exit_code(Duration::from_mins(1)), Some(0));
    let left: Vec<usize> = handled(printed(&b)).into_iter().map(|(_, number)| number).collect();
    assert_eq!(left.len(), 50);
    assert!(left.iter().all(|number| *number >= 150), "{left:?}");
    assert_eq!(test.records.committed(&test.group, topic)[&0], 200);
}
