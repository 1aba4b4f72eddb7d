//! SIGTERM and kill -9 in the middle of work.

use std::time::Duration;

use super::work::{
    assert_clean, assert_in_order_per_key, assert_none_lost, assert_none_twice, handled, numbered, under_load,
};
use crate::harness::{Process, Scenario, Signal, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(kill_9_of_service_b_loses_nothing),
        scenario!(a_member_that_was_killed_is_waited_for_unless_it_comes_back_by_name, StaticMembers),
        scenario!(service_b_stopped_in_a_batch_goes_on_exactly_there),
        scenario!(slow_handlers_are_finished_before_the_end),
        scenario!(a_member_that_stood_still_too_long_gives_way),
        scenario!(a_second_signal_ends_at_once),
        scenario!(service_a_stopped_in_a_file_has_sent_what_it_says),
    ]
}

fn at_least(process: &Process, count: usize) {
    eventually(soon(), "some are handled", || (printed(process).len() >= count).then_some(()));
}

fn all(processes: &[Process]) -> Vec<(String, usize)> {
    handled(processes.iter().flat_map(printed).collect())
}

/// Catches: an end without drain, commit or both; an offset stored for what was received and not handled.
fn service_b_stopped_in_a_batch_goes_on_exactly_there(test: &Test) {
    const KEYS: usize = 50;
    test.topic(3);
    let mut runs = Vec::new();
    let count = under_load(test, "", KEYS, || {
        for signal in [Signal::Term, Signal::Int] {
            let mut b = test.service_b(&[]);
            at_least(&b, 400);
            b.signal(signal);
            assert_eq!(b.exit_code(soon()), Some(0));
            runs.push(b);
        }
    });
    let mut last = test.service_b(&["--until-caught-up"]);
    assert_eq!(last.exit_code(soon()), Some(0));
    runs.push(last);
    assert_clean(&runs);
    let all = all(&runs);
    assert_none_lost(&all, count);
    assert_none_twice(&all);
    assert_in_order_per_key(&all);
}

/// Catches: handlers that are dropped where they wait, a drain that starts what need not be started, and one that does
/// not go up to the highest offset that any lane has started.
fn slow_handlers_are_finished_before_the_end(test: &Test) {
    const COUNT: usize = 600;
    let topic = test.topic(3);
    test.records.send(topic, &numbered("sleep 20", 0, COUNT, 40));
    let mut first = test.scripted(&["--concurrency", "10"]);
    at_least(&first, 60);
    assert_eq!(first.stop(Duration::from_secs(10)), Some(0));
    let started = first.stderr().iter().filter(|line| line.contains("Trying: ")).count();
    assert_eq!(printed(&first).len(), started, "everything started was finished");
    let mut second = test.scripted(&["--until-caught-up"]);
    assert_eq!(second.exit_code(soon()), Some(0));
    assert!(!printed(&second).is_empty(), "the first was stopped in the middle");
    let runs = [first, second];
    assert_clean(&runs);
    let all = all(&runs);
    assert_none_lost(&all, COUNT);
    assert_none_twice(&all);
    assert_in_order_per_key(&all);
}

/// Catches: a stop that cannot be hurried when a handler hangs.
fn a_second_signal_ends_at_once(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &numbered("hang 9", 0, 1, 1));
    let mut b = test.scripted(&["--handler-timeout", "1h", "--shutdown-deadline", "45s"]);
    b.wait_for_line("Trying: hang", soon());
    b.signal(Signal::Term);
    b.wait_for_line("once more", soon());
    b.signal(Signal::Term);
    assert_eq!(b.exit_code(Duration::from_secs(5)), Some(130));
}

/// Catches: an offset committed before its event is handled. What was under way comes again.
fn kill_9_of_service_b_loses_nothing(test: &Test) {
    const COUNT: usize = 3_000;
    let topic = test.topic(3);
    test.records.send(topic, &numbered("sleep 5", 0, COUNT, 60));
    // As short as Kafka lets it be: the dead member keeps its partitions for so long.
    let short = ["--kafka", "session.timeout.ms=6000"];
    let quick: &[&str] = if test.broker.member_settings().is_empty() { &short } else { &[] };
    let mut first = test.scripted(quick);
    at_least(&first, 600);
    first.signal(Signal::Kill);
    assert_eq!(first.exit_code(soon()), None);
    let mut second = test.scripted(&[quick, &["--until-caught-up"]].concat());
    assert_eq!(second.exit_code(Duration::from_mins(1)), Some(0));
    let all = all(&[first, second]);
    assert_none_lost(&all, COUNT);
    assert_in_order_per_key(&all);
}

/// Catches: an operator who sees a service stand still after a crash and nothing that says why, a name that does not spare
/// the wait.
fn a_member_that_was_killed_is_waited_for_unless_it_comes_back_by_name(test: &Test) {
    const EACH: usize = 100;
    let topic = test.topic(3);
    let mut sent = 0;
    let mut goes_on = |member: &Process| {
        test.records.send(topic, &numbered("ok", sent, EACH, 10));
        sent += EACH;
        let newest = || handled(printed(member)).into_iter().map(|(_, number)| number).max();
        eventually(soon(), "it goes on", || (newest() == Some(sent - 1)).then_some(()));
    };
    let killed = |mut member: Process| {
        member.signal(Signal::Kill);
        assert_eq!(member.exit_code(soon()), None);
    };
    let first = test.scripted(&[]);
    goes_on(&first);
    killed(first);
    let mut second = test.scripted(&[]);
    second.wait_for_line("gives out no partitions yet", soon());
    goes_on(&second);
    assert_eq!(second.stop(soon()), Some(0));

    // Longer than anything is waited for here.
    let named = || test.scripted(&["--instance-id", "one", "--kafka", "session.timeout.ms=60000"]);
    let first = named();
    goes_on(&first);
    killed(first);
    let second = named();
    goes_on(&second);
    assert!(!second.stderr().concat().contains("gives out no partitions yet"));
}

/// A process that stands still in the middle of writing to a file holds it, and nobody else can take it: one that stands
/// still elsewhere is what the epoch is for.
fn stop_outside_of_the_store(test: &Test, process: &Process) {
    eventually(soon(), "it stands still, and not in its store", || {
        process.stand_still();
        let is_free = test.store_is_free();
        if !is_free {
            process.signal(Signal::Cont);
        }
        is_free.then_some(())
    });
}

/// Catches: a member that goes on with partitions which have another owner by now, or commits for them.
fn a_member_that_stood_still_too_long_gives_way(test: &Test) {
    const COUNT: usize = 2_000;
    let topic = test.topic(3);
    let short = ["--kafka", "session.timeout.ms=6000"];
    let quick: &[&str] = if test.broker.member_settings().is_empty() { &short } else { &[] };
    test.records.send(topic, &numbered("sleep 5", 0, COUNT, 60));
    let mut first = test.scripted(&[quick, &["--concurrency", "4"]].concat());
    at_least(&first, 200);
    stop_outside_of_the_store(test, &first);
    let mut second = test.scripted(&[quick, &["--until-caught-up"]].concat());
    assert_eq!(second.exit_code(Duration::from_mins(1)), Some(0));
    let ends = test.records.committed(&test.group, topic);
    first.signal(Signal::Cont);
    first.wait_for_line("lost", soon());
    // It has handled no more than what was under way, and the group stands where the second left it.
    let late = printed(&first).len() + printed(&second).len();
    assert!(late <= COUNT + 1_000, "{late} handled of {COUNT}");
    assert_eq!(first.stop(soon()), Some(0));
    assert_eq!(test.records.committed(&test.group, topic), ends);
    assert_none_lost(&all(&[first, second]), COUNT);
}

/// Catches: a producer dropped without a flush, and a count of what was sent where acknowledged is said.
fn service_a_stopped_in_a_file_has_sent_what_it_says(test: &Test) {
    let topic = test.topic(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let lines: Vec<String> = (0..100_000).map(|number| format!("line {number}")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let mut a = test.service_a(&["--from", file.to_str().unwrap(), "--rate", "3000", "--key", "k"]);
    let written = || test.records.ends(topic).values().map(|(_, end)| *end).sum::<i64>();
    eventually(soon(), "some are published", || (written() > 1_000).then_some(()));
    assert_eq!(a.stop(soon()), Some(0));
    let found: Vec<String> = test.records.all(topic).iter().map(|sent| sent.record.value_text()).collect();
    assert_eq!(found, lines[..found.len()], "a prefix of the file, in order");
    assert_eq!(a.stdout(), [format!("published {0}, acknowledged {0}", found.len())]);
}
