//! On the embedded broker, with a context that leaves the answer to the group to the test.

use std::sync::Mutex;
use std::time::Instant;

use rdkafka::ClientContext;
use rdkafka::Offset;
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
        assert!(fetch(&mut consumer, DEADLINE, 10).is_empty());
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

/// What arrives: partition, offset and number of each record.
fn fetch(consumer: &mut BatchConsumer<Assigned>, wait: Duration, most: usize) -> Vec<(i32, i64, i32)> {
    let records: Vec<_> = consumer.fetch(wait, most).map(|fetched| read(&fetched.unwrap())).collect();
    assert!(records.len() <= most);
    records
}

fn read(fetched: &Fetched<'_>) -> (i32, i64, i32) {
    assert_eq!(fetched.topic(), "t");
    assert_eq!(fetched.key(), None);
    assert!(fetched.timestamp().is_some());
    let number = std::str::from_utf8(fetched.value().unwrap()).unwrap().parse().unwrap();
    (fetched.partition(), fetched.offset(), number)
}

/// So many more records, none twice and none left out.
fn receive(consumer: &mut BatchConsumer<Assigned>, next: &mut [i64; 2], count: i64, most: usize) {
    let start = Instant::now();
    let until = next[0] + next[1] + count;
    while next[0] + next[1] < until {
        assert!(start.elapsed() < DEADLINE, "only up to {next:?}");
        for (partition, offset, number) in fetch(consumer, Duration::from_millis(100), most) {
            assert_eq!(offset, next[partition as usize]);
            assert_eq!(i64::from(number), offset * 2 + i64::from(partition));
            next[partition as usize] += 1;
        }
        serve(consumer);
    }
}

fn both() -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    list.add_partition("t", 1);
    list
}

#[test]
fn every_record_comes_once_and_in_order_whatever_the_batch() {
    for most in [1, 7, 512] {
        let (_broker, mut consumer) = taken(200);
        let mut next = [0, 0];
        receive(&mut consumer, &mut next, 200, most);
        assert_eq!(next, [100, 100]);
    }
}

#[test]
fn one_record_ends_the_wait() {
    let (broker, mut consumer) = taken(0);
    assert!(fetch(&mut consumer, Duration::ZERO, 10).is_empty());
    let start = Instant::now();
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        send(&broker, 0..1);
        broker
    });
    // Not for a batch of 512.
    while fetch(&mut consumer, DEADLINE, 512).is_empty() {
        assert!(start.elapsed() < DEADLINE, "nothing came");
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
    let mut next = [0, 0];
    receive(&mut consumer, &mut next, 10, 5);
    consumer.pause(&both()).unwrap();
    assert!(fetch(&mut consumer, Duration::from_millis(300), 512).is_empty(), "paused");
    consumer.resume(&both()).unwrap();
    let rest = 100 - next[0] - next[1];
    receive(&mut consumer, &mut next, rest, 512);
    assert_eq!(next, [50, 50]);
}

/// Catches: a position that an error has moved and nobody has moved back.
#[test]
fn a_record_behind_an_error_and_a_pause_is_not_skipped() {
    let (broker, mut consumer) = taken(0);
    // The number of Kafka's fetch request.
    broker.push_request_errors(1, &[RDKafkaErrorCode::Unknown; 3]);
    let (start, mut failed) = (Instant::now(), Vec::new());
    while failed.is_empty() {
        assert!(start.elapsed() < DEADLINE, "no error came");
        failed.extend(consumer.fetch(Duration::from_millis(100), 512).filter_map(Result::err));
    }
    for error in failed {
        assert_eq!((error.topic.as_str(), error.reason.is_empty()), ("t", false));
        consumer.seek("t", error.partition, Offset::Beginning, Duration::ZERO).unwrap();
    }
    consumer.pause(&both()).unwrap();
    send(&broker, 0..10);
    consumer.resume(&both()).unwrap();
    let (start, mut next) = (Instant::now(), [0, 0]);
    while next != [5, 5] {
        assert!(start.elapsed() < DEADLINE, "only up to {next:?}");
        let mut failed = Vec::new();
        for fetched in consumer.fetch(Duration::from_millis(100), 512) {
            match fetched {
                Ok(fetched) => {
                    let (partition, offset, _) = read(&fetched);
                    assert_eq!(offset, next[partition as usize]);
                    next[partition as usize] += 1;
                }
                Err(error) => failed.push(error.partition),
            }
        }
        for partition in failed {
            let back = Offset::Offset(next[partition as usize]);
            consumer.seek("t", partition, back, Duration::ZERO).unwrap();
        }
    }
}

/// As a run ends, and as one that panics does.
#[test]
fn it_closes_with_records_in_its_queue() {
    for close in [BatchConsumer::close, drop] {
        let (_broker, mut consumer) = taken(2000);
        let start = Instant::now();
        while fetch(&mut consumer, Duration::from_millis(100), 1).is_empty() {
            assert!(start.elapsed() < DEADLINE, "nothing came");
        }
        let (closing, closed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            close(consumer);
            let _ = closing.send(());
        });
        closed.recv_timeout(DEADLINE).expect("closed");
    }
}

/// Catches: the polls of 100 ms in which rdkafka waits when a consumer is dropped.
#[test]
fn it_is_closed_when_the_group_has_answered() {
    let close = |_| {
        let (broker, consumer) = taken(0);
        let start = Instant::now();
        consumer.close();
        let took = start.elapsed();
        drop(broker);
        took
    };
    let shortest = (0..5).map(close).min().expect("five");
    assert!(shortest < Duration::from_millis(90), "{shortest:?}");
}
