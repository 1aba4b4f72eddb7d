//! What the run came to: the closing line, the events that were not acknowledged, and the exit code.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use shared::producer::{Failure, Tally};

use crate::config::Output;

/// What the run came to.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Summary {
    /// Events handed to the producer.
    pub published: u64,
    /// Events that are safe in Kafka.
    pub acknowledged: u64,
    /// Events that are not, lines that no record holds among them.
    pub failed: u64,
    /// Lines without anything in them.
    pub skipped_empty: u64,
    /// Lines in which `--key-field` was not there.
    pub without_key: u64,
    /// Whether a signal ended it before its source did.
    pub stopped: bool,
    /// Nothing was sent, it was only shown.
    #[serde(skip)]
    pub dry_run: bool,
    /// The first of the failures.
    #[serde(skip)]
    pub failures: Vec<Failure>,
}

const NAMED_FAILURES: usize = 20;

impl Summary {
    /// Counts a failure, and names it while there is room.
    pub fn fail(&mut self, failure: Failure) {
        self.failed += 1;
        self.failures.push(failure);
        self.failures.truncate(NAMED_FAILURES);
    }

    /// Adds what the publisher knows.
    pub fn add(&mut self, tally: Tally) {
        self.published += tally.published;
        self.acknowledged += tally.acknowledged;
        self.failed += tally.failed;
        self.failures.extend(tally.first_failures);
        self.failures.sort_by_key(|failure| failure.number);
        self.failures.truncate(NAMED_FAILURES);
    }

    /// The closing line.
    pub fn text(&self) -> String {
        let mut parts =
            vec![format!("published {}", self.published), format!("acknowledged {}", self.acknowledged)];
        for (count, what) in [
            (self.failed, "not acknowledged"),
            (self.skipped_empty, "empty lines skipped"),
            (self.without_key, "without the key field"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }

    fn named(&self) -> String {
        let named =
            self.failures.iter().map(|f| format!("not acknowledged: event {}: {}\n", f.number, f.reason));
        let more = self.failed - self.failures.len() as u64;
        named.chain((more > 0).then(|| format!("… and {more} more\n"))).collect()
    }
}

/// Prints what the run came to. Failures go to standard error, the closing line to standard output.
pub fn done(summary: &Summary, output: Output) -> ExitCode {
    let _ = write!(std::io::stderr(), "{}", summary.named());
    let line = match output {
        Output::Text => summary.text(),
        Output::Json => serde_json::json!(summary).to_string(),
    };
    if !summary.dry_run {
        // Nobody may be reading any more; that is no failure of the run.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    ExitCode::from(u8::from(summary.failed > 0))
}

/// Says why the run failed, on standard error.
pub fn failed(program: &str, code: u8, error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{program}: {error:#}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_there_is_to_say() {
        let mut summary = Summary { published: 10, acknowledged: 10, ..Summary::default() };
        assert_eq!(summary.text(), "published 10, acknowledged 10");
        summary.skipped_empty = 3;
        assert_eq!(summary.text(), "published 10, acknowledged 10, 3 empty lines skipped");
    }

    #[test]
    fn twenty_failures_are_named_and_the_rest_counted() {
        let mut summary = Summary::default();
        for number in (1..=37).rev() {
            summary.fail(Failure { number, reason: "why".to_owned() });
        }
        summary.add(Tally::default());
        let text = summary.named();
        assert_eq!(text.lines().count(), 21);
        assert!(
            text.starts_with("not acknowledged: event 18: why\n") && text.ends_with("… and 17 more\n"),
            "{text}"
        );
    }
}
