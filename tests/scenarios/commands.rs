//! Commands: sent by service-a, done by service-b once, answered each time.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode;
use serde_json::Value;

use crate::harness::{
    ASSIGNED, Process, Raw, Scenario, Signal, Test, event_headers, eventually, scenario, soon,
};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_command_gets_its_reply),
        scenario!(a_command_sent_twice_has_one_effect_and_the_same_reply),
        scenario!(what_is_not_done_is_answered_with_the_reason),
        scenario!(who_waits_for_nobody_is_told),
        scenario!(two_senders_get_their_own_replies),
        scenario!(a_command_whose_service_is_killed_is_answered_by_the_next),
        scenario!(a_reply_that_could_not_go_out_goes_out_after_kill_9, Refusals),
        scenario!(commands_wait_for_a_run_that_does_not_end_by_itself),
    ]
}

/// Longer than a group takes to hand out its partitions.
const WAIT: &str = "60s";

/// A member whose topics are made. Its handler does what its commands say.
fn serving(test: &Test, arguments: &[&str]) -> Process {
    let mut member = test.scripted(arguments);
    member.wait_for_line(ASSIGNED, soon());
    member
}

/// What it prints, which must be a reply.
fn reply(mut sent: Process) -> String {
    assert_eq!(sent.exit_code(Duration::from_secs(90)), Some(0), "{:?}", sent.stderr());
    sent.stdout().join("\n")
}

/// What it says on standard error, which must be why there is none.
fn failure(mut sent: Process) -> String {
    assert_eq!(sent.exit_code(Duration::from_secs(90)), Some(1), "{:?}", sent.stdout());
    assert_eq!(sent.stdout(), [""; 0]);
    sent.stderr().join("\n")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

/// A command of the handler that does what its data says; its reply is another each time that it runs.
fn scripted(test: &Test, id: &str, script: &str, wait: &str) -> Process {
    let data = serde_json::json!({ "do": script }).to_string();
    test.send(&["do", "--id", id, "--data", &data, "--wait", wait])
}

fn applied(test: &Test) -> i64 {
    let group = &test.group;
    test.sql(&format!("select count(*) from test_applied where consumer_group = '{group}'"))
}

fn answered_rows(test: &Test) -> i64 {
    let topic = test.commands();
    test.sql(&format!("select count(*) from events where topic = '{topic}' and status = 'handled'"))
}

fn a_command_gets_its_reply(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &[Raw::new("k", "event")]);
    let mut b = test.service_b(&["--instance-id", "one"]);
    b.wait_for_line("Received message: event", soon());
    let ping = json(&reply(test.send(&["ping", "--wait", WAIT])));
    assert_eq!((&ping["group"], &ping["instance"]), (&test.group.as_str().into(), &"one".into()));
    assert_eq!(ping["handlers"], serde_json::json!(["*"]));
    let status = json(&reply(test.send(&["status", "--wait", WAIT, "--output", "json"])));
    assert_eq!((&status["outcome"], &status["command"]), (&"replied".into(), &"status".into()));
    assert_eq!(status["data"]["handled"], 1, "the event: {status}");
    assert!(reply(test.send(&["ping", "--no-wait", "--id", "7"])).contains("sent 7"));
    assert!(reply(test.send(&["ping", "--id", "7", "--wait", WAIT])).contains("\"commands\""));
    assert_eq!(b.stop(soon()), Some(0));
}

/// Handled at once, after failures, and asked again after a restart.
/// Catches: an effect or a reply that is made anew, a reply that is lost with the process that made it.
fn a_command_sent_twice_has_one_effect_and_the_same_reply(test: &Test) {
    test.topic(1);
    let mut first = serving(test, &["--retry-first", "100ms"]);
    let replies = ["a", "b"].map(|id| reply(scripted(test, id, "effect 0", WAIT)));
    assert_ne!(replies[0], replies[1]);
    assert_eq!(reply(scripted(test, "a", "effect 0", WAIT)), replies[0]);
    let after_failures = reply(scripted(test, "c", "fail 2", WAIT));
    assert_eq!(first.stop(soon()), Some(0));
    let mut second = serving(test, &[]);
    assert_eq!(reply(scripted(test, "b", "effect 0", WAIT)), replies[1]);
    assert_eq!(reply(scripted(test, "c", "fail 2", WAIT)), after_failures);
    assert_eq!(applied(test), 2);
    // Another one under the same id is none of it.
    let other = failure(scripted(test, "a", "effect 1", WAIT));
    assert!(other.contains("another content"), "{other}");
    assert_eq!(applied(test), 2);
    assert_eq!(second.stop(soon()), Some(0));
}

/// Catches: a sender that waits in vain for what nobody will do, dead letters for what somebody has heard of, and none for
/// what nobody has.
fn what_is_not_done_is_answered_with_the_reason(test: &Test) {
    test.topic(1);
    let mut b = serving(test, &[]);
    let said = failure(test.send(&["no-such", "--wait", WAIT]));
    assert!(said.contains("knows no command \"no-such\"; it knows: ") && said.contains("ping"), "{said}");
    let mut machine = test.send(&["no-such", "--wait", WAIT, "--output", "json"]);
    assert_eq!(machine.exit_code(Duration::from_secs(90)), Some(1));
    assert_eq!(json(&machine.stdout().concat())["outcome"], "failed");
    assert_eq!(test.records.all(&test.dead_commands()).len(), 0);
    let refused = failure(scripted(test, "r", "refuse 0", WAIT));
    assert!(refused.contains("refused as told"), "{refused}");
    assert_eq!(failure(scripted(test, "r", "refuse 0", WAIT)), refused);
    // From somebody who names no topic of replies: nothing is written where events are read.
    let nobody = Raw::new("k", "{}").with(event_headers("n", "no-such")).header("ce_replyto", &test.topic);
    test.records.send(&test.commands(), &[nobody]);
    eventually(soon(), "both are dead letters", || {
        (test.records.all(&test.dead_commands()).len() == 2).then_some(())
    });
    assert_eq!(test.records.all(&test.topic).len(), 0);
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: a wait without end, and a command that is carried out when its sender has gone.
fn who_waits_for_nobody_is_told(test: &Test) {
    test.topic(1);
    let never = failure(test.send(&["ping", "--to", "nobody-of-this-name"]));
    assert!(never.contains("nobody-of-this-name.commands") && never.contains("--to"), "{never}");
    // It has taken commands, and is away.
    let mut b = serving(test, &[]);
    reply(test.send(&["ping", "--wait", WAIT]));
    assert_eq!(b.stop(soon()), Some(0));
    let nobody = failure(scripted(test, "late", "effect 0", "5s"));
    assert!(
        nobody.contains("no reply within 5s") && nobody.ends_with("ask again with --id late"),
        "{nobody}"
    );
    let mut b = serving(test, &[]);
    let late = failure(scripted(test, "late", "effect 0", WAIT));
    assert!(late.contains("its time was over"), "{late}");
    assert_eq!(b.stop(soon()), Some(0));
    assert_eq!(applied(test), 0);
}

/// At once, by one topic and by two.
/// Catches: replies that go to whoever asks first, a group that hands each reply to one of its members.
fn two_senders_get_their_own_replies(test: &Test) {
    test.topic(3);
    let mut b = serving(test, &[]);
    reply(test.send(&["ping", "--wait", WAIT]));
    let other = format!("{}-other", test.group);
    let sent: Vec<(String, Process)> = (0..6)
        .map(|number| {
            let id = format!("id-{number}");
            let data = serde_json::json!({ "do": "sleep 300" }).to_string();
            let mut arguments = vec!["do", "--id", &id, "--data", &data, "--wait", WAIT];
            if number % 3 == 0 {
                arguments.extend(["--sender", &other]);
            }
            let sent = test.send(&arguments);
            (id.clone(), sent)
        })
        .collect();
    for (id, sent) in sent {
        let said = reply(sent);
        assert!(said.starts_with(&format!("{id} ")), "{id}: {said}");
    }
    assert_eq!(b.stop(soon()), Some(0));
    test.broker.delete_topics(&[format!("{other}.replies")]);
}

/// Catches: an offset that moves before the reply is sure, an effect that is there twice.
fn a_command_whose_service_is_killed_is_answered_by_the_next(test: &Test) {
    test.topic(1);
    let mut first = serving(test, &[]);
    reply(test.send(&["ping", "--wait", WAIT]));
    let sent = scripted(test, "k", "effect 2000", "80s");
    first.wait_for_line("Trying: effect", soon());
    first.signal(Signal::Kill);
    first.exit_code(soon());
    let mut second = serving(test, &[]);
    let said = reply(sent);
    assert_eq!(reply(scripted(test, "k", "effect 2000", WAIT)), said);
    assert_eq!(applied(test), 1);
    assert_eq!(second.stop(soon()), Some(0));
}

/// Catches: a reply that is published beside the store instead of from it.
fn a_reply_that_could_not_go_out_goes_out_after_kill_9(test: &Test) {
    test.topic(1);
    let mut first = serving(test, &[]);
    let sent = scripted(test, "k", "effect 2000", "80s");
    first.wait_for_line("Trying: effect", soon());
    let replies = test.replies();
    test.broker.refuse(&replies, Some(RDKafkaErrorCode::TopicAuthorizationFailed));
    eventually(soon(), "it is done", || (answered_rows(test) == 1).then_some(()));
    first.wait_for_line("outbox: ", soon());
    first.signal(Signal::Kill);
    first.exit_code(soon());
    assert_eq!(test.records.ends(&replies), std::collections::BTreeMap::new(), "nobody may look");
    test.broker.refuse(&replies, None);
    let mut second = serving(test, &[]);
    assert!(reply(sent).starts_with("k "));
    assert_eq!(applied(test), 1);
    assert_eq!(second.stop(soon()), Some(0));
}

/// A batch job ends when its topics are handled, whatever has been asked of the service meanwhile.
fn commands_wait_for_a_run_that_does_not_end_by_itself(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &[Raw::new("k", "event")]);
    if test.broker.is_kafka() {
        test.broker.create_topic(&test.commands(), 1, &[]);
    }
    test.records.send(&test.commands(), &[Raw::new("k", "").with(event_headers("1", "ping"))]);
    let mut batch = test.service_b(&["--until-caught-up"]);
    assert_eq!(batch.exit_code(soon()), Some(0));
    assert!(batch.stdout().concat().starts_with("handled 1, "), "{:?}", batch.stdout());
    let mut b = test.service_b(&[]);
    eventually(soon(), "the command is handled", || (answered_rows(test) == 1).then_some(()));
    assert_eq!(b.stop(soon()), Some(0));
}
