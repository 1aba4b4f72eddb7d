//! An event that is about to be published.

use jiff::Timestamp;
use uuid::Uuid;

use super::headers::{CONTENT_TYPE, ID, PREFIX, SOURCE, SPECVERSION, TIME, TYPE, VERSION};
use super::{Event, decode};
use crate::record::{Origin, RecordBuilder};

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
