//! The producer under the relay: rows in, answers out.

use std::ffi::CString;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use tokio::sync::mpsc;

use crate::client::{Connection, Context};
use crate::raw::{self, HeaderList, MAX_FETCHED_BYTES, Outgoing};
use crate::record::Record;

/// What became of a row: its number, and why it failed.
pub(super) type Answer = (i64, Result<(), RDKafkaErrorCode>);

/// How long librdkafka may take to give back what it was told to forget.
const PURGE: Duration = Duration::from_secs(2);

/// An idempotent producer whose rows stay in flight until the broker answers.
pub(super) struct Line {
    producer: ThreadedProducer<Answers>,
    answers: mpsc::UnboundedReceiver<Answer>,
}

/// The producer's settings.
///
/// # Errors
/// A setting that librdkafka refuses.
pub(super) fn config(connection: &Connection) -> anyhow::Result<ClientConfig> {
    let mut config = connection.producer()?;
    config
        // 0 is without end: a row that librdkafka gave up on could be in the topic, or come after a later one.
        .set("delivery.timeout.ms", "0")
        // A batch that fails ends the producer: without it librdkafka goes on with the later ones of the key under a new
        // epoch, and the failed one would come behind them.
        .set("enable.gapless.guarantee", "true")
        // One request at a time to each broker. A second one may be ready to go behind one that fails, and the broker
        // refuses it for the gap in its numbers. Requests grow to a megabyte under load, so that it costs throughput
        // only where the way to the broker is long.
        .set("max.in.flight.requests.per.connection", "1")
        // A dead letter is its record and its headers: the broker says what is too large.
        .set("message.max.bytes", (MAX_FETCHED_BYTES + 64 * 1024).to_string())
        // The window bounds what is in flight; a single row may be as large as a record can be.
        .set("queue.buffering.max.messages", "10000")
        .set("queue.buffering.max.kbytes", (2 * MAX_FETCHED_BYTES / 1024).to_string());
    config.create_native_config()?;
    Ok(config)
}

impl Line {
    /// Connects in the background.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let (sender, answers) = mpsc::unbounded_channel();
        let context = Answers { client: Context::default(), sender };
        Ok(Self { producer: ThreadedProducer::from_config_and_context(config, context)?, answers })
    }

    /// Hands a row over. It is answered later, once.
    ///
    /// # Errors
    /// It was not taken, and there will be no answer.
    pub(super) fn send(&self, number: i64, topic: &str, record: &Record) -> Result<(), RDKafkaErrorCode> {
        let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let code = |error: KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let headers = HeaderList::new();
        for (name, value) in record.headers() {
            headers.add(name, value).map_err(code)?;
        }
        let outgoing = Outgoing {
            topic: &name,
            key: record.key(),
            value: record.value(),
            timestamp: record.origin().timestamp.unwrap_or(0),
            headers,
            // Carried in the pointer itself: no allocation per record.
            opaque: number as usize,
        };
        raw::send(self.producer.client(), outgoing).map_err(|(error, _)| code(error))
    }

    /// The next answer. Cancel safe. Never ends while the line is there.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    /// An answer that is there already.
    pub(super) fn answer_now(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// Why this producer will never send again, if so.
    pub(super) fn fatal(&self) -> Option<String> {
        let (code, reason) = self.producer.client().fatal_error()?;
        Some(format!("{code}: {reason}"))
    }

    /// Lets go of everything, unsent or unanswered. What had been answered before comes with it.
    pub(super) async fn give_up(mut self, in_flight: usize) -> Vec<Answer> {
        // Without waiting for librdkafka's threads, which may be in the middle of looking a name up.
        self.producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        let mut answers = Vec::with_capacity(in_flight);
        let until = tokio::time::Instant::now() + PURGE;
        while answers.len() < in_flight {
            match tokio::time::timeout_at(until, self.answers.recv()).await {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) | Err(_) => break,
            }
        }
        // Dropping joins rdkafka's thread: not on the runtime's.
        drop(tokio::task::spawn_blocking(move || drop(self.producer)));
        answers
    }
}

/// rdkafka calls it for each row, on its polling thread.
struct Answers {
    client: Context,
    sender: mpsc::UnboundedSender<Answer>,
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let code = |error: &KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let answer = result.as_ref().map(drop).map_err(|(error, _)| code(error));
        // Who no longer listens has given the line up.
        let _ = self.sender.send((number as i64, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The embedded broker does not look at a producer's numbers, so that no test there can notice.
    /// Catches: a producer that is not idempotent, and one that gives rows up.
    #[test]
    fn nobody_turns_off_what_order_stands_on() {
        let properties = ["delivery.timeout.ms=5000", "queue.buffering.max.messages=7"];
        let properties = properties.iter().filter_map(|property| property.parse().ok()).collect();
        let connection = Connection { bootstrap_servers: "127.0.0.1:1".to_owned(), properties };
        let config = config(&connection).expect("settings");
        for (key, value) in [
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("max.in.flight.requests.per.connection", "1"),
            ("delivery.timeout.ms", "0"),
            ("queue.buffering.max.messages", "10000"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
    }
}
