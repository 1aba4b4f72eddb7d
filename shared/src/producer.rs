//! The publisher: events to one topic, in order, none lost in silence.
//!
//! Promises: the producer is idempotent and waits for all replicas; when its queue is full the same event is
//! tried until there is room, so that no later one overtakes it; every event that is not acknowledged is
//! counted and the first of them are named. What breaks it: the process dies between sending and
//! acknowledgement. Its events may then be there, and are published again under new ids.

use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer};

use crate::client::{Connection, Context};
use crate::event::NewEvent;
use crate::raw::{self, HeaderList, Outgoing};
use crate::topic::Topic;

/// How many failures are kept by name.
const NAMED_FAILURES: usize = 20;
/// How long to wait for room in a full queue before looking again. The queue holds about a second's worth.
const ROOM: Duration = Duration::from_millis(2);
/// At most so long between two looks at whether to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// Publishes events to a topic. Blocks where there is no room, so it belongs on a thread of its own.
pub struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    topic: CString,
    published: u64,
}

/// What became of the events so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Handed to the producer.
    pub published: u64,
    /// Safe in Kafka.
    pub acknowledged: u64,
    /// Not acknowledged. Some may be in Kafka all the same: a broker that died cannot say.
    pub failed: u64,
    /// The first 20 of them.
    pub first_failures: Vec<Failure>,
}

/// An event that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its number in its event source, from 1: a file's line.
    pub number: u64,
    /// Why.
    pub reason: String,
}

impl Publisher {
    /// Connects in the background; a broker that is away shows as events that are not acknowledged.
    ///
    /// # Errors
    /// librdkafka refuses the settings.
    pub fn new(connection: &Connection, topic: &Topic) -> anyhow::Result<Self> {
        let producer =
            ThreadedProducer::from_config_and_context(&connection.producer()?, Deliveries::default())?;
        Ok(Self { producer, topic: CString::new(topic.as_str())?, published: 0 })
    }

    /// Takes an event, the `number`th of its source; returns before it is acknowledged. Waits while the queue
    /// is full, unless `stop` says to give up: then the event was not taken, and `false`.
    pub fn publish(&mut self, event: &NewEvent, number: u64, stop: impl Fn() -> bool) -> bool {
        let mut outgoing = Outgoing {
            topic: &self.topic,
            key: event.key.as_deref(),
            value: event.data.as_deref(),
            timestamp: event.time.as_millisecond(),
            headers: headers(event),
            opaque: number as usize,
        };
        while let Err((error, same)) = raw::send(self.producer.client(), outgoing) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                self.producer.context().failed(number, &error);
                break;
            }
            if stop() {
                return false;
            }
            outgoing = same;
            std::thread::sleep(ROOM);
        }
        self.published += 1;
        true
    }

    /// Waits until every event is acknowledged or has failed, which librdkafka's `delivery.timeout.ms` bounds.
    /// Once `stop` says so, only `deadline` longer: what is neither by then is given up, and counts as failed.
    pub fn flush(&self, deadline: Duration, stop: impl Fn() -> bool) {
        let mut stopped: Option<Instant> = None;
        while self.producer.flush(GLANCE).is_err() {
            if stop() && stopped.get_or_insert_with(Instant::now).elapsed() >= deadline {
                self.producer.purge(PurgeConfig::default().queue().inflight());
                // The purged events' reports are on their way; nothing else is waited for.
                let _ = self.producer.flush(Duration::from_secs(1));
                return;
            }
        }
    }

    /// What became of the events so far.
    pub fn tally(&self) -> Tally {
        let deliveries = self.producer.context();
        let first_failures = deliveries.first_failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Tally {
            published: self.published,
            acknowledged: deliveries.acknowledged.load(Ordering::Relaxed),
            failed: deliveries.failed.load(Ordering::Relaxed),
            first_failures,
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // librdkafka throws away what is unacknowledged; that must not pass in silence.
        let waiting = self.producer.in_flight_count();
        if waiting > 0 {
            tracing::error!("{waiting} events dropped without waiting for their acknowledgement");
        }
    }
}

fn headers(event: &NewEvent) -> HeaderList {
    let headers = HeaderList::new();
    event.headers(|name, value| {
        // Fails for nothing but a list that librdkafka has taken over, and this one is new.
        let _ = headers.add(name.as_bytes(), Some(value.as_bytes()));
    });
    headers
}

/// Counts what the broker answers; no future an event.
#[derive(Debug, Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failed: AtomicU64,
    first_failures: Mutex<Vec<Failure>>,
    context: Context,
}

impl Deliveries {
    fn failed(&self, number: u64, error: &KafkaError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut named = self.first_failures.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED_FAILURES {
            let code = error.rdkafka_error_code();
            named.push(Failure { number, reason: code.map_or_else(|| error.to_string(), reason) });
        }
    }
}

/// The words for what happens most.
fn reason(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::MessageTimedOut => "the broker did not answer in time".to_owned(),
        RDKafkaErrorCode::PurgeQueue => "given up before it was sent".to_owned(),
        RDKafkaErrorCode::PurgeInflight => "given up while it was under way; it may be there".to_owned(),
        RDKafkaErrorCode::MessageSizeTooLarge => "larger than the topic takes".to_owned(),
        other => other.to_string(),
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The event's number: costs nothing.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => drop(self.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => self.failed(number as u64, error),
        }
    }
}
