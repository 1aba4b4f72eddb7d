//! The event source: where the events come from, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde::de::IgnoredAny;
use shared::event::NewEvent;

use crate::config::Config;
use crate::lines::{self, Batches, Line, Text};

/// What the source gives next.
#[derive(Debug)]
pub enum Next {
    /// An event, by its number from 1; `keyless` where it should have had a key and had none.
    Event {
        /// Its number in the source.
        number: u64,
        /// The event.
        event: Box<NewEvent>,
        /// Whether `--key-field` was not there.
        keyless: bool,
    },
    /// A line without anything in it.
    Empty,
    /// A line of so many bytes, which no record holds.
    TooLong {
        /// The line's number.
        number: u64,
        /// Its length.
        bytes: u64,
    },
    /// Nothing at the moment: look again.
    NotYet,
    /// That was all.
    End,
}

/// How long to wait for a line before looking whether to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Where events come from.
pub struct Source {
    config: Config,
    /// Shared by all events.
    uri: Arc<str>,
    ty: Arc<str>,
    kind: Kind,
}

enum Kind {
    Counter(u64),
    Lines { batches: Batches, batch: std::vec::IntoIter<Line> },
}

impl Source {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let kind = match &config.from {
            None => Kind::Counter(0),
            Some(path) => Kind::Lines { batches: lines::open(path)?, batch: Vec::new().into_iter() },
        };
        let (uri, ty) = (config.source.as_str().into(), config.event_type().into());
        Ok(Self { config: config.clone(), uri, ty, kind })
    }

    /// The next event, without waiting long.
    ///
    /// # Errors
    /// The file or standard input cannot be read on.
    pub fn read_next(&mut self) -> anyhow::Result<Next> {
        match &mut self.kind {
            Kind::Counter(next) => {
                let number = *next;
                *next += 1;
                Ok(self.counted(number))
            }
            Kind::Lines { batches, batch } => loop {
                if let Some(line) = batch.next() {
                    return Ok(self.of_line(line));
                }
                match batches.recv_timeout(GLANCE) {
                    Ok(lines) => *batch = lines?.into_iter(),
                    Err(RecvTimeoutError::Timeout) => return Ok(Next::NotYet),
                    Err(RecvTimeoutError::Disconnected) => return Ok(Next::End),
                }
            },
        }
    }

    fn counted(&self, number: u64) -> Next {
        let key = self.config.key.as_deref().unwrap_or("counter");
        let event = self.event().key(key).data("text/plain", format!("event_{number}"));
        Next::Event { number: number + 1, event: Box::new(event), keyless: false }
    }

    fn of_line(&self, Line { number, text }: Line) -> Next {
        let line = match text {
            Text::Empty => return Next::Empty,
            Text::TooLong(bytes) => return Next::TooLong { number, bytes },
            Text::Bytes(line) => line,
        };
        let mut event = self.event();
        event.key = match (&self.config.key, &self.config.key_field) {
            (Some(key), _) => Some(key.clone().into_bytes()),
            (None, Some(field)) => key_of(&line, field),
            (None, None) => None,
        };
        let keyless = self.config.key_field.is_some() && event.key.is_none();
        let event = event.data(content_type(&line), line);
        Next::Event { number, event: Box::new(event), keyless }
    }

    fn event(&self) -> NewEvent {
        NewEvent::new(Arc::clone(&self.uri), Arc::clone(&self.ty))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = self.config.from.as_deref().unwrap_or(Path::new("the counter"));
        f.debug_tuple("Source").field(&from).finish()
    }
}

/// JSON is what parses as JSON; the first byte spares most text the attempt.
fn content_type(line: &[u8]) -> &'static str {
    let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
    let may_be_json = first.is_some_and(|byte| b"{[\"-0123456789tfn".contains(byte));
    if may_be_json && serde_json::from_slice::<IgnoredAny>(line).is_ok() {
        "application/json"
    } else if std::str::from_utf8(line).is_ok() {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}

/// The member's text, or the JSON of a number or truth value. Anything else is no key.
fn key_of(line: &[u8], field: &str) -> Option<Vec<u8>> {
    let object: std::collections::HashMap<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
    match object.get(field)? {
        serde_json::Value::String(text) => Some(text.clone().into_bytes()),
        value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
            Some(value.to_string().into_bytes())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parses_as_json_is_json() {
        for json in ["{}", " [1]", "\"a\"", "-1.5", "true", "null"] {
            assert_eq!(content_type(json.as_bytes()), "application/json", "{json}");
        }
        for text in ["{", "no", "1 2", "event_0", "nul"] {
            assert_eq!(content_type(text.as_bytes()), "text/plain", "{text}");
        }
        assert_eq!(content_type(b"\xff"), "application/octet-stream");
    }

    #[test]
    fn a_key_is_text_a_number_or_a_truth_value() {
        let key = |line: &str| key_of(line.as_bytes(), "k").map(|key| String::from_utf8(key).expect("text"));
        assert_eq!(key(r#"{"k":"a\u00e4"}"#).as_deref(), Some("aä"));
        assert_eq!(key(r#"{"k":12}"#).as_deref(), Some("12"));
        assert_eq!(key(r#"{"k":true}"#).as_deref(), Some("true"));
        for line in [r#"{"k":null}"#, r#"{"k":[]}"#, "{}", "[]", "text"] {
            assert_eq!(key(line), None, "{line}");
        }
    }
}
