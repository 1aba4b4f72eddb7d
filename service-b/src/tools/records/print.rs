//! A record, in full or in a line. Names and values come from anyone who may write to the topic.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use shared::listing::{self, Output, Row};
use shared::readable::{in_a_line, readable};
use shared::record::Record;

/// How many characters of a key, or of data, a table shows.
const KEY: usize = 40;
const DATA: usize = 60;

/// Bytes in JSON: text where they are UTF-8, else base64; null where there are none.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Bytes {
    #[serde(untagged)]
    Text(String),
    #[serde(untagged)]
    Binary { base64: String },
}

#[derive(Serialize)]
struct Header {
    name: Bytes,
    value: Option<Bytes>,
}

/// A record in a listing.
#[derive(Serialize)]
pub(super) struct Shown {
    topic: &'static str,
    partition: i32,
    offset: i64,
    time: Option<Timestamp>,
    key: Option<Bytes>,
    headers: Vec<Header>,
    value: Option<Bytes>,
    #[serde(skip)]
    cells: Vec<String>,
}

impl Shown {
    pub(super) fn of(record: &Record) -> Self {
        let origin = record.origin();
        let time = origin.timestamp.and_then(|at| Timestamp::from_millisecond(at).ok());
        let header =
            |(name, value): (&[u8], Option<&[u8]>)| Header { name: bytes(name), value: value.map(bytes) };
        let line = |bytes: Option<&[u8]>, most| {
            bytes.map_or_else(|| "(null)".to_owned(), |bytes| in_a_line(bytes, most))
        };
        Self {
            topic: origin.topic,
            partition: origin.partition,
            offset: origin.offset,
            time,
            key: record.key().map(bytes),
            headers: record.headers().map(header).collect(),
            value: record.value().map(bytes),
            cells: vec![
                origin.partition.to_string(),
                origin.offset.to_string(),
                time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}")),
                line(record.key(), KEY),
                record.size().to_string(),
                line(record.value(), DATA),
            ],
        }
    }
}

impl Row for Shown {
    const COLUMNS: &'static [&'static str] = &["partition", "offset", "time", "key", "bytes", "data"];

    fn cells(&self) -> Vec<String> {
        self.cells.clone()
    }
}

fn bytes(bytes: &[u8]) -> Bytes {
    match std::str::from_utf8(bytes) {
        Ok(text) => Bytes::Text(text.to_owned()),
        Err(_) => Bytes::Binary { base64: STANDARD.encode(bytes) },
    }
}

/// One record in full.
pub(super) fn print(to: &mut impl Write, record: &Record, output: Output) -> io::Result<()> {
    let shown = Shown::of(record);
    if output == Output::Json {
        return listing::print_object(to, &shown);
    }
    writeln!(to, "{}", record.origin())?;
    if let Some(time) = shown.time {
        writeln!(to, "time: {time:.3}")?;
    }
    writeln!(to, "key: {}", in_full(record.key()))?;
    for (name, value) in record.headers() {
        writeln!(to, "{}: {}", in_full(Some(name)), in_full(value))?;
    }
    match record.value() {
        None => writeln!(to, "\n(no value)"),
        Some([]) => writeln!(to, "\n(an empty value)"),
        Some(value) => writeln!(to, "\n{}", readable(value)),
    }
}

fn in_full(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "(null)".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(_) => in_a_line(bytes, usize::MAX),
            Err(_) => format!("{} (base64)", STANDARD.encode(bytes)),
        },
    }
}

#[cfg(test)]
mod tests {
    use shared::record::{Origin, RecordBuilder};

    use super::*;

    fn record() -> Record {
        let mut builder = RecordBuilder::default();
        builder.start(Some(b"k\x1b[31m"), Some(b"{\"a\":1}"));
        builder.header(b"ce_id", Some(b"7")).header(&[0xff], None).header(b"raw", Some(&[0xff, 0]));
        builder.finish(Origin { topic: "t", partition: 1, offset: 42, timestamp: Some(0) })
    }

    fn printed(output: Output) -> String {
        let mut to = Vec::new();
        print(&mut to, &record(), output).expect("printed");
        String::from_utf8(to).expect("text")
    }

    /// Catches: an escape sequence of somebody's key that the terminal obeys.
    #[test]
    fn a_record_is_shown_whole_and_harmless() {
        let text = printed(Output::Text);
        let wanted = "t/1/42\ntime: 1970-01-01T00:00:00.000Z\nkey: k\\u{1b}[31m\nce_id: 7\n/w== (base64): (null)\nraw: /wA= \
                      (base64)\n\n{\n  \"a\": 1\n}\n";
        assert_eq!(text, wanted);
    }

    /// Catches: bytes that are lost because they are no text.
    #[test]
    fn in_json_every_byte_is_there() {
        let object: serde_json::Value = serde_json::from_str(&printed(Output::Json)).expect("JSON");
        assert_eq!(object["key"], "k\u{1b}[31m");
        assert_eq!(object["value"], "{\"a\":1}");
        assert_eq!(object["headers"][1]["name"]["base64"], "/w==");
        assert_eq!(object["headers"][2]["value"]["base64"], "/wA=");
        assert!(object["headers"][1]["value"].is_null());
    }
}
