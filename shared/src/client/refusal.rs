//! Why a broker that is there does not let us in. librdkafka says it beside the answers: a question only times out.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Context;

/// Keeps the last refusal that a client met.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    logs: Context,
    last: Mutex<Option<String>>,
}

impl Refusals {
    /// The last one, in librdkafka's words, which name no secret.
    pub(super) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ConsumerContext for Refusals {}

impl ClientContext for Refusals {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logs.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}
