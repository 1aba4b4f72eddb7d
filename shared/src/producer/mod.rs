//! Publishes events in order and knows what became of each.
//!
//! Promise: an event that was taken is acknowledged by Kafka or named as not acknowledged; order per key
//! holds because nothing overtakes an event that waits for room. What breaks it: dropping a [`Publisher`]
//! without [`Publisher::finish`] (librdkafka throws its queue away), which is therefore logged.

mod deliveries;
mod report;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig, ThreadedProducer};

pub use self::report::{Failure, KEPT_FAILURES, Report};

use self::deliveries::Deliveries;
use crate::client::Connection;
use crate::event::{ID_HEADER, NewEvent};
use crate::raw::{self, HeaderList, Outgoing};
use crate::record::Record;
use crate::topic::Topic;

/// How long to wait before looking again for room, or for acknowledgements. The queue holds twenty
/// milliseconds of work even at full speed, so that it never runs dry meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// librdkafka's own `batch.size`.
const BATCH_SIZE: usize = 1_000_000;

/// How long librdkafka may take to give back what it was told to forget.
const PURGE: Duration = Duration::from_secs(2);

/// An idempotent producer. A thread of rdkafka's serves the acknowledgements; there is no future per event.
pub struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    sent: AtomicU64,
}

/// What became of an event that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is on its way.
    Taken,
    /// It can never be published: too large, or with an extension that CloudEvents does not allow. Noted as a failure; later events are not affected.
    Refused,
    /// There is no room now: offer the same event again before any other.
    Full,
}

/// Nothing more can be published: Kafka did not take events within `delivery.timeout.ms`, or said no.
/// Going on would put later events of a key before the one that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Kafka no longer takes events: {0}")]
pub struct Stopped(String);

impl Publisher {
    /// A publisher with the tuned settings. Connects in the background.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn new(connection: &Connection) -> anyhow::Result<Self> {
        let config = connection.producer()?;
        let batch_size = config.get("batch.size").and_then(|text| text.parse().ok()).unwrap_or(BATCH_SIZE);
        let producer = ThreadedProducer::from_config_and_context(&config, Deliveries::new(batch_size))?;
        Ok(Self { producer, sent: AtomicU64::new(0) })
    }

    /// Publishes an event, after waiting for room where there is none. `number` is the caller's own: a line, a
    /// row; a failure names it. Cancel safe: a cancelled event was not published.
    ///
    /// # Errors
    /// Nothing more can be published.
    pub async fn publish(&self, event: &NewEvent, topic: &Topic, number: u64) -> Result<Offer, Stopped> {
        loop {
            match self.offer(event, topic, number)? {
                Offer::Full => self.room().await,
                settled => return Ok(settled),
            }
        }
    }

    /// Publishes an event if there is room; never waits.
    ///
    /// # Errors
    /// Nothing more can be published.
    pub fn offer(&self, event: &NewEvent, topic: &Topic, number: u64) -> Result<Offer, Stopped> {
        let deliveries = self.producer.context();
        if let Some(reason) = deliveries.outage() {
            self.hold_back();
            return Err(Stopped(reason.to_owned()));
        }
        if !event.has_valid_extensions() {
            let reason = "an extension is not named with lower-case letters and digits alone".to_owned();
            deliveries.refuse(Failure { id: Some(event.id.clone()), number, reason });
            return Ok(Offer::Refused);
        }
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic.as_str(), number as usize)
            .headers(headers(event));
        record.key = event.key.as_deref();
        record.payload = event.data.as_deref();
        // Counted first: the acknowledgement may be there before `send` returns.
        self.sent.fetch_add(1, Ordering::Relaxed);
        let Err((error, _)) = self.producer.send(record) else { return Ok(Offer::Taken) };
        self.not_taken(&error, number, || Some(event.id.clone()))
    }

    /// Publishes a record as it is, if there is room: key, value and headers byte for byte, under the time that it says or
    /// now. Never waits.
    ///
    /// # Errors
    /// Nothing more can be published.
    pub fn offer_record(&self, record: &Record, topic: &Topic, number: u64) -> Result<Offer, Stopped> {
        if let Some(reason) = self.producer.context().outage() {
            self.hold_back();
            return Err(Stopped(reason.to_owned()));
        }
        let name = CString::new(topic.as_str()).map_err(|error| Stopped(error.to_string()))?;
        let headers = HeaderList::new();
        for (name, value) in record.headers() {
            headers.add(name, value).map_err(|error| Stopped(error.to_string()))?;
        }
        let outgoing = Outgoing {
            topic: &name,
            key: record.key(),
            value: record.value(),
            timestamp: record.origin().timestamp.unwrap_or(0),
            headers,
            opaque: number as usize,
        };
        // Counted first, as above.
        self.sent.fetch_add(1, Ordering::Relaxed);
        let Err((error, _)) = raw::send(self.producer.client(), outgoing) else { return Ok(Offer::Taken) };
        self.not_taken(&error, number, || id_of(record))
    }

    /// librdkafka has not taken what was counted as sent.
    fn not_taken(
        &self,
        error: &KafkaError,
        number: u64,
        id: impl FnOnce() -> Option<String>,
    ) -> Result<Offer, Stopped> {
        self.sent.fetch_sub(1, Ordering::Relaxed);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Ok(Offer::Full),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                let reason = "larger than message.max.bytes, headers included".to_owned();
                self.producer.context().refuse(Failure { id: id(), number, reason });
                Ok(Offer::Refused)
            }
            _ => Err(Stopped(self.why(error))),
        }
    }

    /// Notes that something could not even become an event, so that the report names it.
    pub fn refuse(&self, number: u64, reason: &str) {
        self.producer.context().refuse(Failure { id: None, number, reason: reason.to_owned() });
    }

    /// Waits a moment for room; to be used after [`Offer::Full`].
    pub async fn room(&self) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }

    /// Waits until everything published so far is acknowledged or has failed: at most until
    /// `delivery.timeout.ms` is over.
    pub async fn settled(&self) {
        while self.outstanding() > 0 {
            if self.producer.context().outage().is_some() {
                self.hold_back();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// After a failure nothing more goes out: what waits in the queue would come after the one that failed.
    fn hold_back(&self) {
        // Without waiting for librdkafka's threads, which may be in the middle of looking a name up.
        self.producer.purge(PurgeConfig::default().queue().non_blocking());
    }

    /// What is known now.
    pub fn report(&self) -> Report {
        self.producer.context().report(self.sent.load(Ordering::Relaxed))
    }

    /// Waits for the acknowledgements until the deadline, gives up what then has none, and reports.
    pub async fn finish(self, deadline: Duration) -> Report {
        if tokio::time::timeout(deadline, self.settled()).await.is_err() {
            tracing::warn!("{} events not acknowledged within {deadline:?}: given up", self.outstanding());
            self.give_up().await;
        }
        let report = self.report();
        // Dropping joins rdkafka's thread: not on the runtime's.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
        report
    }

    /// Lets go of everything under way. Each comes back as failed, so that it can be named.
    async fn give_up(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        let _ = tokio::time::timeout(PURGE, self.settled()).await;
    }

    fn outstanding(&self) -> u64 {
        let settled = self.producer.context().settled();
        self.sent.load(Ordering::Relaxed).saturating_sub(settled)
    }

    /// After a fatal error every call says only "fatal"; librdkafka keeps the cause.
    fn why(&self, error: &KafkaError) -> String {
        match self.producer.client().fatal_error() {
            Some((code, reason)) => format!("{code}: {reason}"),
            None => error.to_string(),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let lost = self.outstanding();
        if lost > 0 {
            tracing::error!("{lost} events dropped before Kafka acknowledged them");
        }
    }
}

fn id_of(record: &Record) -> Option<String> {
    let (_, id) = record.headers().find(|(name, _)| *name == ID_HEADER.as_bytes())?;
    Some(String::from_utf8_lossy(id?).into_owned())
}

fn headers(event: &NewEvent) -> OwnedHeaders {
    let mut headers = Some(OwnedHeaders::new_with_capacity(6 + event.extensions.len()));
    event.headers(|key, value| {
        // `insert` takes the list and gives it back.
        headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
    });
    headers.unwrap_or_default()
}
