//! Replies as they come: all partitions of the reply topic, from where they ended before the command was sent. No group is
//! joined and nothing is committed, so that whoever else waits there misses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::Reply;
use crate::client::{Connection, Context};
use crate::event::decode;
use crate::raw::{self, Fetched};
use crate::record::RecordBuilder;
use crate::topic::Topic;

/// How long the broker may take for a question.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody still waits.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for one reply, on a thread of its own: librdkafka's calls block. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Inbox {
    reply: oneshot::Receiver<anyhow::Result<Reply>>,
    stop: Arc<AtomicBool>,
}

impl Inbox {
    /// Looks where the topic ends. What comes behind that is read from now on.
    ///
    /// # Errors
    /// The broker does not say.
    pub(super) async fn open(connection: &Connection, topic: Topic, command: String) -> anyhow::Result<Self> {
        let config = connection.reading()?;
        let (is_ready, ready) = oneshot::channel();
        let (sender, reply) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let inbox = Self { reply, stop: Arc::clone(&stop) };
        let read = move || {
            let consumer = BaseConsumer::from_config_and_context(&config, Context::default())
                .map_err(anyhow::Error::new)
                .and_then(|consumer| assign(&consumer, &topic).map(|()| consumer));
            match consumer {
                Ok(consumer) => {
                    let _ = is_ready.send(Ok(()));
                    if let Some(reply) = wait(&consumer, &command, &stop) {
                        let _ = sender.send(reply);
                    }
                }
                Err(error) => drop(is_ready.send(Err(error))),
            }
        };
        std::thread::Builder::new().name("replies".to_owned()).spawn(read)?;
        ready.await.context("waiting for replies panicked: a bug")??;
        Ok(inbox)
    }

    /// The reply.
    ///
    /// # Errors
    /// Kafka refuses to let it be read.
    pub(super) async fn reply(&mut self) -> anyhow::Result<Reply> {
        (&mut self.reply).await.context("waiting for replies panicked: a bug")?
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A topic that was made this moment is not everywhere yet: it is looked for until it should be.
fn assign(consumer: &BaseConsumer<Context>, topic: &Topic) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        match ends(consumer, topic) {
            Ok(ends) => return Ok(consumer.assign(&ends)?),
            Err(error) if start.elapsed() > ANSWER => return Err(error),
            Err(error) => tracing::debug!("looking again: {error:#}"),
        }
        std::thread::sleep(LOOK);
    }
}

fn ends(consumer: &BaseConsumer<Context>, topic: &Topic) -> anyhow::Result<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(Some(topic.as_str()), ANSWER)?;
    let partitions = metadata.topics().first().map_or(&[][..], |found| found.partitions());
    let mut list = TopicPartitionList::new();
    for partition in partitions.iter().map(MetadataPartition::id) {
        let (_, end) = consumer
            .fetch_watermarks(topic.as_str(), partition, ANSWER)
            .with_context(|| format!("cannot read where {topic}/{partition} ends"))?;
        list.add_partition_offset(topic.as_str(), partition, Offset::Offset(end))?;
    }
    anyhow::ensure!(
        list.count() > 0,
        "the topic {topic} cannot be read: it is not there, or nobody lets us see it"
    );
    Ok(list)
}

/// `None` where nobody waits any more.
fn wait(consumer: &BaseConsumer<Context>, command: &str, stop: &AtomicBool) -> Option<anyhow::Result<Reply>> {
    let mut builder = RecordBuilder::default();
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(LOOK) {
            Some(Ok(message)) => {
                let Some(fetched) = Fetched::of(&message) else { continue };
                let (record, is_readable) = raw::copy(&fetched, "", &mut builder);
                let event = is_readable.then(|| decode(record).ok()).flatten();
                // What is no reply, or another's, is none of ours.
                if let Some(reply) = event.and_then(|event| Reply::of(&event, command)) {
                    return Some(Ok(reply));
                }
            }
            Some(Err(error)) if is_refusal(&error) => return Some(Err(error.into())),
            // The broker may come back.
            Some(Err(error)) => tracing::debug!("waiting for a reply: {error}"),
            None => {}
        }
    }
    None
}

fn is_refusal(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownTopic, UnknownTopicOrPartition};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| matches!(code, TopicAuthorizationFailed | UnknownTopic | UnknownTopicOrPartition))
}
