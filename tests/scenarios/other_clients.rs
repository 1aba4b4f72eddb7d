//! Clients of other people, in both directions.

use crate::harness::{Process, Python, Scenario, Test, kcat, printed, scenario, soon};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(what_kcat_sends_is_handled, Kcat),
        scenario!(what_service_a_sends_kcat_reads, Kcat),
        scenario!(what_kafka_python_sends_is_handled, Python),
        scenario!(what_service_a_sends_kafka_python_reads, Python),
    ]
}

fn ten() -> [String; 10] {
    std::array::from_fn(|number| format!("event_{number}"))
}

fn handled(test: &Test) -> Vec<String> {
    let mut b: Process = test.service_b(&["--until-caught-up"]);
    assert_eq!(b.exit_code(soon()), Some(0));
    printed(&b).into_iter().map(|(_, data, _)| data).collect()
}

fn publish(test: &Test) {
    let mut a = test.service_a(&["--interval", "1ms"]);
    assert_eq!(a.exit_code(soon()), Some(0));
}

/// Catches: events that only our own producer can make.
fn what_kcat_sends_is_handled(test: &Test) {
    let topic = test.topic(3);
    let lines = ten().map(|event| format!("counter:{event}")).join("\n");
    kcat(&["-b", &test.broker.address(), "-t", topic, "-P", "-K", ":"], &lines);
    assert_eq!(handled(test), ten());
}

/// Catches: data wrapped in something that only our own consumer understands.
fn what_service_a_sends_kcat_reads(test: &Test) {
    test.topic(1);
    publish(test);
    let address = test.broker.address();
    let read = ["-b", &address, "-t", &test.topic, "-C", "-o", "beginning", "-e", "-q", "-f", "%k %s %h\\n"];
    let output = kcat(&read, "");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 10, "{output}");
    for (line, event) in lines.iter().zip(ten()) {
        assert!(line.starts_with(&format!("counter {event} ")), "{line}");
        assert!(line.contains("ce_specversion=1.0") && line.contains("content-type=text/plain"), "{line}");
    }
}

/// As for kcat, with a client that shares nothing with librdkafka.
fn what_kafka_python_sends_is_handled(test: &Test) {
    let topic = test.topic(3);
    let address = test.broker.address();
    Python::run(&format!(
        "import kafka\n\
         producer = kafka.KafkaProducer(bootstrap_servers='{address}')\n\
         for number in range(10):\n\
         \x20   producer.send('{topic}', key=b'counter', value=b'event_%d' % number)\n\
         producer.flush(20)\n\
         producer.close()\n"
    ));
    assert_eq!(handled(test), ten());
}

/// As for kcat.
fn what_service_a_sends_kafka_python_reads(test: &Test) {
    test.topic(1);
    publish(test);
    let output = Python::run(&format!(
        "import kafka\n\
         consumer = kafka.KafkaConsumer('{}', bootstrap_servers='{}', auto_offset_reset='earliest',\n\
         \x20                              group_id=None, consumer_timeout_ms=4000)\n\
         for record in consumer:\n\
         \x20   print(record.key.decode(), record.value.decode(), dict(record.headers)['ce_specversion'].decode())\n",
        test.topic,
        test.broker.address()
    ));
    let expected = ten().map(|event| format!("counter {event} 1.0"));
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
}
