//! Members of a group share the partitions; joining and leaving loses and repeats nothing.

use std::time::Duration;

use super::work::{
    assert_clean, assert_in_order_per_key, assert_none_lost, assert_none_twice, different, handled, numbered,
    under_load,
};
use crate::harness::{ASSIGNED, Process, Scenario, Signal, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(members_join_and_leave_under_load_and_nothing_is_lost_or_repeated),
        scenario!(members_of_the_new_protocol_join_and_leave_alike),
        scenario!(a_static_member_restarts_without_a_rebalance, StaticMembers),
    ]
}

const PARTITIONS: i32 = 6;
const KEYS: usize = 24;
/// Catches: letting a partition go before what is under way is settled and committed (repeats), storing an
/// offset beyond what is settled (losses), a handler that goes on for a partition that has its next owner
/// (order), an assignment that takes the whole where it should take the difference.
fn members_join_and_leave_under_load_and_nothing_is_lost_or_repeated(test: &Test) {
    join_and_leave(test, "classic");
}

/// The same over KIP-848, where the broker hands out the partitions.
fn members_of_the_new_protocol_join_and_leave_alike(test: &Test) {
    join_and_leave(test, "consumer");
}

fn join_and_leave(test: &Test, protocol: &str) {
    test.topic(PARTITIONS);
    let start = || test.scripted(&["--group-protocol", protocol]);
    let mut members = vec![start()];
    members[0].wait_for_line(ASSIGNED, soon());
    let sent = under_load(test, "sleep 2", KEYS, || {
        for _ in 0..2 {
            let mut member = start();
            has_handled_some(&mut member);
            members.push(member);
        }
        assert_eq!(members[2].stop(soon()), Some(0));
        // The others have its share: what was sent after its end is handled, too.
        let before = different(&all(&members));
        eventually(soon(), "the rest goes on", || (different(&all(&members)) > before + 200).then_some(()));
    });
    eventually(Duration::from_mins(1), "everything is handled", || {
        (different(&all(&members)) >= sent).then_some(())
    });
    for member in &mut members[..2] {
        assert_eq!(member.stop(soon()), Some(0));
    }
    let all = all(&members);
    assert_none_lost(&all, sent);
    assert_in_order_per_key(&all);
    if test.broker.is_kafka() {
        assert_none_twice(&all);
        assert_clean(&members);
    } else {
        // The embedded broker refuses every commit while a group rebalances, which Kafka does not. So it repeats,
        // and no more than the members said.
        let (repeated, announced) = (all.len() - different(&all), members.iter().map(announced).sum());
        assert!(repeated <= announced, "{repeated} handled again, {announced} announced");
    }
}

/// How many events a member that has ended said it may have left for others to handle again.
fn announced(member: &Process) -> usize {
    let line = member.stdout().concat();
    let words: Vec<&str> = line.split([' ', ',']).collect();
    words.iter().position(|word| *word == "may").map_or(0, |at| words[at - 1].parse().unwrap())
}

fn has_handled_some(member: &mut Process) {
    member.wait_for_line("Received message", Duration::from_secs(45));
}

fn all(members: &[Process]) -> Vec<(String, usize)> {
    handled(members.iter().flat_map(printed).collect())
}

/// Catches: leaving the group at a stop although the member has a name, or a name that does not reach Kafka.
fn a_static_member_restarts_without_a_rebalance(test: &Test) {
    test.topic(PARTITIONS);
    let start = |name: &str| test.scripted(&["--instance-id", name]);
    let (mut one, mut two) = (start("one"), start("two"));
    for member in [&mut one, &mut two] {
        member.wait_for_line(ASSIGNED, soon());
    }
    let changes = |member: &Process| {
        let lines = member.stderr();
        lines
            .iter()
            .filter(|line| line.contains("\"assigned pair.") || line.contains("\"revoked pair."))
            .count()
    };
    test.records.send(&test.topic, &numbered("ok", 0, 100, KEYS));
    let both = |one: &Process, two: &Process| {
        let found = handled(printed(one).into_iter().chain(printed(two)).collect());
        different(&found)
    };
    eventually(soon(), "a hundred are handled", || (both(&one, &two) == 100).then_some(()));
    let before = changes(&two);

    one.signal(Signal::Term);
    assert_eq!(one.exit_code(soon()), Some(0));
    let mut again = start("one");
    again.wait_for_line(ASSIGNED, soon());
    test.records.send(&test.topic, &numbered("ok", 100, 100, KEYS));
    eventually(soon(), "its share waits for it", || {
        let rest = printed(&again).into_iter().chain(printed(&two)).chain(printed(&one)).collect();
        (different(&handled(rest)) == 200).then_some(())
    });
    assert_eq!(changes(&two), before, "the other member noticed nothing");
    assert!(!printed(&again).is_empty());
}
