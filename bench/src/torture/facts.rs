//! What is true at the end: read from the topics and the store, by clients of their own.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::database::Database;
use super::oracle::Facts;

const ANSWER: Duration = Duration::from_secs(20);

pub(crate) fn collect(
    database: &Database,
    address: &str,
    topic: &str,
    letters: &str,
) -> anyhow::Result<Facts> {
    Ok(Facts {
        published: records(address, topic)?,
        applied: database.applied()?,
        ledger: database.statuses()?.into_iter().collect(),
        letters: records(address, letters)?.into_iter().map(|(number, _)| number).collect(),
    })
}

/// The numbers in the dead-letter topic.
pub(crate) fn letters(address: &str, topic: &str) -> anyhow::Result<std::collections::BTreeSet<u64>> {
    Ok(records(address, topic)?.into_iter().map(|(number, _)| number).collect())
}

/// Number and id of each record, partition by partition.
fn records(address: &str, topic: &str) -> anyhow::Result<Vec<(u64, String)>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "torture-oracle")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
    let topics = metadata.topics().iter();
    let partitions: Vec<i32> =
        topics.flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect();
    let mut records = Vec::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER)?;
        if low >= high {
            continue;
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(low))?;
        consumer.assign(&list)?;
        loop {
            let Some(message) = consumer.poll(ANSWER) else {
                anyhow::bail!("{topic} does not end at {high}")
            };
            let message = message?;
            let line: serde_json::Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
            let number = line["number"].as_u64();
            records.push((number.ok_or_else(|| anyhow::anyhow!("not ours: {line}"))?, id(&message)));
            if message.offset() + 1 >= high {
                break;
            }
        }
    }
    Ok(records)
}

fn id(message: &impl Message) -> String {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let mut ids = headers.filter(|header| header.key == "ce_id").filter_map(|header| header.value);
    ids.next().map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default()
}
