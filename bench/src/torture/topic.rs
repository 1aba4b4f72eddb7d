//! Reading a topic from its beginning to its end, with a consumer that knows nothing of the pair.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::events::{Expected, Line};
use super::facts::{Bytes, Letter, Record};

const PATIENCE: Duration = Duration::from_secs(60);
/// Headers that a dead letter has got on top of its own.
const ADDED: &str = "__dlq.";

/// The records, each partition in its order.
///
/// # Errors
/// The topic cannot be read, or holds what is no line of ours.
pub(crate) fn records(servers: &str, topic: &str, expected: &[Expected]) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    read(servers, topic, |message| {
        let line: Line = serde_json::from_slice(message.payload().unwrap_or_default())
            .with_context(|| format!("{topic} holds a record that is no line of ours"))?;
        let is_hopeless = expected.get(line.number as usize).is_some_and(|expected| expected.hopeless);
        let bytes = bytes(message);
        let id = id(&bytes);
        let (number, partition) = (line.number, message.partition());
        records.push(Record { number, id, partition, bytes: is_hopeless.then_some(bytes) });
        Ok(())
    })?;
    records.sort_by_key(|record| record.partition);
    Ok(records)
}

/// The dead letters, without what was added to them.
///
/// # Errors
/// The topic cannot be read.
pub(crate) fn letters(servers: &str, topic: &str) -> anyhow::Result<Vec<Letter>> {
    let mut letters = Vec::new();
    read(servers, topic, |message| {
        let mut bytes = bytes(message);
        bytes.headers.retain(|(name, _)| !name.starts_with(ADDED));
        letters.push(Letter { id: id(&bytes), bytes });
        Ok(())
    })?;
    Ok(letters)
}

fn id(bytes: &Bytes) -> String {
    let id = bytes.headers.iter().find(|(name, _)| name == "ce_id");
    let id = id.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
    String::from_utf8_lossy(id).into_owned()
}

fn bytes(message: &BorrowedMessage<'_>) -> Bytes {
    let headers = message.headers().map(|headers| {
        let headers = headers.iter();
        headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    Bytes {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

/// Hands on every record that is there now.
fn read(
    servers: &str,
    topic: &str,
    mut each: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        // Never joined, never committed.
        .set("group.id", "torture-oracle")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len()) as i32;
    let (mut list, mut ends, mut left) = (TopicPartitionList::new(), Vec::new(), 0);
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
        list.add_partition_offset(topic, partition, Offset::Offset(low))?;
        ends.push(high);
        left += usize::from(high > low);
    }
    consumer.assign(&list)?;
    let mut heard = Instant::now();
    while left > 0 {
        anyhow::ensure!(heard.elapsed() < PATIENCE, "{topic} does not come to its end");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let Ok(message) = message else { continue };
        heard = Instant::now();
        let end = ends.get(message.partition() as usize).copied().unwrap_or_default();
        if message.offset() < end {
            each(&message)?;
        }
        left -= usize::from(message.offset() + 1 == end);
    }
    Ok(())
}
