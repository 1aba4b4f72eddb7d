//! A network that swallows, delays and resets what passes between the services and Kafka.

use std::path::Path;
use std::time::{Duration, Instant};

use super::work::{assert_in_order_per_key, assert_none_lost, handled, numbered};
use crate::harness::{
    Broker, Network, Node, PLAIN, Proxy, Scenario, Test, eventually, free_port, printed, scenario, soon,
};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_network_that_swallows_everything_costs_time_only, Own),
        scenario!(a_network_that_swallows_the_answers_costs_time_only, Own),
        scenario!(a_network_that_resets_connections_costs_time_only, Own),
        scenario!(half_a_second_of_latency_costs_time_only, Own),
    ]
}

/// Published so many a second.
const RATE: usize = 300;
/// On the topic when the network changes, and slow to handle: a member that loses its partitions has many left.
const BACKLOG: usize = 2_500;
const KEYS: usize = 40;
const SESSION: [&str; 2] = ["--kafka", "session.timeout.ms=6000"];
/// How long after the cut everything must be handled. The source itself goes on for some of that.
const RECOVERY: Duration = Duration::from_secs(15);

/// A Kafka of the test's own, with the proxy before one of its listeners; the test itself uses the other.
fn behind_a_proxy(test: &Test) -> (Test, Proxy) {
    let (direct, proxied) = (free_port(), free_port());
    let proxy = Proxy::to(proxied);
    let node = Node::alone(&[(direct, direct, PLAIN), (proxied, proxy.port, PLAIN)], &[]);
    node.start();
    (test.on(Broker::Own { address: format!("127.0.0.1:{direct}"), nodes: vec![node] }), proxy)
}

/// Lines whose handling writes a row.
fn write_lines(file: &Path, count: usize) {
    let line = |number: usize| format!(r#"{{"k":"a{0}","do":"effect 20 a{0}:{number}"}}"#, number % KEYS);
    std::fs::write(file, (0..count).map(line).collect::<Vec<_>>().join("\n")).unwrap();
}

/// While service-a, one member and perhaps the other live with that network for so long, nothing may be lost, take effect
/// twice or pass an earlier event of its key.
fn costs_time_only(test: &Test, network: Network, seconds: usize, both: bool) {
    let (test, proxy) = behind_a_proxy(test);
    let topic = test.topic(4);
    let folder = tempfile::tempdir().unwrap();
    let (file, outbox) = (folder.path().join("lines"), folder.path().join("outbox.db"));
    // The source outlasts the cut.
    let published = RATE * (seconds + 3);
    write_lines(&file, published);
    let count = published + BACKLOG;
    let proxied = format!("127.0.0.1:{}", proxy.port);
    let through = ["--bootstrap-servers", &proxied];
    let first = test.scripted(&[through, SESSION].concat());
    let second = test.scripted(&if both { [through, SESSION].concat() } else { SESSION.to_vec() });
    let outbox = format!("sqlite:{}", outbox.display());
    let rate = RATE.to_string();
    let source = ["--from", file.to_str().unwrap(), "--key-field", "k", "--rate", &rate, "--outbox", &outbox];
    let mut a = test.service_a(&[&source[..], &through].concat());
    let mut members = [first, second];
    eventually(soon(), "both members work", || {
        members.iter().all(|member| printed(member).len() > 100).then_some(())
    });
    test.records.send(topic, &numbered("effect 100", published, BACKLOG, KEYS));

    proxy.becomes(network);
    // A cut is a length of time, and nothing else.
    std::thread::sleep(Duration::from_secs(seconds as u64));
    proxy.becomes(Network::Whole);
    let healed = Instant::now();
    let is_all = || (test.sql("select count(*) from test_applied") >= count as i64).then_some(());
    eventually(RECOVERY, "all takes effect", is_all);
    println!("{network:?}: all took effect {:?} after the cut", healed.elapsed());

    // Before the members stop: after that it could be their last commit alone.
    eventually(soon(), "all is committed", || {
        let ends = test.records.ends(topic).into_iter().map(|(partition, (_, end))| (partition, end));
        (test.records.committed(&test.group, topic) == ends.collect()).then_some(())
    });
    assert_eq!(a.exit_code(soon()), Some(0));
    assert_eq!(a.stdout(), [format!("published {published}, acknowledged {published}")]);
    for member in &mut members {
        assert!(member.is_running(), "a member ended");
        assert_eq!(member.stop(soon()), Some(0));
    }
    assert_eq!(test.sql("select count(*) from test_applied"), count as i64);
    assert_eq!(test.sql("select count(distinct number) from test_applied"), count as i64);
    let handled = handled(members.iter().flat_map(printed).collect());
    assert_none_lost(&handled, count);
    assert_in_order_per_key(&handled);
    println!("{} handled again", handled.len() - count);
}

/// Catches: a member that goes on for a group that has given its partitions to another one, an outbox that counts what was
/// sent as acknowledged, a send that is repeated without its sequence number.
fn a_network_that_swallows_everything_costs_time_only(test: &Test) {
    costs_time_only(test, Network::Silent, 20, false);
}

/// Catches: the same, where the broker has taken what was sent, and the group's offsets, and nobody learns of it.
fn a_network_that_swallows_the_answers_costs_time_only(test: &Test) {
    costs_time_only(test, Network::WithoutAnswers, 15, false);
}

/// Catches: a client that ends because its connections do.
fn a_network_that_resets_connections_costs_time_only(test: &Test) {
    costs_time_only(test, Network::Resetting, 10, true);
}

/// Catches: timeouts that a far broker cannot meet.
fn half_a_second_of_latency_costs_time_only(test: &Test) {
    costs_time_only(test, Network::Slow(Duration::from_millis(500)), 10, true);
}
