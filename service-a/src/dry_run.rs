//! The records that would be published, to standard output: a JSON object a line. Needs no broker.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use shared::event::NewEvent;

use crate::Config;
use crate::report::Summary;
use crate::source::{Source, TOO_LONG, Taken};

/// A record as it would be.
#[derive(Serialize)]
struct Shown<'a> {
    topic: &'a str,
    key: Option<Bytes<'a>>,
    #[serde(serialize_with = "headers")]
    headers: &'a NewEvent,
    value: Option<Bytes<'a>>,
}

/// Text as text, other bytes as `{"base64": …}`.
#[derive(Serialize)]
#[serde(untagged)]
enum Bytes<'a> {
    Text(&'a str),
    Other { base64: String },
}

/// Prints all that the source gives. No pace: who looks does not want to wait.
///
/// # Errors
/// The file breaks off, or standard output does. A reader that has seen enough (`| head`) is no error.
pub(crate) async fn print(
    mut source: Source,
    config: &Config,
    out: impl Write,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Summary> {
    let (mut out, mut event) = (BufWriter::new(out), source.blank(config));
    let mut summary = Summary { unit: source.unit(), ..Summary::default() };
    loop {
        tokio::select! {
            biased;
            () = shutdown.as_mut() => { summary.interrupted = true; break }
            ready = source.ready() => ready?,
        }
        let result = print_some(&mut source, config, &mut event, &mut out, &mut summary);
        match result {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error.into()),
        }
    }
    // Published and acknowledged in thought: nothing is missing.
    summary.report.acknowledged = summary.report.published;
    summary.oddities = source.oddities();
    tracing::info!("dry run, nothing published: {} records", summary.report.published);
    Ok(summary)
}

/// Prints what is there; `false` at the end.
fn print_some(
    source: &mut Source,
    config: &Config,
    event: &mut NewEvent,
    out: &mut impl Write,
    summary: &mut Summary,
) -> io::Result<bool> {
    // Bounded, so that a signal is heard while an endless counter counts.
    for _ in 0..256 {
        match source.take(event) {
            Taken::Event(_) => {
                writeln!(out, "{}", line(config.topic.as_str(), event)?)?;
                summary.report.published += 1;
            }
            Taken::TooLong(number) => summary.report.refuse(number, TOO_LONG),
            Taken::Nothing => break,
            Taken::End => return out.flush().map(|()| false),
        }
    }
    out.flush().map(|()| true)
}

fn line(topic: &str, event: &NewEvent) -> io::Result<String> {
    let (key, value) = (event.key.as_deref().map(bytes), event.data.as_deref().map(bytes));
    let json = serde_json::to_string(&Shown { topic, key, headers: event, value })?;
    Ok(escaped(json))
}

/// JSON escapes what is below a space; a terminal also obeys DEL and the C1 controls.
pub(crate) fn escaped(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c.is_control() {
            // Writing to memory does not fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

fn bytes(bytes: &[u8]) -> Bytes<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Bytes::Text(text),
        Err(_) => Bytes::Other { base64: STANDARD.encode(bytes) },
    }
}

fn headers<S: Serializer>(event: &NewEvent, serializer: S) -> Result<S::Ok, S::Error> {
    let mut headers = Vec::new();
    event.headers(|name, value| headers.push((name.to_owned(), value.to_owned())));
    serializer.collect_map(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json_that_no_terminal_obeys() {
        let event = NewEvent::new("/a", "t").key([0xff]).data("text/plain", "\u{1b}[2J\u{9b}2J\u{7f}");
        let line = line("topic1", &event).expect("a line");
        assert!(!line.contains(char::is_control), "{line}");
        let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(record["value"], "\u{1b}[2J\u{9b}2J\u{7f}");
        assert_eq!(record["key"]["base64"], "/w==");
        assert_eq!((&record["topic"], &record["headers"]["ce_type"]), (&"topic1".into(), &"t".into()));
    }
}
