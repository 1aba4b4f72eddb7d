//! How it went: the closing line on standard output, the failures by name, the exit code. Nothing else in service-a
//! writes to standard output, but for a dry run's records.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use shared::listing::Output;
use shared::producer::{KEPT_FAILURES, Report};

use crate::source::Oddities;

/// What [`run`](crate::run) came to. Displayed, it is the closing line.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// What was published and what was acknowledged.
    pub report: Report,
    pub(crate) oddities: Oddities,
    /// What an event's number counts.
    pub(crate) unit: &'static str,
    /// The number of the event published last, or put into the outbox.
    pub(crate) last: Option<u64>,
    /// With `--outbox`: what went into it, and what is left there.
    pub outbox: Option<Stored>,
    /// With `--from-topic`: what of it was not published.
    pub skipped: Option<Skipped>,
    /// A signal ended it, not the event source.
    pub interrupted: bool,
    /// Why it ended before its time, where no signal did it.
    pub broken: Option<String>,
}

/// What the outbox has to do with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Events that this run has put into it.
    pub stored: u64,
    /// Events that it still holds, whoever put them there: the next run publishes them. `None` if the store did not say.
    pub remaining: Option<u64>,
    /// Of these, refused by the broker.
    pub refused: u64,
}

/// Dead letters that were not published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Those whose value is not in them.
    pub pointers: u64,
    /// Those that do not say where they come from, or say that it is elsewhere.
    pub homeless: u64,
    /// The first of them, each with its reason.
    named: Vec<String>,
}

impl Skipped {
    /// How many.
    pub fn count(&self) -> u64 {
        self.pointers + self.homeless
    }

    /// Names one, unless enough are.
    pub(crate) fn name(&mut self, name: impl FnOnce() -> String) {
        if self.named.len() < KEPT_FAILURES {
            self.named.push(name());
        }
    }
}

/// The closing line for machines: every count, also the zeros.
#[derive(Serialize)]
struct Json<'a> {
    published: u64,
    acknowledged: u64,
    failed: u64,
    too_large: u64,
    skipped_empty_lines: u64,
    without_key_field: u64,
    /// The number of the event published last, or put into the outbox, and the lowest of one that was not acknowledged.
    last: Option<u64>,
    first_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_without_value: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_without_topic: Option<u64>,
    interrupted: bool,
    error: Option<&'a str>,
}

impl Summary {
    /// Whether everything that was published is acknowledged. With an outbox: is or will be, as far as the store says.
    pub fn is_complete(&self) -> bool {
        let is_known = self.interrupted || self.outbox.is_none_or(|outbox| outbox.remaining.is_some());
        let is_skipped = self.skipped.as_ref().is_some_and(|skipped| skipped.count() > 0);
        self.unacknowledged() == 0 && self.broken.is_none() && is_known && !is_skipped
    }

    /// Empty lines that were skipped.
    pub fn skipped_empty_lines(&self) -> u64 {
        self.oddities.empty
    }

    /// Lines that were published without a key, because they have no such field.
    pub fn without_key_field(&self) -> u64 {
        self.oddities.keyless
    }

    /// What nobody will publish. What is in the outbox will be, unless the broker has refused it.
    fn unacknowledged(&self) -> u64 {
        if let Some(outbox) = self.outbox {
            let left_behind =
                if self.interrupted { outbox.refused } else { outbox.remaining.unwrap_or_default() };
            return self.report.refused + left_behind;
        }
        self.report.published.saturating_sub(self.report.acknowledged) + self.report.refused
    }

    fn json(&self) -> String {
        let Report { published, acknowledged, failed, refused, first_lost, .. } = self.report;
        let json = Json {
            published,
            acknowledged,
            failed,
            too_large: refused,
            skipped_empty_lines: self.oddities.empty,
            without_key_field: self.oddities.keyless,
            last: self.last,
            first_lost,
            stored: self.outbox.map(|outbox| outbox.stored),
            remaining: self.outbox.and_then(|outbox| outbox.remaining),
            refused: self.outbox.map(|outbox| outbox.refused),
            skipped_without_value: self.skipped.as_ref().map(|skipped| skipped.pointers),
            skipped_without_topic: self.skipped.as_ref().map(|skipped| skipped.homeless),
            interrupted: self.interrupted,
            error: self.broken.as_deref(),
        };
        // Numbers and text always serialize.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "published {}, acknowledged {}", self.report.published, self.report.acknowledged)?;
        if self.report.refused > 0 {
            write!(f, ", {} too large", self.report.refused)?;
        }
        match self.outbox.map(|outbox| outbox.remaining) {
            None | Some(Some(0)) => {}
            Some(Some(remaining)) => write!(f, ", {remaining} remain in the outbox")?,
            Some(None) => f.write_str(", and the outbox does not say what remains")?,
        }
        if let Some(Skipped { pointers: count @ 1.., .. }) = self.skipped {
            write!(f, ", skipped {count} without their value")?;
        }
        if let Some(Skipped { homeless: count @ 1.., .. }) = self.skipped {
            write!(f, ", skipped {count} of no known topic")?;
        }
        match self.oddities.empty {
            0 => {}
            1 => f.write_str(", skipped 1 empty line")?,
            empty => write!(f, ", skipped {empty} empty lines")?,
        }
        if self.oddities.keyless > 0 {
            write!(f, ", {} without the key field", self.oddities.keyless)?;
        }
        Ok(())
    }
}

/// Prints the closing line, names what was not acknowledged, and gives the exit code.
pub fn close(summary: &Summary, output: Output) -> ExitCode {
    let line = match output {
        Output::Text => summary.to_string(),
        Output::Json => summary.json(),
    };
    // A reader that has gone wants no closing line.
    let _ = writeln!(std::io::stdout(), "{line}");
    exit_code(summary)
}

/// Says why nothing could be published.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "service-a: {error:#}");
    ExitCode::FAILURE
}

/// Names what was not acknowledged, and gives the exit code.
pub fn exit_code(summary: &Summary) -> ExitCode {
    // Plainly, and not as log lines: whatever RUST_LOG leaves out, this is part of the result.
    let _ = write!(std::io::stderr(), "{}", failures(summary));
    if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for each failure that is named, one for the rest, one for what ended the run.
fn failures(summary: &Summary) -> String {
    let named = summary.report.failures.iter();
    let mut lines: Vec<String> =
        named.map(|failure| format!("not acknowledged: {}\n", failure.describe(summary.unit))).collect();
    let unnamed = summary.unacknowledged().saturating_sub(summary.report.failures.len() as u64);
    if unnamed > 0 {
        lines.push(format!("… and {unnamed} more not acknowledged\n"));
        // They are named in the order in which they failed.
        let first = summary.report.first_lost;
        lines.extend(first.map(|first| format!("the first of them all is {} {first}\n", summary.unit)));
    }
    if let Some(skipped) = &summary.skipped {
        lines.extend(skipped.named.iter().map(|name| format!("not published: {name}\n")));
        let unnamed = skipped.count().saturating_sub(skipped.named.len() as u64);
        if unnamed > 0 {
            lines.push(format!("… and {unnamed} more not published\n"));
        }
    }
    if let (true, Some(last)) = (summary.interrupted, summary.last) {
        let (unit, end) =
            (summary.unit, if summary.outbox.is_some() { "in the outbox" } else { "published" });
        lines.push(format!("stopped by a signal: {unit} {last} is the last one {end}\n"));
    }
    if let Some(Stored { refused: 1.., .. }) = summary.outbox {
        lines.push(
            "the broker has refused some, and later ones of their keys wait: the log names them\n".to_owned(),
        );
    }
    lines.extend(summary.broken.iter().map(|reason| format!("service-a: stopped: {reason}\n")));
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(published: u64, acknowledged: u64) -> Summary {
        Summary { report: Report { published, acknowledged, ..Report::default() }, ..Summary::default() }
    }

    #[test]
    fn the_closing_line_says_what_is_worth_saying() {
        let mut summary = summary(10, 10);
        assert_eq!(summary.to_string(), "published 10, acknowledged 10");
        summary.oddities = Oddities { empty: 3, keyless: 2 };
        summary.report.refused = 1;
        let line =
            "published 10, acknowledged 10, 1 too large, skipped 3 empty lines, 2 without the key field";
        assert_eq!(summary.to_string(), line);
    }

    #[test]
    fn the_closing_line_for_machines_says_all() {
        let line: serde_json::Value = serde_json::from_str(&summary(3, 2).json()).expect("JSON");
        assert_eq!((line["published"].as_u64(), line["acknowledged"].as_u64()), (Some(3), Some(2)));
        assert_eq!(line["skipped_empty_lines"].as_u64(), Some(0));
    }

    #[test]
    fn what_waits_in_the_outbox_is_no_failure_and_what_is_refused_is_one() {
        let outbox = Some(Stored { stored: 9, remaining: Some(6), refused: 0 });
        let interrupted = Summary { outbox, interrupted: true, ..summary(4, 3) };
        assert!(interrupted.is_complete());
        assert_eq!(interrupted.to_string(), "published 4, acknowledged 3, 6 remain in the outbox");
        let refused = Summary { outbox: Some(Stored { refused: 1, ..Stored::default() }), ..interrupted };
        assert!(!refused.is_complete());
        assert!(failures(&refused).contains("the log names them"));
        let line: serde_json::Value = serde_json::from_str(&refused.json()).expect("JSON");
        assert_eq!((line["refused"].as_u64(), line["remaining"].as_u64()), (Some(1), None));
        let emptied = Stored { remaining: Some(0), ..Stored::default() };
        assert!(Summary { outbox: Some(emptied), ..summary(3, 3) }.is_complete());
        let silent = Summary { outbox: Some(Stored::default()), ..summary(3, 3) };
        assert!(!silent.is_complete() && silent.to_string().contains("does not say"));
    }

    /// Catches: success claimed where a letter was left out.
    #[test]
    fn letters_that_are_skipped_are_named_and_counted() {
        let mut skipped = Skipped { pointers: 30, homeless: 1, ..Skipped::default() };
        (1..=31).for_each(|number| skipped.name(|| format!("letter {number}")));
        let summary = Summary { skipped: Some(skipped), ..summary(3, 3) };
        assert!(!summary.is_complete());
        let line = "published 3, acknowledged 3, skipped 30 without their value, skipped 1 of no known topic";
        assert_eq!(summary.to_string(), line);
        let said = failures(&summary);
        assert!(said.starts_with("not published: letter 1\n") && said.contains("and 11 more"), "{said}");
        let line: serde_json::Value = serde_json::from_str(&summary.json()).expect("JSON");
        assert_eq!(line["skipped_without_value"], 30);
        assert!(Summary { skipped: Some(Skipped::default()), ..summary }.is_complete());
    }

    #[test]
    fn the_first_that_was_lost_is_named_although_it_failed_late() {
        let mut summary = Summary { unit: "line", interrupted: true, last: Some(30), ..summary(30, 2) };
        (3..=30).rev().for_each(|number| summary.report.refuse(number, "x"));
        let said = failures(&summary);
        assert!(said.contains("the first of them all is line 3\n"), "{said}");
        assert!(said.ends_with("line 30 is the last one published\n"), "{said}");
    }

    #[test]
    fn all_is_well_only_if_all_is_acknowledged() {
        assert!(summary(3, 3).is_complete());
        assert!(!summary(3, 2).is_complete());
        assert!(Summary { interrupted: true, ..summary(3, 3) }.is_complete());
        assert!(!Summary { broken: Some("x".to_owned()), ..summary(3, 3) }.is_complete());
        let mut refused = summary(3, 3);
        refused.report.refused = 1;
        assert!(!refused.is_complete());
    }
}
