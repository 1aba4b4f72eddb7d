//! How publishing went: counts, and the first failures by name.

/// How many failures are kept by name; the rest is counted, so that an outage does not fill the memory.
pub const KEPT_FAILURES: usize = 20;

/// An event that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The event's id; `None` where it did not even become an event.
    pub id: Option<String>,
    /// The number that its publisher gave it: a line, a row.
    pub number: u64,
    /// Why.
    pub reason: String,
}

impl Failure {
    /// In words; `unit` says what the number counts: `line`.
    pub fn describe(&self, unit: &str) -> String {
        match &self.id {
            Some(id) => format!("event {id} ({unit} {}): {}", self.number, self.reason),
            None => format!("{unit} {}: {}", self.number, self.reason),
        }
    }
}

/// How publishing went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events handed to librdkafka.
    pub published: u64,
    /// Of these, acknowledged by Kafka.
    pub acknowledged: u64,
    /// Of these, failed. What is neither acknowledged nor failed is still under way.
    pub failed: u64,
    /// Events that could not be handed over at all: too large, or with an attribute of no lawful name.
    pub refused: u64,
    /// The lowest number among the failed and the refused.
    pub first_lost: Option<u64>,
    /// The first [`KEPT_FAILURES`] of the failed and the refused, by name.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Counts something that could not even become an event, and names it.
    pub fn refuse(&mut self, number: u64, reason: &str) {
        self.refused += 1;
        self.first_lost = Some(self.first_lost.map_or(number, |first| first.min(number)));
        if self.failures.len() < KEPT_FAILURES {
            self.failures.push(Failure { id: None, number, reason: reason.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_event_and_its_number() {
        let nameless = Failure { id: None, number: 7, reason: "too long".to_owned() };
        assert_eq!(nameless.describe("line"), "line 7: too long");
        let named = Failure { id: Some("x".to_owned()), ..nameless };
        assert_eq!(named.describe("line"), "event x (line 7): too long");
    }
}
