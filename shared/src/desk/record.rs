//! A record that the ledger keeps.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::event::{Event, decode};
use crate::record::Record;

/// Bytes from outside: in JSON text as text, others as `{"base64": …}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// As text, if they are some.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => to.serialize_str(text),
            None => to.collect_map([("base64", STANDARD.encode(&self.0))]),
        }
    }
}

impl fmt::Display for Bytes {
    /// Text as it is, which is not always fit for a terminal; other bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.write_str(text);
        }
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A header: names may be there more than once, and nothing makes them text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Its name.
    pub name: Bytes,
    /// Its value, or null.
    pub value: Option<Bytes>,
}

/// A record as it came. Its key is the event's, its place is the row's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptRecord {
    /// As producer or broker set it.
    pub timestamp: Option<Timestamp>,
    /// In their order.
    pub headers: Vec<Header>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// The media type of the data, where it holds an event.
    pub content_type: Option<String>,
    /// The event's data, where that is not the value itself: in structured mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
}

impl KeptRecord {
    /// `None` for bytes that are no record.
    pub(super) fn unpack(packed: &[u8]) -> Option<Self> {
        // Its place is told by the row.
        let record = Record::unpack(packed, "", 0, 0)?;
        let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
        let headers = record
            .headers()
            .map(|(name, value)| Header { name: bytes(name), value: value.map(bytes) })
            .collect();
        let value = record.value().map(bytes);
        let timestamp = record.origin().timestamp.and_then(|at| Timestamp::from_millisecond(at).ok());
        let event = decode(record).ok();
        let content_type = event.as_ref().map(|event| event.content_type().to_owned());
        let data =
            event.as_ref().and_then(Event::data).map(bytes).filter(|data| Some(data) != value.as_ref());
        Some(Self { timestamp, headers, value, content_type, data })
    }

    /// What the event says: its data, or the value where it holds none.
    pub fn content(&self) -> Option<&Bytes> {
        self.data.as_ref().or(self.value.as_ref())
    }

    /// The second part of `traceparent`, as W3C Trace Context has it: 32 hexadecimal digits, not all zero.
    pub(super) fn trace_id(&self) -> Option<String> {
        let header = self.headers.iter().rfind(|header| header.name.0 == b"traceparent")?;
        let id = header.value.as_ref()?.text()?.split('-').nth(1)?;
        let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        let is_id = id.len() == 32 && id.bytes().all(is_hex) && id.bytes().any(|digit| digit != b'0');
        is_id.then(|| id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Origin, RecordBuilder};

    const ORIGIN: Origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: Some(0) };

    fn kept(value: &[u8], headers: &[(&[u8], &[u8])]) -> KeptRecord {
        let mut builder = RecordBuilder::default();
        builder.start(None, Some(value));
        for (name, value) in headers {
            builder.header(name, Some(value));
        }
        KeptRecord::unpack(&builder.finish(ORIGIN).pack()).expect("a record")
    }

    #[test]
    fn what_is_no_text_is_base64_in_json_and_hexadecimal_for_people() {
        let record = kept(&[0xff, 0], &[(b"a\xff", b"b"), (b"a", b"\x80")]);
        let json = serde_json::to_value(&record).expect("JSON");
        assert_eq!(json["value"]["base64"], "/wA=");
        assert_eq!(
            (&json["headers"][0]["name"]["base64"], &json["headers"][0]["value"]),
            (&"Yf8=".into(), &"b".into())
        );
        assert_eq!(record.value.expect("a value").to_string(), "0xff00");
    }

    #[test]
    fn the_data_of_structured_mode_is_within_the_value() {
        let value = br#"{"specversion":"1.0","id":"1","source":"/a","type":"t.v1","data":{"a":1}}"#;
        let record = kept(value, &[(b"content-type", b"application/cloudevents+json")]);
        assert_eq!(record.content().and_then(Bytes::text), Some(r#"{"a":1}"#));
        assert_eq!(kept(b"x", &[]).data, None);
        assert_eq!(kept(b"x", &[]).content().and_then(Bytes::text), Some("x"));
    }

    #[test]
    fn a_trace_id_is_taken_from_what_is_a_traceparent() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let trace = |text: &str| kept(b"", &[(b"traceparent", text.as_bytes())]).trace_id();
        assert_eq!(trace(&format!("00-{id}-b7ad6b7169203331-01")).as_deref(), Some(id));
        for text in [
            "",
            "00",
            "00-0af7",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-\u{1b}[2J-b-01",
        ] {
            assert_eq!(trace(text), None, "{text:?}");
        }
    }
}
