//! An event that is about to be published.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::headers::{CONTENT_TYPE, ID, PREFIX, SOURCE, SPECVERSION, TIME, TYPE, VERSION};
use super::{Event, decode};
use crate::record::{Origin, RecordBuilder};

/// An extension of ours: not to be handled before.
const NOT_BEFORE: &str = "notbefore";
/// The CloudEvents extension of that name: not worth handling after.
const EXPIRY_TIME: &str = "expirytime";

/// An event to publish. [`NewEvent::new`] gives it an id that sorts by time and the present moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Unique within its source.
    pub id: String,
    /// A URI reference to where it happened.
    pub source: String,
    /// Reverse DNS and past tense: `com.example.counter.event_created.v1`.
    pub ty: String,
    /// When it happened.
    pub time: Timestamp,
    /// What orders it; `None` orders nothing.
    pub key: Option<Vec<u8>>,
    /// The media type of the data.
    pub content_type: Option<String>,
    /// The data; `None` is an event without any.
    pub data: Option<Vec<u8>>,
    /// `subject`, `correlationid` and the like: lower-case letters and digits, then the value.
    pub extensions: Vec<(String, String)>,
}

impl NewEvent {
    /// An event without key and data.
    pub fn new(source: &str, ty: &str) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            source: source.to_owned(),
            ty: ty.to_owned(),
            time: Timestamp::now(),
            key: None,
            content_type: None,
            data: None,
            extensions: Vec::new(),
        }
    }

    /// Makes a new event in the place of this one: an id of its own, the present moment, the rest as it is.
    /// For who publishes many and does not want to allocate each.
    pub fn renew(&mut self) {
        self.id.clear();
        let mut buffer = Uuid::encode_buffer();
        self.id.push_str(Uuid::now_v7().hyphenated().encode_lower(&mut buffer));
        self.time = Timestamp::now();
    }

    /// Sets the data and its media type in place.
    pub fn set_data(&mut self, content_type: &str, data: &[u8]) {
        let text = self.content_type.get_or_insert_default();
        text.clear();
        text.push_str(content_type);
        let bytes = self.data.get_or_insert_default();
        bytes.clear();
        bytes.extend_from_slice(data);
    }

    /// Sets when it wants to be handled, and until when it is worth handling, as times after it happened. What was set
    /// before is replaced.
    pub fn set_times(&mut self, delay: Option<Duration>, expires_after: Option<Duration>) {
        self.extensions.retain(|(name, _)| name != NOT_BEFORE && name != EXPIRY_TIME);
        for (name, after) in [(NOT_BEFORE, delay), (EXPIRY_TIME, expires_after)] {
            if let Some(after) = after {
                // Beyond the last year that a timestamp can name there is nothing to wait for.
                let moment = self.time.checked_add(after).unwrap_or(Timestamp::MAX);
                self.extensions.push((name.to_owned(), format!("{moment:.3}")));
            }
        }
    }

    /// Whether each extension has a name that CloudEvents allows (1.0, "Naming conventions") and that is no other
    /// attribute's.
    pub fn has_valid_extensions(&self) -> bool {
        self.extensions.iter().all(|(name, _)| {
            let is_attribute = matches!(name.as_str(), "id" | "source" | "type" | "time" | "specversion");
            let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            is_word && !name.is_empty() && !is_attribute
        })
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the data and its media type.
    #[must_use]
    pub fn data(mut self, content_type: &str, data: impl Into<Vec<u8>>) -> Self {
        self.content_type = Some(content_type.to_owned());
        self.data = Some(data.into());
        self
    }

    /// Calls `write` with the name and value of each header of binary mode, in order.
    pub fn headers(&self, mut write: impl FnMut(&str, &str)) {
        write(SPECVERSION, VERSION);
        write(ID, &self.id);
        write(SOURCE, &self.source);
        write(TYPE, &self.ty);
        write(TIME, &format!("{:.3}", self.time));
        if let Some(content_type) = &self.content_type {
            write(CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.extensions {
            write(&format!("{PREFIX}{name}"), value);
        }
    }

    /// The event as its receiver will see it, without a broker in between. What the test kit stands on.
    ///
    /// # Errors
    /// The event lacks what CloudEvents requires: an empty id, source or type.
    pub fn arrived(&self) -> Result<Event, Box<super::Undecodable>> {
        let mut builder = RecordBuilder::default();
        builder.start(self.key.as_deref(), self.data.as_deref());
        self.headers(|name, value| {
            builder.header(name.as_bytes(), Some(value.as_bytes()));
        });
        let timestamp = Some(self.time.as_millisecond());
        decode(builder.finish(Origin { topic: "test", partition: 0, offset: 0, timestamp }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    #[test]
    fn times_are_counted_from_when_it_happened() {
        let mut event = NewEvent::new("/a", "t");
        event.time = "2026-01-02T03:04:05Z".parse().expect("a time");
        for _ in 0..2 {
            event.set_times(Some(Duration::from_secs(30)), Some(Duration::MAX));
        }
        let arrived = event.arrived().expect("an event");
        assert_eq!(arrived.attribute("notbefore"), Some("2026-01-02T03:04:35.000Z"));
        assert!(arrived.attribute("expirytime").is_some_and(|time| time.starts_with("9999-12-30")));
        assert_eq!(event.extensions.len(), 2);
    }

    #[test]
    fn an_extension_is_a_word_and_takes_nobodys_place() {
        let with = |name: &str| {
            let mut event = NewEvent::new("/a", "t");
            event.extensions.push((name.to_owned(), String::new()));
            event.has_valid_extensions()
        };
        assert!(with("subject") && with("sampledrate2"));
        assert!(!with("") && !with("id") && !with("a\0b") && !with("Upper") && !with("a-b"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            id in ".{1,20}", source in ".{1,20}", ty in "[a-z.]{1,20}",
            key in option::of(vec(any::<u8>(), 0..9)), data in option::of(vec(any::<u8>(), 0..99)),
            content_type in option::of("[a-z]{1,9}/[a-z]{1,9}"),
            millis in 0i64..253_402_207_200_000, subject in option::of(".{0,9}"),
        ) {
            let mut new = NewEvent::new(&source, &ty);
            new.id = id;
            new.time = Timestamp::from_millisecond(millis).expect("in range");
            (new.key, new.data, new.content_type) = (key, data, content_type);
            new.extensions = subject.iter().map(|s| ("subject".to_owned(), s.clone())).collect();
            let event = new.arrived().expect("an event");
            let id = event.id();
            prop_assert_eq!(id.as_ref(), &new.id);
            prop_assert_eq!((event.source(), event.ty()), (new.source.as_str(), new.ty.as_str()));
            prop_assert_eq!(event.time(), Some(new.time));
            prop_assert_eq!((event.key(), event.data()), (new.key.as_deref(), new.data.as_deref()));
            prop_assert_eq!(event.content_type(), new.content_type.as_deref().unwrap_or("application/octet-stream"));
            prop_assert_eq!(event.subject(), subject.as_deref());
        }
    }
}
