//! No broker, a broker that comes later, a broker that dies and comes back.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode};
use shared::broker::{EmbeddedBroker, Options};

use super::work::{assert_in_order_per_key, assert_none_lost, different, handled, numbered};
use crate::harness::{ASSIGNED, Process, Scenario, Test, eventually, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_killed_broker_comes_back_and_nothing_is_lost, Outage),
        scenario!(a_stop_while_the_broker_is_away_ends_in_time, Outage),
        scenario!(without_a_broker_service_a_says_what_to_do),
        scenario!(without_a_broker_service_b_waits_and_can_be_stopped),
        scenario!(a_broker_that_comes_later_is_found),
        scenario!(a_stop_while_the_coordinator_moves_commits_all_the_same),
        scenario!(until_caught_up_outlasts_a_session_without_a_broker, Outage),
        scenario!(until_caught_up_outlasts_a_broker_that_is_away_while_it_looks, Outage),
    ]
}

/// An address where nobody listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// How soon a client looks again for its broker: ten seconds by default, which is long for a test.
const QUICK: [&str; 2] = ["--kafka", "reconnect.backoff.max.ms=500"];

/// Catches: an end of either service when the broker goes, a send that is given up too early or passes another,
/// an offset committed for what was only received.
fn a_killed_broker_comes_back_and_nothing_is_lost(test: &Test) {
    const COUNT: usize = 3_000;
    let topic = test.topic(3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let line = |number: usize| format!(r#"{{"key":"k{}","n":{number}}}"#, number % 20);
    std::fs::write(&file, (0..COUNT).map(line).collect::<Vec<_>>().join("\n")).unwrap();

    let mut b = test.service_b(&QUICK);
    b.wait_for_line(ASSIGNED, soon());
    let lines = ["--from", file.to_str().unwrap(), "--key-field", "key", "--rate", "500"];
    let mut a = test.service_a(&[lines.as_slice(), &QUICK].concat());
    eventually(soon(), "some are handled", || (printed(&b).len() > 300).then_some(()));
    test.broker.down();
    b.wait_for_line("librdkafka keeps trying", soon());
    assert!(a.is_running() && b.is_running());
    test.broker.up();

    assert_eq!(a.exit_code(Duration::from_mins(1)), Some(0));
    assert_eq!(a.stdout(), [format!("published {COUNT}, acknowledged {COUNT}")]);
    let received = || -> Vec<(String, usize)> {
        let data = printed(&b).into_iter().filter_map(|(_, data, _)| {
            let value: serde_json::Value = serde_json::from_str(&data).ok()?;
            Some((value["key"].as_str()?.to_owned(), value["n"].as_u64()? as usize))
        });
        data.collect()
    };
    eventually(soon(), "all is handled", || (different(&received()) == COUNT).then_some(()));
    assert_none_lost(&received(), COUNT);
    assert_in_order_per_key(&received());
    assert_eq!(b.stop(soon()), Some(0));
    let ids: BTreeSet<_> =
        test.records.all(topic).into_iter().map(|sent| sent.record.text("ce_id")).collect();
    assert_eq!(ids.len(), COUNT, "on the topic, each under one id");
}

/// Catches: a stop that waits for a broker that is not there: for a commit, for leaving the group, for an
/// acknowledgement.
fn a_stop_while_the_broker_is_away_ends_in_time(test: &Test) {
    let topic = test.topic(1);
    test.records.send(topic, &numbered("ok", 0, 50, 5));
    let mut a = test.service_a(&["--count", "0", "--interval", "100ms", "--shutdown-deadline", "3s"]);
    let mut b = test.scripted(&["--shutdown-deadline", "3s"]);
    eventually(soon(), "both work", || (printed(&b).len() > 60).then_some(()));
    test.broker.down();
    b.wait_for_line("librdkafka keeps trying", soon());
    let published = |log: &[String]| log.iter().filter(|line| line.contains("Published")).count();
    let before = published(&a.stderr());
    eventually(soon(), "events wait for the broker", || (published(&a.stderr()) > before + 3).then_some(()));
    let start = Instant::now();
    let codes = (a.stop(soon()), b.stop(soon()));
    let took = start.elapsed();
    test.broker.up();
    assert!(took < Duration::from_secs(25), "{took:?}");
    // service-a cannot say that all is well; service-b has handled what it has.
    assert_eq!(codes, (Some(1), Some(0)));
    let handled = handled(printed(&b));
    assert_in_order_per_key(&handled);
}

/// Catches: a service that waits for ever, or says only that it failed.
fn without_a_broker_service_a_says_what_to_do(test: &Test) {
    let address = nowhere();
    let mut a = test.service_a(&["--bootstrap-servers", &address]);
    assert_eq!(a.exit_code(Duration::from_secs(10)), Some(1));
    let said = a.stderr().join("\n");
    for needle in [address.as_str(), "docker compose up", "--embedded-broker", "KAFKA_BOOTSTRAP_SERVERS"] {
        assert!(said.contains(needle), "{needle:?} is not in: {said}");
    }
    assert_eq!(a.stdout(), [""; 0]);
}

/// Catches: a subscriber that ends because its broker starts later, one that floods the log meanwhile, one that
/// hears no signal while it waits.
fn without_a_broker_service_b_waits_and_can_be_stopped(test: &Test) {
    let address = nowhere();
    let mut b = test.service_b(&["--bootstrap-servers", &address]);
    b.wait_for_line("Trying again in 1s", soon());
    b.wait_for_line("Trying again in 2s", soon());
    assert!(b.stderr().len() < 20, "{:?}", b.stderr());
    assert!(b.stderr().concat().contains(&address));
    assert_eq!(b.stop(Duration::from_secs(10)), Some(0));
    assert_eq!(b.stdout(), ["handled 0, dead letters 0"]);
}

/// Catches: a first attempt that leaves a client behind which never connects.
fn a_broker_that_comes_later_is_found(test: &Test) {
    let address = nowhere();
    let mut b = test.service_b(&["--bootstrap-servers", &address]);
    b.wait_for_line("Trying again", soon());
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let _broker = EmbeddedBroker::start(Options { port, ..Options::default() }).unwrap();
    b.wait_for_line(ASSIGNED, soon());
    let mut a = test.service_a(&["--bootstrap-servers", &address, "--interval", "1ms"]);
    assert_eq!(a.exit_code(soon()), Some(0));
    b.wait_for_line("Received message: event_9", soon());
    assert_eq!(b.stop(soon()), Some(0));
}

/// Catches: an answer that sends the member to another coordinator, taken for none.
fn a_stop_while_the_coordinator_moves_commits_all_the_same(test: &Test) {
    let broker = EmbeddedBroker::start(Options::default()).unwrap();
    let address = broker.address();
    let mut b = test.service_b(&["--bootstrap-servers", &address]);
    b.wait_for_line(ASSIGNED, soon());
    let mut a = test.service_a(&["--bootstrap-servers", &address, "--interval", "1ms"]);
    assert_eq!(a.exit_code(soon()), Some(0));
    b.wait_for_line("Received message: event_9", soon());
    broker.push_request_errors(RDKafkaApiKey::OffsetFetch.into(), &[RDKafkaErrorCode::NotCoordinator]);
    assert_eq!(b.stop(soon()), Some(0));
    let complaints: Vec<String> =
        b.stderr().into_iter().filter(|line| line.contains("offsets not committed")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

/// Catches: partitions that were lost with the session, counted as having come to their end.
fn until_caught_up_outlasts_a_session_without_a_broker(test: &Test) {
    const COUNT: usize = 1_200;
    let topic = test.topic(1);
    test.records.send(topic, &numbered("sleep 10", 0, COUNT, COUNT));
    let session = ["--kafka", "session.timeout.ms=6000", "--concurrency", "1", "--until-caught-up"];
    let mut b = test.scripted(&[&session[..], &QUICK].concat());
    eventually(soon(), "some are handled", || (printed(&b).len() > 100).then_some(()));
    test.broker.down();
    b.wait_for_line("lost", soon());
    // Longer than silence lasts that means an end.
    std::thread::sleep(Duration::from_secs(7));
    assert_comes_to_the_end(test, b, COUNT);
}

/// Catches: an answer of a broker that has just come back, taken for a sign that nothing more comes.
fn until_caught_up_outlasts_a_broker_that_is_away_while_it_looks(test: &Test) {
    const COUNT: usize = 150;
    let topic = test.topic(1);
    // More than is fetched ahead.
    let script = format!("sleep 30 {}", "x".repeat(20_000));
    test.records.send(topic, &numbered(&script, 0, COUNT, COUNT));
    let ahead = ["--kafka", "queued.max.messages.kbytes=100", "--kafka", "max.partition.fetch.bytes=100000"];
    let slowly = ["--window", "20", "--concurrency", "1", "--until-caught-up"];
    let b = test.scripted(&[&slowly[..], &ahead, &QUICK].concat());
    eventually(soon(), "some are handled", || (printed(&b).len() > 5).then_some(()));
    test.broker.down();
    // It has handled what it had, and asks the broker after five seconds of silence.
    std::thread::sleep(Duration::from_secs(8));
    assert_comes_to_the_end(test, b, COUNT);
}

fn assert_comes_to_the_end(test: &Test, mut b: Process, count: usize) {
    let (is_running, before) = (b.is_running(), printed(&b).len());
    test.broker.up();
    assert!(is_running, "it ended while the broker was away: {:?}", b.stdout());
    assert!(before < count - 20, "all was fetched before the broker went");
    assert_eq!(b.exit_code(Duration::from_mins(2)), Some(0));
    assert_none_lost(&handled(printed(&b)), count);
}
