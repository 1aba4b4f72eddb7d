//! After a failure: whose fault it was, and what becomes of what failed.

use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::{GRACE, Pump};
use crate::relay::fault::Fault;
use crate::relay::line::Line;
use crate::relay::trouble::Trouble;

/// A topic that took nothing.
pub(super) struct Held {
    until: Instant,
    pub(super) trouble: Trouble,
}

impl Pump {
    /// After a failure: once everything in flight has been answered or given up, decides what becomes of what failed.
    pub(super) async fn judge(&mut self) {
        let fatal = self.line.as_ref().and_then(Line::fatal);
        let Some(since) = self.failing_since.or(fatal.is_some().then(Instant::now)) else { return };
        if fatal.is_some() || since.elapsed() > GRACE {
            self.give_up_line().await;
        }
        if self.window.len() > 0 {
            return;
        }
        self.failing_since = None;
        let failed = std::mem::take(&mut self.failed);
        let own: Vec<_> = failed.iter().filter(|(_, code)| Fault::of(*code).is_own()).copied().collect();
        match own[..] {
            // Alone in its batch, or named by the broker.
            [(number, code)] => self.condemn(number, code),
            // A batch fails as a whole: each of them goes alone, until the guilty one is found.
            _ => self.window.suspect(own.iter().map(|(number, _)| *number)),
        }
        self.blame(&failed, fatal.filter(|_| own.is_empty()));
        self.topics.clear();
    }

    /// The topic's fault, or the broker's: a pause for the one or for all.
    fn blame(&mut self, failed: &[(i64, RDKafkaErrorCode)], fatal: Option<String>) {
        let mut reason = fatal;
        for (number, code) in failed {
            match Fault::of(*code) {
                Fault::Topic => {
                    reason = None;
                    if let Some(topic) = self.topics.get(number).cloned() {
                        self.hold(topic, *code);
                    }
                }
                Fault::Broker => {
                    reason.get_or_insert_with(|| code.to_string());
                }
                Fault::Row | Fault::Size | Fault::Innocent => {}
            }
        }
        if let Some(reason) = reason {
            self.send_after = Instant::now() + self.broker.pause(&format!("Kafka: {reason}"));
        }
    }

    fn hold(&mut self, topic: String, code: RDKafkaErrorCode) {
        let (what, now) = (format!("topic {topic}: {code}"), Instant::now());
        let held = self.held.entry(topic).or_insert_with(|| Held { until: now, trouble: Trouble::default() });
        // Many rows fail for the same cause at once.
        if held.until <= now {
            held.until = now + held.trouble.pause(&what);
        }
    }

    pub(super) fn is_held(&self, topic: &str) -> bool {
        self.held.get(topic).is_some_and(|held| Instant::now() < held.until)
    }

    /// The row is at fault: a dead letter shrinks, any other is refused.
    pub(super) fn condemn(&mut self, number: i64, code: RDKafkaErrorCode) {
        if Fault::of(code) == Fault::Size {
            // Decided at the next look, where its bytes are at hand.
            *self.oversized.entry(number).or_default() += 1;
        } else {
            self.refused.push((number, code.to_string()));
        }
        self.window.forget(number);
    }
}
