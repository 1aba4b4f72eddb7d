//! The relay on the embedded broker, with an outbox in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Headers, Message};

use super::Relay;
use super::memory::Memory;
use crate::broker::{EmbeddedBroker, Options};
use crate::client::Connection;
use crate::event::NewEvent;
use crate::record::{Origin, RecordBuilder};
use crate::store::{OutboxRecord, Store};

const PRODUCE: i16 = 0;
const SOON: Duration = Duration::from_secs(30);

struct Setting {
    broker: EmbeddedBroker,
    store: Arc<Memory>,
}

impl Setting {
    fn new() -> Self {
        let topics = ["t", "u", "dlq.g.t"].map(|topic| (topic.to_owned(), 2)).to_vec();
        let broker = EmbeddedBroker::start(Options { port: 0, topics }).expect("a broker");
        Self { broker, store: Arc::default() }
    }

    fn connection(&self) -> Connection {
        Connection { bootstrap_servers: self.broker.address(), properties: Vec::new() }
    }

    fn relay(&self) -> Relay {
        Relay::start(&self.connection(), Arc::clone(&self.store) as Arc<dyn Store>).expect("a relay")
    }

    /// A relay that has sent some of so many rows, and waits for a slow broker's answers.
    async fn with_rows_in_flight(&self, count: usize) -> Relay {
        self.broker.set_round_trip_time(Duration::from_millis(300)).expect("slow");
        self.add("t", "a", numbered(0..count)).await;
        let relay = self.relay();
        while relay.progress().in_flight == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        relay
    }

    async fn add(&self, topic: &str, key: &str, values: impl IntoIterator<Item = String>) {
        let topic = topic.parse().expect("a topic");
        let event = |value: String| NewEvent::new("/a", "t").key(key).data("text/plain", value);
        let records = values.into_iter().map(|value| OutboxRecord::of(&event(value), &topic)).collect();
        assert_eq!(self.store.enqueue(records, None, usize::MAX).await, Ok(true));
    }

    /// The values of each key, in the order of their partition; each the first time only.
    fn published(&self, topic: &str) -> HashMap<String, Vec<String>> {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        for (key, value, _) in self.records(topic) {
            let values = values.entry(key).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// Key, value and header names of each record.
    fn records(&self, topic: &str) -> Vec<(String, String, Vec<String>)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.address())
            .set("group.id", "reader")
            .set("fetch.message.max.bytes", "8000000")
            .create()
            .expect("a consumer");
        let mut list = rdkafka::TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..2 {
            let (low, high) = consumer.fetch_watermarks(topic, partition, SOON).expect("watermarks");
            list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(low)).expect("a partition");
            left += high - low;
        }
        consumer.assign(&list).expect("assigned");
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut found = Vec::new();
        while (found.len() as i64) < left {
            let record = consumer.poll(SOON).expect("a record").expect("a record");
            let names = record.headers().map(|all| all.iter().map(|header| header.key.to_owned()).collect());
            found.push((text(record.key()), text(record.payload()), names.unwrap_or_default()));
        }
        found
    }
}

fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

async fn drained(relay: &Relay) {
    tokio::time::timeout(SOON, relay.drained()).await.expect("drained");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_outbox_is_published_in_order_and_deleted() {
    let setting = Setting::new();
    for key in ["a", "b", "c"] {
        setting.add("t", key, numbered(0..3000)).await;
    }
    let relay = setting.relay();
    drained(&relay).await;
    assert_eq!(setting.store.rows().len(), 0);
    let start = Instant::now();
    setting.add("u", "a", numbered(0..1)).await;
    relay.wake();
    drained(&relay).await;
    assert!(start.elapsed() < Duration::from_millis(900), "woken, not polled: {:?}", start.elapsed());
    assert_eq!(relay.stop(SOON).await.relayed, 9001);
    let published = setting.published("t");
    let expected: Vec<_> = numbered(0..3000).collect();
    assert!(["a", "b", "c"].iter().all(|key| published[*key] == expected));
    assert_eq!(setting.records("t").len(), 9000);
}

/// Interleaving 8. Catches: a row that is given up after a while, and one that is sent while the first one of its key has no
/// answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_row_of_a_key_never_overtakes() {
    let setting = Setting::new();
    // So long that the next batch is ready before the answer to the first.
    setting.broker.set_round_trip_time(Duration::from_millis(30)).expect("slow");
    // The broker does not answer in time, cuts the connection, is not ready, and does not know the producer's sequence.
    for errors in [
        vec![Code::RequestTimedOut, Code::RequestTimedOut],
        vec![Code::BrokerTransportFailure],
        vec![Code::NotEnoughReplicas],
        vec![Code::OutOfOrderSequenceNumber],
        vec![Code::UnknownTopicOrPartition],
        vec![Code::InvalidRecord],
        vec![Code::MessageSizeTooLarge, Code::MessageSizeTooLarge],
        vec![Code::TopicAuthorizationFailed],
    ] {
        let setting = &setting;
        let key = &format!("{errors:?}");
        let relay = setting.relay();
        // The first row waits for a producer id; the others should not gather behind it.
        setting.add("t", "first", [String::new()]).await;
        relay.wake();
        drained(&relay).await;
        setting.broker.push_request_errors(PRODUCE, &errors);
        for number in 0..40 {
            setting.add("t", key, [number.to_string()]).await;
            relay.wake();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drained(&relay).await;
        relay.stop(SOON).await;
        let stuck: Vec<_> = setting.store.rows().iter().filter_map(|row| row.refused.clone()).collect();
        let published = setting.published("t").remove(key).unwrap_or_default();
        let expected: Vec<_> = numbered(0..published.len()).collect();
        assert_eq!(published, expected, "{key}");
        assert_eq!(published.len() + setting.store.rows().len(), 40, "{key}: {stuck:?}");
        setting
            .store
            .relayed(setting.store.rows().iter().map(|row| row.number).collect())
            .await
            .expect("emptied");
        setting.broker.clear_request_errors(PRODUCE);
    }
}

/// Catches: a broker that is away for longer than any timeout, at the start and in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_waited_for() {
    let setting = Setting::new();
    setting.broker.set_down(true).expect("down");
    setting.add("t", "a", numbered(0..100)).await;
    let relay = setting.relay();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(setting.store.rows().len(), 100);
    setting.broker.set_down(false).expect("up");
    drained(&relay).await;
    setting.broker.set_down(true).expect("down");
    setting.add("t", "a", numbered(100..200)).await;
    relay.wake();
    tokio::time::sleep(Duration::from_millis(300)).await;
    setting.broker.set_down(false).expect("up");
    drained(&relay).await;
    assert_eq!(setting.published("t")["a"], numbered(0..200).collect::<Vec<_>>());
}

/// Catches: rows that are forgotten when the store could not be told.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_waited_for() {
    let setting = Setting::new();
    setting.store.is_down.store(true, Ordering::Relaxed);
    let relay = setting.relay();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    setting.store.is_down.store(false, Ordering::Relaxed);
    setting.add("t", "a", numbered(0..100)).await;
    drained(&relay).await;
    assert_eq!((setting.store.rows().len(), setting.records("t").len()), (0, 100));
    // Away when the answers come.
    setting.broker.set_round_trip_time(Duration::from_millis(300)).expect("slow");
    setting.add("t", "a", numbered(100..200)).await;
    relay.wake();
    while relay.progress().in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    setting.store.is_down.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    setting.store.is_down.store(false, Ordering::Relaxed);
    drained(&relay).await;
    assert_eq!((setting.store.rows().len(), setting.records("t").len()), (0, 200), "none is sent again");
}

/// Catches: one row that the broker does not take holding all, and a later one of its key going before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_holds_its_key_only() {
    let setting = Setting::new();
    // Larger than a message may be here, so that it is refused in any company.
    setting.add("t", "a", numbered(0..10)).await;
    setting.add("t", "a", ["x".repeat(101_000_000)]).await;
    setting.add("t", "a", numbered(11..20)).await;
    setting.add("t", "b", numbered(0..10)).await;
    let relay = setting.relay();
    drained(&relay).await;
    assert_eq!(relay.stop(SOON).await.stuck, 10);
    let refused: Vec<_> = setting.store.rows().into_iter().map(|row| row.refused).collect();
    assert_eq!(refused[0].as_deref(), Some("larger than the topic t takes"));
    assert_eq!(refused[1..], vec![None; 9]);
    let published = setting.published("t");
    assert_eq!(published["a"], numbered(0..10).collect::<Vec<_>>());
    assert_eq!(published["b"], numbered(0..10).collect::<Vec<_>>());
}

/// Catches: one topic's trouble holding all, a topic that is given up, and a topic whose later rows go first.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_in_trouble_holds_nobody_else() {
    let setting = Setting::new();
    setting.broker.fail_topic("u", Some(Code::TopicAuthorizationFailed)).expect("failing");
    for round in 0..3 {
        setting.add("u", "a", numbered(round * 10..round * 10 + 10)).await;
        setting.add("t", "a", numbered(round * 10..round * 10 + 10)).await;
    }
    let relay = setting.relay();
    let start = Instant::now();
    while setting.store.rows().len() > 30 {
        assert!(start.elapsed() < SOON, "{} rows are left", setting.store.rows().len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(setting.published("t")["a"], numbered(0..30).collect::<Vec<_>>());
    assert!(!relay.progress().is_idle);
    setting.broker.fail_topic("u", None).expect("healed");
    drained(&relay).await;
    assert_eq!(setting.published("u")["a"], numbered(0..30).collect::<Vec<_>>());
}

/// Catches: a whole batch refused for one of its rows, or for its own size.
#[tokio::test(flavor = "multi_thread")]
async fn the_guilty_row_of_a_batch_is_found() {
    let setting = Setting::new();
    setting.broker.push_request_errors(PRODUCE, &[Code::InvalidRecord]);
    // Without keys: they go together from the start.
    let topic = "t".parse().expect("a topic");
    let event = |value| OutboxRecord::of(&NewEvent::new("/a", "t").data("text/plain", value), &topic);
    let records = numbered(0..50).map(event).collect();
    assert_eq!(setting.store.enqueue(records, None, usize::MAX).await, Ok(true));
    let relay = setting.relay();
    drained(&relay).await;
    assert_eq!(setting.store.rows().len(), 0, "each of them alone was taken");
    assert_eq!(setting.published("t")[""].len(), 50);
}

/// Catches: a dead letter that is refused for its size.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_too_large_goes_out_as_a_pointer() {
    let setting = Setting::new();
    let origin = Origin { topic: "t", partition: 0, offset: 7, timestamp: None };
    let mut letter = RecordBuilder::default();
    letter.start(Some(b"key"), Some(&vec![b'x'; 101_000_000])).header(b"theirs", Some(b"kept"));
    for (name, value) in crate::dead_letter::headers(origin, "why", 1, "g") {
        letter.header(name.as_bytes(), Some(value.as_bytes()));
    }
    let record = OutboxRecord { topic: "dlq.g.t".to_owned(), packed: letter.finish(origin).pack() };
    assert_eq!(setting.store.enqueue(vec![record], None, 9).await, Ok(true));
    let relay = setting.relay();
    drained(&relay).await;
    assert_eq!(setting.store.rows().len(), 0);
    let records = setting.records("dlq.g.t");
    let [(key, value, headers)] = &records[..] else { panic!("{} records", records.len()) };
    assert_eq!((key.as_str(), value.as_str()), ("key", ""));
    assert_eq!((headers[0].as_str(), headers[7].as_str()), ("theirs", "__dlq.errors.omitted"));
}

/// Catches: two relays that send at once, and one that never takes over.
#[tokio::test(flavor = "multi_thread")]
async fn one_relay_works_and_another_takes_over() {
    let setting = Setting::new();
    let (first, second) = (setting.relay(), setting.relay());
    setting.add("t", "a", numbered(0..1000)).await;
    drained(&first).await;
    drained(&second).await;
    let (one, two) = (first.progress().relayed, second.progress().relayed);
    assert!(one + two == 1000 && (one == 0 || two == 0), "{one} and {two}");
    // It leaves the lease to the other.
    let left = if one > 0 {
        first.stop(SOON).await;
        second
    } else {
        second.stop(SOON).await;
        first
    };
    setting.add("t", "a", numbered(1000..1100)).await;
    tokio::time::timeout(Duration::from_secs(5), left.drained()).await.expect("drained");
    assert_eq!(left.progress().relayed, 100);
    assert_eq!(setting.records("t").len(), 1100);
}

/// Catches: a lease that a killed process keeps for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_died_is_replaced_and_loses_nothing() {
    let setting = Setting::new();
    setting.broker.set_round_trip_time(Duration::from_millis(200)).expect("slow");
    setting.add("t", "a", numbered(0..5000)).await;
    let first = setting.relay();
    while setting.store.rows().len() == 5000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(first);
    setting.broker.set_round_trip_time(Duration::ZERO).expect("quick");
    let second = setting.relay();
    drained(&second).await;
    assert_eq!(setting.store.rows().len(), 0);
    assert_eq!(setting.published("t")["a"], numbered(0..5000).collect::<Vec<_>>());
}

/// Catches: a stop that forgets what is acknowledged, or sends on.
#[tokio::test(flavor = "multi_thread")]
async fn stop_waits_for_answers_and_sends_nothing_new() {
    let setting = Setting::new();
    let relay = setting.with_rows_in_flight(10_000).await;
    let progress = relay.stop(SOON).await;
    let left = setting.store.rows().len();
    assert!(left > 0, "it has not relayed all");
    assert_eq!(progress.relayed as usize + left, 10_000);
    assert_eq!(setting.records("t").len() + left, 10_000, "what is in Kafka is deleted, and nothing else");
}

/// Catches: rows that are still on their way while another process, which has the lease by now, sends what comes after them.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lasts_no_longer_than_the_lease() {
    let setting = Setting::new();
    let relay = setting.with_rows_in_flight(1_000).await;
    setting.broker.set_down(true).expect("down");
    let start = Instant::now();
    let progress = relay.stop(Duration::from_mins(1)).await;
    assert!(start.elapsed() < super::lease::TERM, "{:?}", start.elapsed());
    assert_eq!(progress.relayed as usize + setting.store.rows().len(), 1_000);
}

/// Catches: a producer that lives on while its relay waits for a store that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_does_not_lengthen_the_lease() {
    let setting = Setting::new();
    let relay = setting.with_rows_in_flight(1_000).await;
    setting.broker.set_down(true).expect("down");
    setting.store.hangs.store(true, Ordering::Relaxed);
    tokio::time::sleep(super::lease::TERM + Duration::from_secs(1)).await;
    setting.broker.set_down(false).expect("up");
    // Longer than a producer takes to find its way back.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(setting.records("t").len(), 0);
    setting.store.hangs.store(false, Ordering::Relaxed);
    drained(&relay).await;
    assert_eq!(setting.published("t")["a"], numbered(0..1_000).collect::<Vec<_>>());
}

/// Catches: a lease that has ended, and that every question ends with at once, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_as_the_lease_ends_is_asked_in_peace() {
    let setting = Setting::new();
    let relay = setting.relay();
    setting.add("t", "a", numbered(0..1)).await;
    drained(&relay).await;
    // Pauses of 1, 2 and 4 s from here bring a question that fails into the lease's last second.
    let renewed = setting.store.lease_ends().expect("a lease") - super::lease::TERM;
    tokio::time::sleep_until(renewed + Duration::from_millis(2_500)).await;
    setting.store.is_down.store(true, Ordering::Relaxed);
    relay.wake();
    let before = setting.store.questions.load(Ordering::Relaxed);
    tokio::time::sleep(super::lease::TERM + Duration::from_secs(2)).await;
    let asked = setting.store.questions.load(Ordering::Relaxed) - before;
    assert!(asked < 30, "asked {asked} times");
    setting.store.is_down.store(false, Ordering::Relaxed);
    drained(&relay).await;
}
