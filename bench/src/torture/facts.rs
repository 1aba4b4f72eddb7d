//! What is found at the end of a run, from four independent places. The oracle compares them.

use super::events::Expected;

/// Everything that the oracle looks at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// What was to be published, by number.
    pub(crate) expected: Vec<Expected>,
    /// What the topic holds, each partition in its order.
    pub(crate) records: Vec<Record>,
    /// What the handler's table holds, in the order in which the rows were made.
    pub(crate) effects: Vec<Effect>,
    /// What the ledger holds.
    pub(crate) rows: Vec<Row>,
    /// What the dead-letter topic holds.
    pub(crate) letters: Vec<Letter>,
    /// Whether the ledger keeps a row for every event.
    pub(crate) every_event_has_a_row: bool,
}

/// A record of the topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) partition: i32,
    /// Key, value and headers, to compare a dead letter with; kept of hopeless events only.
    pub(crate) bytes: Option<Bytes>,
}

/// What a record is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// An application of an event's effects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect {
    pub(crate) number: u64,
    /// Milliseconds since 1970, by the database's clock.
    pub(crate) at: i64,
}

/// A row of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) status: String,
}

/// A record of the dead-letter topic, without the headers that were added to it.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) bytes: Bytes,
}
