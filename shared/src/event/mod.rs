//! The event: a fact that happened, as a handler sees it. This module is the only place that knows
//! how events are written into Kafka records (CloudEvents 1.0, Kafka protocol binding).

mod arrived;
mod decode;
mod headers;
mod new;
mod pattern;
mod structured;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

pub(crate) use self::arrived::Arrived;
pub(crate) use self::decode::id_of_place;
pub use self::decode::{Undecodable, decode};
pub(crate) use self::headers::ID_HEADER;
pub use self::new::NewEvent;
pub use self::pattern::{BadPattern, Pattern};
pub use self::structured::is_json;

use self::decode::Attributes;
use crate::record::{Record, Span};

/// The type of a record that carries no event: any Kafka client may have sent it.
pub const PLAIN_TYPE: &str = "plain";
/// The source of such a record. Reserved: nobody else's events have it.
pub const PLAIN_SOURCE: &str = "urn:kafka:record";

/// An event that arrived, with its data as bytes.
///
/// Attributes are read where they lie in the record; nothing is copied until somebody asks.
#[derive(Debug)]
pub struct Event {
    record: Record,
    attributes: Attributes,
}

/// The content type of data that comes without one.
const UNSTATED: &str = "application/octet-stream";

impl Event {
    /// Unique together with [`source`](Self::source). A plain record's id is made of its place:
    /// `topic/partition/offset@timestamp` (the timestamp, so that a topic made anew repeats no id).
    pub fn id(&self) -> Cow<'_, str> {
        match &self.attributes {
            Attributes::Binary(spans) => Cow::Borrowed(self.text(spans.id)),
            Attributes::Structured(event) => Cow::Borrowed(&event.id),
            Attributes::Plain(_) => Cow::Owned(decode::id_of_place(self.record.origin())),
        }
    }

    /// Where the event happened: a URI reference.
    pub fn source(&self) -> &str {
        match &self.attributes {
            Attributes::Binary(spans) => self.text(spans.source),
            Attributes::Structured(event) => &event.source,
            Attributes::Plain(_) => PLAIN_SOURCE,
        }
    }

    /// What happened, for example `com.example.counter.event_created.v1`; `plain` for a plain record.
    pub fn ty(&self) -> &str {
        match &self.attributes {
            Attributes::Binary(spans) => self.text(spans.ty),
            Attributes::Structured(event) => &event.ty,
            Attributes::Plain(_) => PLAIN_TYPE,
        }
    }

    /// When it happened. Where the event does not say so in RFC 3339, the record's own time.
    pub fn time(&self) -> Option<Timestamp> {
        let stated = match &self.attributes {
            Attributes::Binary(spans) => self.optional(spans.time),
            Attributes::Structured(event) => event.extensions.get("time").map(String::as_str),
            Attributes::Plain(_) => None,
        };
        stated.and_then(|text| text.parse().ok()).or_else(|| {
            self.record.origin().timestamp.and_then(|millis| Timestamp::from_millisecond(millis).ok())
        })
    }

    /// When the event wants to be handled: `notbefore`, RFC 3339. What is no time is ignored.
    pub(crate) fn not_before(&self) -> Option<Timestamp> {
        let stated = match &self.attributes {
            Attributes::Binary(spans) => self.optional(spans.not_before),
            Attributes::Structured(event) => event.extensions.get("notbefore").map(String::as_str),
            Attributes::Plain(_) => None,
        };
        stated?.parse().ok()
    }

    /// Whether it is too late to handle the event: `expirytime` of the CloudEvents extension, RFC 3339. What is no time is
    /// ignored.
    pub(crate) fn is_expired(&self) -> bool {
        let stated = match &self.attributes {
            Attributes::Binary(spans) => self.optional(spans.expiry),
            Attributes::Structured(event) => event.extensions.get("expirytime").map(String::as_str),
            Attributes::Plain(_) => None,
        };
        stated
            .and_then(|text| text.parse::<Timestamp>().ok())
            .is_some_and(|expiry| expiry <= Timestamp::now())
    }

    /// What the event is about, within its source.
    pub fn subject(&self) -> Option<&str> {
        self.attribute("subject")
    }

    /// The media type of the data; `application/octet-stream` where none is given.
    pub fn content_type(&self) -> &str {
        let stated = match &self.attributes {
            Attributes::Binary(spans) => self.optional(spans.content_type),
            Attributes::Structured(event) => Some(event.content_type.as_str()),
            Attributes::Plain(content_type) => self.optional(*content_type),
        };
        stated.unwrap_or(UNSTATED)
    }

    /// An attribute by its CloudEvents name, extensions included: `correlationid`, `dataschema`, …
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match &self.attributes {
            Attributes::Structured(event) => event.extensions.get(name).map(String::as_str),
            _ => headers::find_attribute(&self.record, name),
        }
    }

    /// What orders events: those of one topic, partition and key are handled one after the other.
    pub fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    /// What tells whether two events of one id are the same: type, key, content type and data. As bytes: who hashes them
    /// does not ask once more whether they are text.
    pub(crate) fn content(&self) -> [Option<&[u8]>; 4] {
        let bytes = |span| self.record.slice(span);
        let stated = |span: Span| if span.is_empty() { UNSTATED.as_bytes() } else { bytes(span) };
        let (ty, content_type) = match &self.attributes {
            Attributes::Binary(spans) => (bytes(spans.ty), stated(spans.content_type)),
            Attributes::Structured(event) => (event.ty.as_bytes(), event.content_type.as_bytes()),
            Attributes::Plain(content_type) => (PLAIN_TYPE.as_bytes(), stated(*content_type)),
        };
        [Some(ty), self.key(), Some(content_type), self.data()]
    }

    /// The data as it was sent; `None` is an event without data.
    pub fn data(&self) -> Option<&[u8]> {
        match &self.attributes {
            Attributes::Structured(event) => event.data.as_deref(),
            _ => self.record.value(),
        }
    }

    /// The data as text.
    ///
    /// # Errors
    /// There is no data, or it is not UTF-8. Both are permanent: the same bytes will not become text.
    pub fn text_data(&self) -> Result<&str, BadData> {
        let data = self.data().ok_or(BadData::Missing)?;
        std::str::from_utf8(data).map_err(|error| BadData::NotUtf8(error.valid_up_to()))
    }

    /// The data as JSON. Nesting is limited to 128 levels, so that a hostile record cannot overflow the stack.
    ///
    /// # Errors
    /// There is no data, or it is not JSON that fits `T`. Both are permanent.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BadData> {
        let data = self.data().ok_or(BadData::Missing)?;
        serde_json::from_slice(data).map_err(|error| BadData::NotJson(error.to_string()))
    }

    /// The record that carried the event. Handlers have no business with it; the runtime has.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    fn text(&self, span: Span) -> &str {
        // Checked at decoding: a required attribute that is not UTF-8 is an undecodable record.
        std::str::from_utf8(self.record.slice(span)).unwrap_or_default()
    }

    fn optional(&self, span: Span) -> Option<&str> {
        (!span.is_empty()).then(|| self.text(span))
    }
}

/// Data that is not what the handler was promised. Permanent by nature: it converts into a
/// [`HandleError::Permanent`](crate::consumer::HandleError::Permanent).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadData {
    /// An event without data, where some was needed.
    #[error("the event has no data")]
    Missing,
    /// Not UTF-8.
    #[error("the data is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// Not JSON, or JSON of another shape. `serde_json` names the place, and for a wrong type the value found.
    #[error("the data is not the JSON expected: {0}")]
    NotJson(String),
}
