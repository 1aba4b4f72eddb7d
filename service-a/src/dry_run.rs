//! What would be sent, on standard output: a JSON object a record.

use std::io::{BufWriter, ErrorKind, StdoutLock, Write};
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};
use shared::event::NewEvent;

use crate::publish::Sink;

/// Prints records instead of sending them.
pub struct DryRun {
    topic: String,
    output: BufWriter<StdoutLock<'static>>,
}

impl DryRun {
    /// Records for that topic.
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), output: BufWriter::new(std::io::stdout().lock()) }
    }
}

impl Sink for DryRun {
    fn take(&mut self, event: &NewEvent, _: u64, _: &AtomicBool) -> anyhow::Result<bool> {
        match writeln!(self.output, "{}", record(&self.topic, event)) {
            Ok(()) => Ok(true),
            // `service-a --dry-run | head` has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl std::fmt::Debug for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DryRun").field(&self.topic).finish()
    }
}

/// Bytes that are no text are shown with U+FFFD in their place; JSON escapes control characters.
fn record(topic: &str, event: &NewEvent) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers = Map::new();
    event.headers(|name, value| drop(headers.insert(name.to_owned(), value.into())));
    json!({
        "topic": topic,
        "key": event.key.as_deref().map(text),
        "headers": headers,
        "value": event.data.as_deref().map(text),
    })
}
