//! What the broker does to its clients on purpose, and under load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode};

use super::super::{BrokerError, EmbeddedBroker, Options};
use super::{DEADLINE, broker, client, consumer, partitions, producer, receive, send};

/// A client that lost its connection needs a moment to come back.
fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_broker_that_was_down_comes_back_with_its_data() {
    let broker = broker(&[("topic1", 1)]);
    let producer = producer(&broker);
    send(&producer, "topic1", 0..5);

    broker.set_down(true).unwrap();
    assert!(partitions(&producer, "topic1").is_err());
    TcpStream::connect(broker.address()).unwrap_err();

    broker.set_down(false).unwrap();
    eventually(|| partitions(&producer, "topic1").is_ok());
    send(&producer, "topic1", 5..10);
    let consumer = consumer(&broker, "group", "topic1");
    assert_eq!(receive(&consumer, 10), (0..10).collect::<Vec<_>>());
}

#[test]
fn down_and_up_twice_are_like_once() {
    let broker = broker(&[("topic1", 1)]);

    for down in [false, true, true, false, false] {
        broker.set_down(down).unwrap();
    }

    assert_eq!(partitions(&producer(&broker), "topic1").unwrap(), 1);
}

#[test]
fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let first = broker(&[]);
    let port = first.address.port();

    let error = EmbeddedBroker::start(Options { port, ..Options::default() }).unwrap_err();

    assert!(matches!(error, BrokerError::AddressInUse { address } if address == first.address));
    let text = error.to_string();
    assert!(text.contains(&first.address()) && text.contains("--bootstrap-servers"), "{text}");
}

#[test]
fn dropping_with_a_consumer_connected_takes_less_than_two_seconds() {
    let broker = broker(&[("topic1", 1)]);
    send(&producer(&broker), "topic1", 0..1);
    let consumer = consumer(&broker, "group", "topic1");
    receive(&consumer, 1);

    let start = Instant::now();
    drop(broker);

    let took = start.elapsed();
    // To leave a group whose broker is gone may take librdkafka for ever: not what this is about.
    std::mem::forget(consumer);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_failed_topic_heals() {
    let broker = broker(&[("topic1", 1)]);
    let producer = producer(&broker);
    let error = RDKafkaErrorCode::TopicAuthorizationFailed;

    broker.fail_topic("topic1", Some(error)).unwrap();
    assert_eq!(partitions(&producer, "topic1"), Err(KafkaError::MetadataFetch(error)));

    broker.fail_topic("topic1", None).unwrap();
    assert_eq!(partitions(&producer, "topic1"), Ok(1));
}

#[test]
fn request_errors_are_used_up_one_by_one_or_forgotten() {
    let broker = broker(&[("topic1", 1)]);
    let producer: BaseProducer = client(&broker).set("retries", "0").create().unwrap();
    let delivered = || {
        let record = BaseRecord::<(), str>::to("topic1").payload("x");
        producer.send(record).map_err(|(e, _)| e).unwrap();
        producer.flush(DEADLINE).unwrap();
        producer.client().fetch_watermarks("topic1", 0, DEADLINE).unwrap().1
    };

    broker.push_request_errors(RDKafkaApiKey::Produce.into(), &[RDKafkaErrorCode::MessageSizeTooLarge]);
    assert_eq!(delivered(), 0);
    assert_eq!(delivered(), 1);

    broker.push_request_errors(0, &[RDKafkaErrorCode::MessageSizeTooLarge; 9]);
    broker.clear_request_errors(0);
    assert_eq!(delivered(), 2);
}

#[test]
fn the_round_trip_takes_as_long_as_told() {
    let broker = broker(&[("topic1", 1)]);
    let producer = producer(&broker);
    partitions(&producer, "topic1").unwrap();

    broker.set_round_trip_time(Duration::from_millis(200)).unwrap();

    let start = Instant::now();
    partitions(&producer, "topic1").unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn a_hundred_clients_connect_at_once() {
    let broker = broker(&[]);
    // `ApiVersions` version 0: size, API key, version, correlation id 7, client id "x".
    let request = [0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'x'];
    let start = Instant::now();

    let mut clients: Vec<_> = (0..100).map(|_| TcpStream::connect(broker.address()).unwrap()).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.write_all(&request).unwrap();
    }
    for client in &mut clients {
        let mut answer = [0; 8];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4..], [0, 0, 0, 7]);
    }

    // Eight seconds if the system's repeats were waited for.
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
