//! What librdkafka tells us between the calls: its log lines and its errors.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Logs what a client reports, without flooding: the same trouble is told again after growing pauses.
#[derive(Debug, Default)]
pub struct Context {
    /// By code, of which there are few.
    told: Mutex<Vec<Told>>,
}

#[derive(Debug)]
struct Told {
    code: Option<RDKafkaErrorCode>,
    at: Instant,
    pause: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Context {
    /// Whether this error is worth a line now.
    fn is_news(&self, code: Option<RDKafkaErrorCode>) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match told.iter().find(|told| told.code == code) {
            Some(told) if told.at.elapsed() < told.pause => return false,
            Some(told) if told.at.elapsed() < told.pause * 4 => told.pause * 2,
            _ => FIRST_PAUSE,
        };
        told.retain(|told| told.code != code);
        told.push(Told { code, at: Instant::now(), pause: pause.min(LONGEST_PAUSE) });
        true
    }
}

impl ConsumerContext for Context {}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Connection trouble arrives a second time, as an error with a code: see below. CONFWARN tells a
        // producer that a consumer's setting is not for it: one set of properties serves both. GETPID: a broker
        // that has just started answers the first request for a producer id with "not yet", and is asked again.
        let quiet = matches!(facility, "FAIL" | "ERROR" | "FETCHERR" | "CONFWARN" | "GETPID");
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning
                if !quiet =>
            {
                tracing::warn!(facility, "librdkafka: {message}");
            }
            _ => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        // A broker that is away shows as several codes in turn; one of them is enough.
        let same = match code {
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {
                Some(RDKafkaErrorCode::AllBrokersDown)
            }
            other => other,
        };
        if self.is_news(same) {
            let goes_on = if same == Some(RDKafkaErrorCode::AllBrokersDown) {
                " (librdkafka keeps trying)"
            } else {
                ""
            };
            tracing::warn!("Kafka: {reason}{goes_on}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_a_while() {
        let context = Context::default();
        assert!(context.is_news(Some(RDKafkaErrorCode::AllBrokersDown)));
        assert!(!context.is_news(Some(RDKafkaErrorCode::AllBrokersDown)));
        assert!(context.is_news(Some(RDKafkaErrorCode::Authentication)));
        assert!(!context.is_news(Some(RDKafkaErrorCode::AllBrokersDown)), "two in turn are no news either");
    }
}
