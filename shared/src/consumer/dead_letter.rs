//! Dead letters: events that will not be tried again by themselves, in a topic of their own.
//!
//! What was sent is kept byte for byte, key, value, headers and timestamp; six headers say where it came
//! from and why it is here. Their names are those of KIP-1191, so that tools which know them read ours.
//! What breaks it: a header name with a NUL inside arrives cut there, because the client library hands
//! header names over as C strings.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::client::{Connection, Context};
use crate::event::Arrived;
use crate::raw::{self, HeaderList, Outgoing};
use crate::record::Origin;
use crate::topic::Topic;

const TOPIC: &str = "__dlq.errors.topic";
const PARTITION: &str = "__dlq.errors.partition";
const OFFSET: &str = "__dlq.errors.offset";
const GROUP: &str = "__dlq.errors.group";
const DELIVERY_COUNT: &str = "__dlq.errors.delivery.count";
const MESSAGE: &str = "__dlq.errors.message";

/// The longest reason that is written, in bytes: a reason may quote what was sent.
const LONGEST_REASON: usize = 1000;

/// A record on its way to the dead letters.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub(super) body: Arrived,
    pub(super) reason: String,
    /// How often its handler was given it.
    pub(super) deliveries: u32,
}

impl DeadLetter {
    /// The headers that are added, names and values.
    fn headers(&self, group: &str) -> [(&'static str, String); 6] {
        let Origin { topic, partition, offset, .. } = self.body.record().origin();
        [
            (TOPIC, topic.to_owned()),
            (PARTITION, partition.to_string()),
            (OFFSET, offset.to_string()),
            (GROUP, group.to_owned()),
            (DELIVERY_COUNT, self.deliveries.to_string()),
            (MESSAGE, shortened(&self.reason)),
        ]
    }
}

fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned()
}

/// Where dead letters go. The lanes need no more of it than this.
pub(super) trait DeadLetters: fmt::Debug + Send + Sync {
    /// Ends when the dead letter is safe there, or with why it is not.
    fn publish<'a>(&'a self, letter: &'a DeadLetter) -> BoxFuture<'a, Result<(), String>>;
}

/// Dead letters in Kafka: `dlq.<group>.<topic>`.
pub(super) struct KafkaDeadLetters {
    producer: ThreadedProducer<Acknowledgements>,
    group: String,
    /// The dead-letter topic of each topic.
    topics: HashMap<String, CString>,
}

impl KafkaDeadLetters {
    pub(super) fn new(
        connection: &Connection,
        group: &str,
        topics: HashMap<String, Topic>,
    ) -> anyhow::Result<Self> {
        let mut config = connection.producer()?;
        // A dead letter is its record and its headers: it must not fail for being larger than the record was.
        config.set("message.max.bytes", (raw::MAX_FETCHED_BYTES + 64 * 1024).to_string());
        // Few and precious: sent at once, and known to have failed soon enough to say so.
        config.set("linger.ms", "0").set("delivery.timeout.ms", "15000");
        let producer = ThreadedProducer::from_config_and_context(&config, Acknowledgements::default())?;
        let topics = topics
            .into_iter()
            .map(|(topic, letters)| Ok((topic, CString::new(letters.to_string())?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { producer, group: group.to_owned(), topics })
    }
}

impl DeadLetters for KafkaDeadLetters {
    fn publish<'a>(&'a self, letter: &'a DeadLetter) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let source = letter.body.record().origin().topic;
            let topic =
                self.topics.get(source).ok_or_else(|| format!("no dead-letter topic for {source}"))?;
            let (acknowledged, wait) = oneshot::channel();
            let answer = match self.send(topic, letter, acknowledged) {
                Ok(()) => wait.await.unwrap_or(Err(KafkaError::Canceled)),
                Err(error) => Err(error),
            };
            answer.map_err(|error| format!("{}: {error}", topic.to_string_lossy()))
        }
        .boxed()
    }
}

impl KafkaDeadLetters {
    fn send(&self, topic: &CStr, letter: &DeadLetter, acknowledged: Acknowledged) -> Result<(), KafkaError> {
        let record = letter.body.record();
        let headers = HeaderList::new();
        for (name, value) in record.headers() {
            headers.add(name, value)?;
        }
        for (name, value) in letter.headers(&self.group) {
            headers.add(name.as_bytes(), Some(value.as_bytes()))?;
        }
        let outgoing = Outgoing {
            topic,
            key: record.key(),
            value: record.value(),
            timestamp: record.origin().timestamp.unwrap_or(0),
            headers,
            opaque: Box::new(acknowledged),
        };
        raw::send(self.producer.client(), outgoing).map_err(|(error, _)| error)
    }
}

impl fmt::Debug for KafkaDeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaDeadLetters").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl Drop for KafkaDeadLetters {
    fn drop(&mut self) {
        // Everything was awaited; what is left belongs to partitions that were let go, and comes again there.
        let _ = self.producer.flush(Duration::from_millis(100));
    }
}

/// Hands each acknowledgement to who waits for it.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements(Context);

/// Completes when the broker has answered.
pub(super) type Acknowledged = oneshot::Sender<Result<(), KafkaError>>;

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<Acknowledged>;

    fn delivery(&self, result: &DeliveryResult<'_>, acknowledged: Box<Acknowledged>) {
        let _ = acknowledged.send(result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Undecodable;
    use crate::record::RecordBuilder;

    #[test]
    fn the_headers_say_where_it_came_from_and_why_it_is_here() {
        let origin = Origin { topic: "topic1", partition: 3, offset: 42, timestamp: None };
        let record = RecordBuilder::default().start(None, None).finish(origin);
        let undecodable = Undecodable { record, reason: String::new() };
        let letter = DeadLetter {
            body: Arrived::Undecodable(undecodable.into()),
            reason: "é".repeat(1000),
            deliveries: 2,
        };
        let headers = letter.headers("service-b").map(|(name, value)| (name.rsplit("errors.").next(), value));
        let short = "é".repeat(LONGEST_REASON / 2);
        let expected = [
            ("topic", "topic1"),
            ("partition", "3"),
            ("offset", "42"),
            ("group", "service-b"),
            ("delivery.count", "2"),
            ("message", &short),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (Some(name), value.to_owned())));
    }
}
