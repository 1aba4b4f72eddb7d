//! What an operator pauses stands still, in every member and across restarts, and goes on where it stood.

use std::time::Duration;

use super::work::{
    assert_in_order_per_key, assert_none_lost, assert_none_twice, different, handled, numbered, under_load,
};
use crate::harness::{Process, Raw, Scenario, Test, event_headers, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_paused_topic_stands_still_under_load_and_goes_on_in_order),
        scenario!(a_pause_outlives_its_members),
        scenario!(a_paused_topic_holds_no_other),
        scenario!(a_paused_handler_holds_its_events_and_no_others),
        scenario!(a_batch_job_says_that_its_topic_is_paused),
    ]
}

const KEYS: usize = 24;
/// What is under way when a pause begins takes milliseconds in these tests.
const UNDER_WAY: Duration = Duration::from_millis(500);
const STANDS_STILL: Duration = Duration::from_secs(2);

fn tool(test: &Test, arguments: &[&str]) -> String {
    let (code, out, err) = test.answer(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

fn count(members: &[Process]) -> usize {
    members.iter().map(|member| printed(member).len()).sum()
}

/// Nothing more is handled for a while. There is nothing to wait for but that.
fn assert_stands_still(members: &[Process]) {
    std::thread::sleep(UNDER_WAY);
    let before = count(members);
    std::thread::sleep(STANDS_STILL);
    assert_eq!(count(members), before);
}

/// Catches: a pause that one member does not see, one that lets start what was fetched already, records lost with the
/// prefetched queue, an order that changes on the way.
fn a_paused_topic_stands_still_under_load_and_goes_on_in_order(test: &Test) {
    let topic = test.topic(6).to_owned();
    let mut members = vec![test.scripted(&[])];
    members[0].wait_for_line("assigned", soon());
    let sent = under_load(test, "sleep 2", KEYS, || {
        let mut second = test.scripted(&[]);
        second.wait_for_line("Received message", Duration::from_secs(45));
        members.push(second);
        tool(test, &["streams", "pause", &topic]);
        for member in &mut members {
            member.wait_for_line("is paused since", soon());
        }
        assert_stands_still(&members);
        assert!(tool(test, &["streams", "list"]).contains("paused since"));
        tool(test, &["streams", "resume", &topic]);
        let before = count(&members);
        eventually(soon(), "it goes on", || (count(&members) > before + 200).then_some(()));
    });
    let all = |members: &[Process]| handled(members.iter().flat_map(printed).collect());
    eventually(Duration::from_mins(1), "everything is handled", || {
        (different(&all(&members)) >= sent).then_some(())
    });
    let all = all(&members);
    assert_none_lost(&all, sent);
    assert_in_order_per_key(&all);
    if test.broker.is_kafka() {
        // The embedded broker refuses commits while a group rebalances: what came with the second member may come again.
        assert_none_twice(&all);
    }
    for member in &mut members {
        assert_eq!(member.stop(soon()), Some(0));
    }
}

/// Catches: a member that begins before it has looked, one that cannot end while it is paused.
fn a_pause_outlives_its_members(test: &Test) {
    const COUNT: usize = 960;
    let topic = test.topic(3).to_owned();
    test.records.send(&topic, &numbered("sleep 100", 0, COUNT, KEYS));
    let mut first = test.scripted(&[]);
    first.wait_for_line("Received message", soon());
    tool(test, &["streams", "pause", &topic]);
    first.wait_for_line("is paused since", soon());
    assert_eq!(first.stop(soon()), Some(0));
    let before = printed(&first).len();
    assert!(before < COUNT, "nothing is left to stand still");

    let mut members = vec![first, test.scripted(&[])];
    members[1].wait_for_line("is paused since", soon());
    members[1].wait_for_line("assigned", soon());
    assert_stands_still(&members);
    assert_eq!(count(&members), before);
    tool(test, &["streams", "resume", &topic]);
    let all = |members: &[Process]| handled(members.iter().flat_map(printed).collect());
    eventually(soon(), "everything is handled", || (different(&all(&members)) == COUNT).then_some(()));
    let all = all(&members);
    assert_none_twice(&all);
    assert_in_order_per_key(&all);
    assert_eq!(members[1].stop(soon()), Some(0));
}

/// Catches: what is under way of a paused topic counted in the window, which it fills.
fn a_paused_topic_holds_no_other(test: &Test) {
    let topic = test.topic(1).to_owned();
    let other = format!("{topic}.other");
    for name in [&other, &format!("dlq.{}.{other}", test.group)] {
        test.broker.create_topic(name, 1, &[]);
    }
    test.records.send(&topic, &numbered("sleep 50", 0, 200, 1));
    let mut b = test.scripted(&["--topic", &topic, "--topic", &other, "--window", "20"]);
    b.wait_for_line("Received message", soon());
    tool(test, &["streams", "pause", &topic]);
    b.wait_for_line("is paused since", soon());
    let before = printed(&b).len();
    assert!(before < 150, "nothing is left to fill the window");
    test.records
        .send(&other, &(0..100).map(|number| Raw::new("k", format!("ok {number}"))).collect::<Vec<_>>());
    let of_other = |b: &Process| printed(b).iter().filter(|(_, data, _)| data.starts_with("ok")).count();
    eventually(soon(), "the other topic goes on", || (of_other(&b) == 100).then_some(()));
    assert!(printed(&b).len() <= before + 101);
    tool(test, &["streams", "resume", &topic]);
    eventually(Duration::from_secs(30), "all of it is handled", || (printed(&b).len() == 300).then_some(()));
    assert_in_order_per_key(&handled(printed(&b)));
    assert_eq!(b.stop(soon()), Some(0));
    test.broker.delete_topics(&[format!("dlq.{}.{other}", test.group), other]);
}

/// Catches: a handler's pause that holds the others, or its events forgotten when their partition is let go.
fn a_paused_handler_holds_its_events_and_no_others(test: &Test) {
    let topic = test.topic(1).to_owned();
    let event = |number: usize| {
        let ty = if number.is_multiple_of(2) { "held.v1" } else { "free.v1" };
        Raw::new(format!("k{number}"), format!("{number}")).with(event_headers(&number.to_string(), ty))
    };
    let handlers = ["--handle", "held.v1=log", "--handle", "*=log"];
    let data = |member: &Process| -> Vec<usize> {
        let mut data: Vec<usize> =
            printed(member).iter().filter_map(|(_, data, _)| data.parse().ok()).collect();
        data.sort_unstable();
        data
    };
    let odd: Vec<usize> = (1..40).step_by(2).collect();

    let mut first = test.service_b(&handlers);
    first.wait_for_line("assigned", soon());
    tool(test, &["handlers", "pause", "held.v1"]);
    first.wait_for_line("is paused since", soon());
    test.records.send(&topic, &(0..40).map(event).collect::<Vec<_>>());
    eventually(soon(), "the others are handled", || (data(&first) == odd).then_some(()));
    assert!(tool(test, &["handlers", "list", "--handle", "held.v1=log"]).contains("paused since"));
    assert_eq!(first.stop(soon()), Some(0));

    let mut second = test.service_b(&handlers);
    second.wait_for_line("assigned", soon());
    assert_stands_still(std::slice::from_ref(&second));
    assert_eq!(data(&second), [0; 0], "what was handled is known");
    tool(test, &["handlers", "resume", "held.v1"]);
    let even: Vec<usize> = (0..40).step_by(2).collect();
    eventually(soon(), "what was held is handled", || (data(&second) == even).then_some(()));
    assert_eq!(second.stop(soon()), Some(0));
}

/// Catches: a job that hangs without a word, or says that it has handled what it has not.
fn a_batch_job_says_that_its_topic_is_paused(test: &Test) {
    let topic = test.topic(1).to_owned();
    let mut first = test.service_b(&["--until-caught-up"]);
    assert_eq!(first.exit_code(soon()), Some(0));
    test.records.send(&topic, &[Raw::new("k", "later")]);
    tool(test, &["streams", "pause", &topic]);
    let mut paused = test.service_b(&["--until-caught-up"]);
    assert_eq!(paused.exit_code(soon()), Some(1));
    let said = paused.stderr().concat();
    assert!(said.contains("is paused since") && said.contains("resume it first"), "{said}");
    tool(test, &["streams", "resume", &topic]);
    let mut again = test.service_b(&["--until-caught-up"]);
    assert_eq!(again.exit_code(soon()), Some(0));
    assert_eq!(printed(&again).len(), 1);
}
