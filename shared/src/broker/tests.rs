//! Scenarios with real clients over TCP.

mod faults;

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use super::{BrokerError, EmbeddedBroker, Options};

const DEADLINE: Duration = Duration::from_secs(10);

fn broker(topics: &[(&str, i32)]) -> EmbeddedBroker {
    let topics = topics.iter().map(|&(name, partitions)| (name.to_owned(), partitions)).collect();
    EmbeddedBroker::start(Options { topics, ..Options::default() }).unwrap()
}

fn client(broker: &EmbeddedBroker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address());
    // An empty fetch is answered only after this long, even if records arrive meanwhile.
    config.set("fetch.wait.max.ms", "10");
    config.set("reconnect.backoff.max.ms", "100");
    // So long does a consumer take to close if the broker is gone.
    config.set("session.timeout.ms", "1500");
    config.set("heartbeat.interval.ms", "500");
    config.set("auto.offset.reset", "earliest");
    // Connections that break are what these tests are about.
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config
}

fn producer(broker: &EmbeddedBroker) -> BaseProducer {
    client(broker).create().unwrap()
}

fn consumer(broker: &EmbeddedBroker, group: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = client(broker).set("group.id", group).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

fn send(producer: &BaseProducer, topic: &str, numbers: std::ops::Range<i32>) {
    for number in numbers {
        let number = number.to_string();
        let header = Header { key: "number", value: Some(&number) };
        let headers = OwnedHeaders::new().insert(header);
        let record = BaseRecord::to(topic).key("key").payload(&number).headers(headers);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// The next records' payloads, each checked against its header.
fn receive(consumer: &BaseConsumer, count: usize) -> Vec<i32> {
    let deadline = Instant::now() + DEADLINE;
    let mut numbers = Vec::new();
    while numbers.len() < count {
        assert!(Instant::now() < deadline, "only {numbers:?} arrived");
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let payload = record.payload().unwrap();
        let header = record.headers().unwrap().get(0);
        assert_eq!((header.key, header.value), ("number", Some(payload)));
        numbers.push(std::str::from_utf8(payload).unwrap().parse().unwrap());
    }
    numbers
}

fn partitions(producer: &BaseProducer, topic: &str) -> Result<usize, KafkaError> {
    let metadata = producer.client().fetch_metadata(Some(topic), Duration::from_secs(1))?;
    match metadata.topics()[0].error() {
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
        None => Ok(metadata.topics()[0].partitions().len()),
    }
}

#[test]
fn records_arrive_in_order_with_their_headers() {
    let broker = broker(&[("topic1", 1)]);
    let consumer = consumer(&broker, "group", "topic1");

    send(&producer(&broker), "topic1", 0..10);

    assert_eq!(receive(&consumer, 10), (0..10).collect::<Vec<_>>());
}

#[test]
fn topics_have_the_partitions_asked_for() {
    let broker = broker(&[("three", 3)]);
    broker.create_topic("twelve", 12).unwrap();

    let producer = producer(&broker);

    assert_eq!(partitions(&producer, "three").unwrap(), 3);
    assert_eq!(partitions(&producer, "twelve").unwrap(), 12);
}

#[test]
fn unusable_topics_are_errors() {
    let broker = broker(&[("topic1", 1)]);
    let reason = |name, partitions| match broker.create_topic(name, partitions) {
        Err(BrokerError::Topic { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };

    assert_eq!(reason("topic1", 1), RDKafkaErrorCode::TopicAlreadyExists);
    assert_eq!(reason("none", 0), RDKafkaErrorCode::InvalidPartitions);
    assert_eq!(reason("too many", i32::MAX), RDKafkaErrorCode::InvalidPartitions);
    assert_eq!(reason("zero\0byte", 1), RDKafkaErrorCode::InvalidTopic);
}

#[test]
fn a_fixed_port_is_free_again_after_the_drop() {
    let first = broker(&[("topic1", 1)]);
    let port = first.address.port();
    let producer = producer(&first);
    send(&producer, "topic1", 0..1);
    drop(first);

    let second = EmbeddedBroker::start(Options { port, ..Options::default() }).unwrap();

    assert_eq!(second.address(), format!("127.0.0.1:{port}"));
}

#[test]
fn two_brokers_live_side_by_side() {
    let (one, two) = (broker(&[("topic1", 1)]), broker(&[("topic1", 2)]));
    send(&producer(&one), "topic1", 0..3);

    assert_eq!(partitions(&producer(&one), "topic1").unwrap(), 1);
    assert_eq!(partitions(&producer(&two), "topic1").unwrap(), 2);
    let watermarks = producer(&two).client().fetch_watermarks("topic1", 0, DEADLINE);
    assert_eq!(watermarks.unwrap(), (0, 0));
}

#[tokio::test]
async fn it_works_inside_a_runtime() {
    let broker = broker(&[("topic1", 1)]);

    let address = broker.address();
    let connected = tokio::net::TcpStream::connect(&address).await.is_ok();
    broker.set_down(true).unwrap();
    let refused = tokio::net::TcpStream::connect(&address).await.is_err();

    assert!(connected && refused);
}
