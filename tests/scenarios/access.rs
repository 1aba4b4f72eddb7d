//! A Kafka that asks who we are.

use std::time::{Duration, Instant};

use crate::harness::{Broker, Node, PLAIN, Proxy, Scenario, Test, eventually, free_port, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(a_wrong_password_is_said_without_it_and_tried_again_in_peace, Own)]
}

const RIGHT: &str = "canary-right-81c4";
const WRONG: &str = "canary-wrong-5e09";

/// Catches: a refusal that reads as if nobody were there, a message or a log line with the password, a member that ends, or
/// that runs against the broker in a hot loop.
fn a_wrong_password_is_said_without_it_and_tried_again_in_peace(test: &Test) {
    let (open, guarded) = (free_port(), free_port());
    let proxy = Proxy::to(guarded);
    let users = format!(
        "listener.name.l1.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_pair=\"{RIGHT}\";"
    );
    let node = Node::alone(
        &[(open, open, PLAIN), (guarded, proxy.port, "SASL_PLAINTEXT")],
        &["listener.name.l1.sasl.enabled.mechanisms=PLAIN", &users],
    );
    node.start();
    let test = test.on(Broker::Own { address: format!("127.0.0.1:{open}"), nodes: vec![node] });
    let topic = test.topic(1);
    let address = format!("127.0.0.1:{}", proxy.port);
    let (wrong, right) = (format!("sasl.password={WRONG}"), format!("sasl.password={RIGHT}"));
    let with = |password| {
        let settings =
            ["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN", "sasl.username=pair", password];
        let settings = settings.into_iter().flat_map(|setting| ["--kafka", setting]);
        ["--bootstrap-servers", address.as_str(), "--topic", topic]
            .into_iter()
            .chain(settings)
            .collect::<Vec<_>>()
    };

    let mut a = test.traced("service-a", &with(&wrong));
    assert_eq!(a.exit_code(Duration::from_secs(10)), Some(1));
    let said = a.stderr().concat();
    for needle in [&address, "refuses us", "uthentication failed", "sasl.*"] {
        assert!(said.contains(needle), "{needle:?} is not in {said}");
    }

    let (start, before) = (Instant::now(), proxy.accepted());
    let store = test.store();
    let mut b =
        test.traced("service-b", &[with(&wrong), vec!["--group", &test.group, "--store", &store]].concat());
    for pause in ["1s", "2s", "4s"] {
        b.wait_for_line(&format!("Trying again in {pause}"), soon());
    }
    let made = (proxy.accepted() - before) as f64 / start.elapsed().as_secs_f64();
    println!("{made:.1} connections a second to a broker that refuses");
    assert!(made < 2.0, "{made} connections a second");
    assert!(b.stderr().concat().contains("refuses us"));
    assert_eq!(b.stop(Duration::from_secs(10)), Some(0));
    for process in [&a, &b] {
        assert!(!process.log().all().concat().contains("canary"), "the password is printed");
    }

    // It was the password, and nothing else.
    let mut a = test.service_a(&[with(&right), vec!["--interval", "1ms"]].concat());
    assert_eq!(a.exit_code(soon()), Some(0));
    let mut b = test.service_b(&[with(&right), vec!["--until-caught-up"]].concat());
    assert_eq!(b.exit_code(soon()), Some(0));
    let handled = || b.stderr().iter().filter(|line| line.contains("Received message: ")).count();
    eventually(soon(), "all is handled", || (handled() == 10).then_some(()));
}
