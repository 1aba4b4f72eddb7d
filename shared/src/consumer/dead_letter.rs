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
use crate::dead_letter;
use crate::event::Arrived;
use crate::raw::{self, HeaderList, Outgoing};
use crate::topic::Topic;

/// A record on its way to the dead letters.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub(super) body: Arrived,
    pub(super) reason: String,
    /// How often its handler was given it.
    pub(super) deliveries: u32,
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
        let added = dead_letter::headers(record.origin(), &letter.reason, letter.deliveries, &self.group);
        for (name, value) in added {
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
