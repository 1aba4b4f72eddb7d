//! Records still to be published.

/// A record on its way into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxRecord {
    pub(crate) topic: String,
    /// See [`Record::pack`](crate::record::Record::pack).
    pub(crate) packed: Vec<u8>,
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
