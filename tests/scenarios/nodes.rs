//! Kafka on three nodes, which come and go one at a time.

use std::time::{Duration, Instant};

use super::work::{assert_in_order_per_key, assert_none_lost, handled};
use crate::harness::{
    Broker, Node, PLAIN, Process, Scenario, Test, eventually, free_port, printed, scenario, soon,
};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(a_rolling_restart_of_three_nodes_is_not_noticed, Own, Long)]
}

const SETTINGS: [&str; 4] = [
    // Three replicas of everything, of which two must have what counts as acknowledged.
    "default.replication.factor=3",
    "offsets.topic.replication.factor=3",
    "min.insync.replicas=2",
    // Kafka's default again: three nodes on a busy machine lose each other sooner, and with that all leaders.
    "broker.session.timeout.ms=9000",
];
/// How long a node may take until it has everything again.
const BACK: Duration = Duration::from_mins(1);
const KEYS: usize = 40;

fn three_nodes(test: &Test) -> Test {
    let controllers = [free_port(), free_port(), free_port()];
    let ports = [free_port(), free_port(), free_port()];
    let node = |number: usize| {
        let port = ports[number - 1];
        Node::of(&controllers, number, &[(port, port, PLAIN)], &SETTINGS)
    };
    let nodes = vec![node(1), node(2), node(3)];
    // None of them serves before two have agreed who leads.
    std::thread::scope(|scope| {
        let starts: Vec<_> = nodes.iter().map(|node| scope.spawn(|| node.start())).collect();
        for start in starts {
            start.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    test.on(Broker::Own { address: ports.map(|port| format!("127.0.0.1:{port}")).join(","), nodes })
}

/// The longest pause between two events that were handled, in seconds.
fn longest_pause(members: &[Process]) -> f64 {
    let times = members.iter().flat_map(printed).map(|(time, ..)| time.parse::<jiff::Timestamp>().unwrap());
    let mut times: Vec<_> = times.collect();
    times.sort();
    times.windows(2).map(|two| (two[1] - two[0]).total(jiff::Unit::Second).unwrap()).fold(0.0, f64::max)
}

/// Catches: a send given up while its partition has no leader, one that is repeated to the new leader as another one, a
/// group that is lost with the node that led it.
fn a_rolling_restart_of_three_nodes_is_not_noticed(test: &Test) {
    let test = three_nodes(test);
    let topic = test.topic(6);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let line = |number: usize| format!(r#"{{"k":"k{0}","do":"effect 5 k{0}:{number}"}}"#, number % KEYS);
    std::fs::write(&file, (0..100_000).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let mut members = [test.scripted(&[]), test.scripted(&[])];
    let from = ["--from", file.to_str().unwrap(), "--key-field", "k", "--rate", "200", "--output", "json"];
    let mut a = test.service_a(&from);
    eventually(soon(), "both members work", || {
        members.iter().all(|member| printed(member).len() > 100).then_some(())
    });

    let start = Instant::now();
    let restart = |node: &Node, end: fn(&Node)| {
        end(node);
        node.start();
        eventually(BACK, "the node has everything again", || {
            (test.records.in_sync(topic) == 3).then_some(())
        });
    };
    for node in test.broker.nodes() {
        restart(node, Node::stop);
    }
    let leader = test.records.leader(topic, 0);
    restart(&test.broker.nodes()[leader - 1], Node::kill);
    let took = start.elapsed();

    assert_eq!(a.stop(soon()), Some(0));
    let said: serde_json::Value = serde_json::from_str(&a.stdout()[0]).unwrap();
    assert_eq!((said["failed"].as_u64(), &said["published"]), (Some(0), &said["acknowledged"]), "{said}");
    let count = said["acknowledged"].as_u64().unwrap();
    let applied = || test.sql("select count(*) from test_applied");
    eventually(soon(), "all takes effect", || (applied() >= count as i64).then_some(()));
    for member in &mut members {
        assert_eq!(member.stop(soon()), Some(0));
    }
    assert_eq!(applied(), count as i64);
    assert_eq!(test.sql("select count(distinct number) from test_applied"), count as i64);
    let handled = handled(members.iter().flat_map(printed).collect());
    assert_none_lost(&handled, count as usize);
    assert_in_order_per_key(&handled);
    let pause = longest_pause(&members);
    println!("{count} events through four restarts in {took:?}, longest pause {pause:.1} s");
    assert!(pause < 30.0, "nothing was handled for {pause} s");
}
