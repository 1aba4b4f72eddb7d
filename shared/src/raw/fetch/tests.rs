//! On the embedded broker, with a context that leaves the answer to the group to the test.

use std::sync::Mutex;
use std::time::Instant;

use rdkafka::ClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaRespErr;

use super::*;
use crate::broker::{EmbeddedBroker, Options};

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Assigned(Mutex<Option<TopicPartitionList>>);

impl ClientContext for Assigned {}

impl ConsumerContext for Assigned {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if matches!(error, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
            *self.0.lock().unwrap() = Some(list.clone());
        } else {
            consumer.incremental_unassign(list).unwrap();
        }
    }
}

/// A topic of two partitions with so many records.
fn broker(records: i32) -> EmbeddedBroker {
    let options = Options { topics: vec![("t".to_owned(), 2)], ..Options::default() };
    let broker = EmbeddedBroker::start(options).unwrap();
    send(&broker, 0..records);
    broker
}

/// A consumer that has taken both partitions.
fn taken(records: i32) -> (EmbeddedBroker, BatchConsumer<Assigned>) {
    let broker = broker(records);
    let mut consumer = joining(&broker);
    let start = Instant::now();
    while !serve(&mut consumer) {
        assert!(start.elapsed() < DEADLINE, "no partitions");
        // Whatever comes ends the wait: the assignment is there long before it is over.
        assert_eq!(consumer.fetch(DEADLINE, 10).count(), 0);
    }
    (broker, consumer)
}

fn joining(broker: &EmbeddedBroker) -> BatchConsumer<Assigned> {
    let mut config = config(broker);
    config.set("group.id", "g").set("auto.offset.reset", "earliest");
    config.set("partition.assignment.strategy", "cooperative-sticky").set("fetch.wait.max.ms", "10");
    config.set("session.timeout.ms", "2000").set("heartbeat.interval.ms", "100");
    let consumer = BatchConsumer::new(&config, Assigned::default()).unwrap();
    consumer.subscribe(&["t"]).unwrap();
    consumer
}

/// Answers the group; whether it has given partitions.
fn serve(consumer: &mut BatchConsumer<Assigned>) -> bool {
    while consumer.has_events() {
        assert!(consumer.poll(Duration::ZERO).is_none(), "records do not come that way");
    }
    let list = consumer.context().0.lock().unwrap().take();
    list.inspect(|list| consumer.take(list).unwrap()).is_some()
}

fn config(broker: &EmbeddedBroker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address());
    config
}

fn send(broker: &EmbeddedBroker, numbers: std::ops::Range<i32>) {
    let producer: BaseProducer = config(broker).create().unwrap();
    for number in numbers {
        let payload = number.to_string();
        let record = BaseRecord::<(), str>::to("t").payload(&payload).partition(number % 2);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// The next records by partition.
fn receive(consumer: &mut BatchConsumer<Assigned>, count: usize, most: usize) -> [Vec<i32>; 2] {
    let (start, mut seen) = (Instant::now(), [Vec::new(), Vec::new()]);
    while seen[0].len() + seen[1].len() < count {
        assert!(start.elapsed() < DEADLINE, "only {seen:?}");
        let batch = consumer.fetch(Duration::from_millis(100), most);
        assert!(batch.0.len() <= most);
        for fetched in batch {
            let fetched = fetched.unwrap();
            assert_eq!(fetched.topic(), "t");
            assert_eq!(fetched.key(), None);
            assert!(fetched.timestamp().is_some());
            let of = &mut seen[fetched.partition() as usize];
            assert_eq!(fetched.offset(), of.len() as i64);
            of.push(std::str::from_utf8(fetched.value().unwrap()).unwrap().parse().unwrap());
        }
        serve(consumer);
    }
    seen
}

#[test]
fn every_record_comes_once_and_in_order_whatever_the_batch() {
    for most in [1, 7, 512] {
        let (_broker, mut consumer) = taken(200);
        let [even, odd] = receive(&mut consumer, 200, most);
        assert!(even.iter().copied().eq((0..200).step_by(2)), "{even:?}");
        assert!(odd.iter().copied().eq((1..200).step_by(2)), "{odd:?}");
    }
}

#[test]
fn one_record_ends_the_wait() {
    let (broker, mut consumer) = taken(0);
    assert_eq!(consumer.fetch(Duration::ZERO, 10).count(), 0);
    let start = Instant::now();
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        send(&broker, 0..1);
        broker
    });
    let mut seen = 0;
    while seen == 0 {
        assert!(start.elapsed() < DEADLINE, "nothing came");
        // Not for a batch of 512.
        seen = consumer.fetch(DEADLINE, 512).count();
    }
    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
    let broker = sender.join().unwrap();
    // Without a broker closing would take a session timeout.
    drop(consumer);
    drop(broker);
}

#[test]
fn what_a_pause_has_outdated_comes_again_after_it() {
    let (_broker, mut consumer) = taken(100);
    // Some of them are taken, others wait in the queue already.
    let [even, odd] = receive(&mut consumer, 10, 5);
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    list.add_partition("t", 1);
    consumer.pause(&list).unwrap();
    assert_eq!(consumer.fetch(Duration::from_millis(300), 512).count(), 0, "paused");
    consumer.resume(&list).unwrap();
    let start = Instant::now();
    let mut seen = [even, odd];
    while seen[0].len() + seen[1].len() < 100 {
        assert!(start.elapsed() < DEADLINE, "only {seen:?}");
        for fetched in consumer.fetch(Duration::from_millis(100), 512) {
            let fetched = fetched.unwrap();
            let of = &mut seen[fetched.partition() as usize];
            assert_eq!(fetched.offset(), of.len() as i64, "none twice, none left out");
            of.push(0);
        }
    }
}

#[test]
fn it_closes_with_records_in_its_queue_and_in_a_batch_that_was_left() {
    let (_broker, mut consumer) = taken(2000);
    let start = Instant::now();
    while consumer.fetch(Duration::from_millis(100), 512).next().is_none() {
        assert!(start.elapsed() < DEADLINE, "nothing came");
    }
    let (closing, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(consumer);
        let _ = closing.send(());
    });
    closed.recv_timeout(DEADLINE).expect("closed");
}
