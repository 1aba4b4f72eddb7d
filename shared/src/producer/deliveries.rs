//! What became of the records that librdkafka took: counted, and named where they failed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::ProducerContext;

use super::report::{Failure, KEPT_FAILURES, Report};
use crate::client::Context;
use crate::event::ID_HEADER;
use crate::raw::{self, Fetched};

/// The producer's context: rdkafka calls it for each record, on its polling thread.
#[derive(Debug)]
pub(super) struct Deliveries {
    client: Context,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// The lowest number that failed or was refused.
    first_lost: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    outage: OnceLock<String>,
    /// Bytes that several records share a batch up to; a larger record goes alone.
    batch_size: usize,
}

impl Deliveries {
    pub(super) fn new(batch_size: usize) -> Self {
        Self {
            client: Context::default(),
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            first_lost: AtomicU64::new(u64::MAX),
            failures: Mutex::default(),
            outage: OnceLock::new(),
            batch_size,
        }
    }

    /// Acknowledged or failed so far.
    pub(super) fn settled(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire) + self.failed.load(Ordering::Acquire)
    }

    /// Why nothing more should be published, once an event has failed through no fault of its own.
    pub(super) fn outage(&self) -> Option<&str> {
        self.outage.get().map(String::as_str)
    }

    pub(super) fn refuse(&self, failure: Failure) {
        self.keep(failure.number, || failure);
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self, published: u64) -> Report {
        Report {
            published,
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            first_lost: Some(self.first_lost.load(Ordering::Relaxed)).filter(|number| *number != u64::MAX),
            failures: self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn keep(&self, number: u64, failure: impl FnOnce() -> Failure) {
        self.first_lost.fetch_min(number, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < KEPT_FAILURES {
            failures.push(failure());
        }
    }

    fn fail(&self, error: &KafkaError, message: &BorrowedMessage<'_>, number: u64) {
        let code = error.rdkafka_error_code();
        let was_alone = len(message.key()) + len(message.payload()) > self.batch_size;
        let reason = reason(error, code, was_alone);
        if !code.is_some_and(|code| is_the_events_own(code, was_alone)) {
            let _ = self.outage.set(reason.clone());
        }
        self.keep(number, || Failure { id: id_of(message), number, reason });
        // Last: who waits for this count finds the failure named.
        self.failed.fetch_add(1, Ordering::Release);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The publisher's number, carried in the pointer itself: no allocation per record.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => self.fail(error, message, number as u64),
        }
    }
}

fn len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, <[u8]>::len)
}

/// Whether only this event is at fault, so that those after it may go on. A topic bounds batches and not records, so that
/// one of those in a refused batch knows nothing of itself.
fn is_the_events_own(code: RDKafkaErrorCode, was_alone: bool) -> bool {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge => was_alone,
        RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::InvalidTimestamp => true,
        _ => false,
    }
}

fn reason(error: &KafkaError, code: Option<RDKafkaErrorCode>, was_alone: bool) -> String {
    match code {
        Some(RDKafkaErrorCode::MessageTimedOut) => "no acknowledgement within delivery.timeout.ms".to_owned(),
        Some(RDKafkaErrorCode::PurgeQueue) => "given up before it was sent".to_owned(),
        Some(RDKafkaErrorCode::PurgeInflight) => {
            "given up after it was sent, unanswered: it may be in the topic".to_owned()
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge) if was_alone => "larger than the topic takes".to_owned(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            "the topic takes no batch of this size: say --kafka batch.size=N with its max.message.bytes"
                .to_owned()
        }
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

/// Of a record that is published as it came, header names may be any bytes, which rdkafka panics on.
fn id_of(message: &BorrowedMessage<'_>) -> Option<String> {
    let id = raw::header(&Fetched::of(message)?, ID_HEADER)?;
    Some(String::from_utf8_lossy(&id).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_failures_are_kept_by_name_and_all_are_counted() {
        let deliveries = Deliveries::new(1);
        (1..=37).rev().for_each(|number| {
            deliveries.refuse(Failure { id: None, number, reason: "too long".to_owned() });
        });
        let report = deliveries.report(0);
        assert_eq!((report.refused, report.failures.len()), (37, KEPT_FAILURES));
        assert_eq!(report.failures.first().map(|failure| failure.number), Some(37));
        assert_eq!(report.first_lost, Some(1));
    }
}
