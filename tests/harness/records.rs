//! A client for records, groups and offsets that shares no code with the services.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::raw::{Raw, Sent};
use super::sys;
use super::wait::eventually;

/// How long the broker may take for one answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Counts what could not be delivered.
#[derive(Debug, Default)]
struct Delivered(Mutex<Vec<String>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}

/// A client that shares no code with the services.
#[derive(Debug, Clone)]
pub struct Records {
    address: String,
}

impl Records {
    /// Of the broker at that address.
    pub fn new(address: String) -> Self {
        Self { address }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.address)
            .set("message.max.bytes", "8000000")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            // A broker that comes back should not be waited for longer than it takes.
            .set("reconnect.backoff.max.ms", "200")
            .set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    /// Sends the records in order, where their keys take them, and waits until all are acknowledged.
    pub fn send(&self, topic: &str, records: &[Raw]) {
        self.send_to(topic, -1, records, Duration::ZERO);
    }

    /// The same to one partition (-1: where the keys take them), with a pause after each.
    pub fn send_to(&self, topic: &str, partition: i32, records: &[Raw], pause: Duration) {
        let mut config = self.config();
        // In order without idempotence, whose producer id takes half a second to come.
        config.set("acks", "all").set("max.in.flight.requests.per.connection", "1");
        let producer = BaseProducer::from_config_and_context(&config, Delivered::default()).unwrap();
        for record in records {
            sys::produce(&producer, topic, partition, record);
            producer.poll(Duration::ZERO);
            std::thread::sleep(pause);
        }
        producer.flush(ANSWER * 3).unwrap();
        let failures = producer.context().0.lock().unwrap();
        assert!(failures.is_empty(), "not delivered to {topic}: {failures:?}");
    }

    /// Every record of a topic, by partition and offset. None if there is no such topic.
    pub fn all(&self, topic: &str) -> Vec<Sent> {
        let ends = self.ends(topic);
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", "tests-reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut start = TopicPartitionList::new();
        let mut left = 0;
        for (partition, (low, high)) in &ends {
            start.add_partition_offset(topic, *partition, Offset::Offset(*low)).unwrap();
            left += high - low;
        }
        consumer.assign(&start).unwrap();
        let mut found = Vec::new();
        let deadline = Instant::now() + ANSWER;
        while (found.len() as i64) < left {
            assert!(Instant::now() < deadline, "read {} of {left} records of {topic}", found.len());
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                found.push(sys::copy(&message));
            }
        }
        found.sort_by_key(|sent| (sent.partition, sent.offset));
        found
    }

    /// First and next offset of each partition.
    pub fn ends(&self, topic: &str) -> BTreeMap<i32, (i64, i64)> {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let ids = Self::partitions(&consumer, topic);
        ids.into_iter().map(|id| (id, Self::ends_of(&consumer, topic, id))).collect()
    }

    /// A partition that was made a moment ago is listed before its leader takes questions.
    fn ends_of(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
        eventually(ANSWER, "the partition's leader takes questions", || {
            match consumer.fetch_watermarks(topic, partition, ANSWER) {
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NotLeaderForPartition) => {
                    None
                }
                ends => Some(ends.unwrap()),
            }
        })
    }

    fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER).unwrap();
        let found = metadata.topics().first().filter(|topic| topic.error().is_none());
        found.map_or_else(Vec::new, |topic| topic.partitions().iter().map(MetadataPartition::id).collect())
    }

    /// In how many places at least each partition is as it should be.
    pub fn in_sync(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), ANSWER) else { return 0 };
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        partitions.map(|partition| partition.isr().len()).min().unwrap_or(0)
    }

    /// The number of the node that leads that partition.
    pub fn leader(&self, topic: &str, partition: usize) -> usize {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER).unwrap();
        metadata.topics()[0].partitions()[partition].leader() as usize
    }

    /// The group's committed offset of each partition that has one.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        for id in Self::partitions(&consumer, topic) {
            asked.add_partition(topic, id);
        }
        // In a scope of its own: the list would keep the consumer from closing.
        let committed = consumer.committed_offsets(asked, ANSWER).unwrap();
        let elements = committed.elements();
        let offsets = elements.iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        });
        offsets.collect()
    }

    /// Whether the broker answers.
    pub fn answers(&self) -> bool {
        let consumer: Result<BaseConsumer, _> = self.config().create();
        consumer.is_ok_and(|consumer| consumer.fetch_metadata(None, Duration::from_secs(2)).is_ok())
    }
}
