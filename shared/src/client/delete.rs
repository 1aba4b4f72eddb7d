//! Deleting records: those below an offset, or those of a key in a compacted topic.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::admin::{PATIENCE, ask, close, is_unanswered};
use super::{Connection, Context};
use crate::topic::Topic;

/// How long all replicas may take to delete.
const DELETED: Duration = Duration::from_secs(30);

/// Deletes the records of a partition below an offset. Gives the offset of the first that is left.
///
/// # Errors
/// The broker refuses, or is the embedded one.
pub async fn delete_below(
    connection: &Connection,
    topic: &Topic,
    partition: i32,
    offset: i64,
) -> anyhow::Result<i64> {
    let admin = admin(connection)?;
    let mut below = TopicPartitionList::new();
    below.add_partition_offset(topic.as_str(), partition, Offset::Offset(offset))?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(DELETED));
    let deleted = admin.delete_records(&below, &options).await;
    close(admin)?;
    let deleted = deleted.map_err(|error| refused(&error, "delete records"))?;
    let element = deleted.find_partition(topic.as_str(), partition).context("no answer for the partition")?;
    element.error().map_err(|error| refused(&error, "delete records"))?;
    Ok(element.offset().to_raw().unwrap_or(offset))
}

/// The topic's `cleanup.policy`: `delete`, `compact`, or both by a comma.
///
/// # Errors
/// The broker does not tell, or is the embedded one.
pub async fn cleanup_policy(connection: &Connection, topic: &Topic) -> anyhow::Result<String> {
    let admin = admin(connection)?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = admin.describe_configs([&ResourceSpecifier::Topic(topic.as_str())], &options).await;
    close(admin)?;
    let described = described.map_err(|error| refused(&error, "tell a topic's settings"))?;
    let resource = described.into_iter().next().context("no answer for the topic")?;
    let resource = resource.with_context(|| format!("topic {topic}"))?;
    let policy = resource.get("cleanup.policy").and_then(|entry| entry.value.clone());
    policy.with_context(|| format!("the broker does not say how topic {topic} is cleaned up"))
}

/// Sends a record without a value, a tombstone: compaction then removes the key's earlier records.
///
/// # Errors
/// It was not acknowledged.
pub async fn bury(connection: &Connection, topic: &Topic, key: Vec<u8>) -> anyhow::Result<()> {
    let (config, topic) = (connection.producer()?, topic.clone());
    let producer = move || BaseProducer::from_config_and_context(&config, Delivered::default());
    ask(producer, move |producer| {
        let tombstone = BaseRecord::<[u8], [u8]>::to(topic.as_str()).key(&key);
        producer.send(tombstone).map_err(|(error, _)| error).context("cannot send the tombstone")?;
        producer.flush(DELETED).context("the tombstone was not acknowledged")?;
        let failed = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), |error| Err(error).context("the tombstone was not taken"))
    })
    .await
}

/// Why the record was not delivered, if it was not.
#[derive(Default)]
struct Delivered(Mutex<Option<KafkaError>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

fn admin(connection: &Connection) -> anyhow::Result<AdminClient<Context>> {
    Ok(AdminClient::from_config_and_context(&connection.asking()?, Context::default())?)
}

fn refused(error: &KafkaError, what: &str) -> anyhow::Error {
    if is_unanswered(error) {
        return anyhow::anyhow!("this broker cannot {what}: the embedded one has no administrative requests");
    }
    anyhow::anyhow!("the broker does not {what}: {error}")
}
