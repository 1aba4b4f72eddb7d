//! Records still to be published.

use super::StoreError;
use crate::event::NewEvent;
use crate::record::{Origin, RecordBuilder};
use crate::topic::Topic;

/// A record on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxRecord {
    pub(crate) topic: String,
    /// See [`Record::pack`](crate::record::Record::pack).
    pub(crate) packed: Vec<u8>,
}

impl OutboxRecord {
    /// The event as it will be published, in binary mode. Its timestamp is the moment at which it is: the topic's retention
    /// should not count from when it was stored.
    pub(crate) fn of(event: &NewEvent, topic: &Topic) -> Self {
        Self { topic: topic.to_string(), packed: Self::pack(event) }
    }

    /// The same, without a topic.
    pub(crate) fn pack(event: &NewEvent) -> Vec<u8> {
        let mut record = RecordBuilder::default();
        record.start(event.key.as_deref(), event.data.as_deref());
        event.headers(|name, value| {
            record.header(name.as_bytes(), Some(value.as_bytes()));
        });
        let nowhere = Origin { topic: "", partition: 0, offset: 0, timestamp: None };
        record.finish(nowhere).pack()
    }
}

/// A record in the outbox. Rows are numbered in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    pub(crate) number: i64,
    pub(crate) topic: String,
    pub(crate) packed: Vec<u8>,
    /// Why the broker has refused it, if it has.
    pub(crate) refused: Option<String>,
}

/// What the outbox holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) rows: u64,
    /// Of these, refused by the broker.
    pub(crate) refused: u64,
}

/// How far an event source has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourcePosition {
    /// Which source: a file's path, or the counter.
    pub(crate) source: String,
    /// Bytes of a file, events of the counter.
    pub(crate) at: i64,
    /// Lines read, empty ones included; for a message that names one.
    pub(crate) number: i64,
}

/// How far an event source was read for a batch of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advance {
    /// Where the source stood: 0 before anything was read of it.
    pub(crate) from: i64,
    pub(crate) to: SourcePosition,
}

impl Advance {
    /// What is wrong where the source stands there instead.
    pub(crate) fn conflict(&self, at: i64) -> StoreError {
        let Self { from, to: SourcePosition { source, .. } } = self;
        StoreError::Unusable(format!(
            "{source} was read from {from}, but the store says {at}: another process reads it into the same outbox"
        ))
    }
}
