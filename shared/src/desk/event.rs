//! An event as its row tells of it.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{Bytes, KeptRecord};
use crate::listing::Row;
use crate::store::operate::{Operation, REPLAY};
use crate::store::{Entry, OperationRow, Status};

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// The row's number: a cursor.
    pub row: i64,
    /// Unique within the source.
    pub id: String,
    /// Where the event happened.
    pub source: String,
    /// What happened; of a record that could not be decoded, nothing.
    #[serde(rename = "type")]
    pub ty: Option<String>,
    /// Where it is by now.
    pub status: Status,
    /// What it waits for, where it is deferred.
    pub waits: Option<Waits>,
    /// How often its handler was given it.
    pub attempts: i64,
    /// How often an operator sent it back to its handler.
    pub redrives: i64,
    /// Why it is where it is.
    pub reason: Option<String>,
    /// What orders it.
    pub key: Option<Bytes>,
    /// Where its record came from.
    pub topic: String,
    /// The partition of it.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// When its row was made.
    pub first_seen: Option<Timestamp>,
    /// When it came to its end.
    pub settled: Option<Timestamp>,
    /// When its next attempt is due, or itself.
    pub due: Option<Timestamp>,
}

/// What a deferred event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Waits {
    /// Its next attempt.
    Retry,
    /// An earlier event of its key.
    Behind,
    /// The moment that it says itself.
    Until,
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "retry",
            Self::Behind => "behind",
            Self::Until => "until",
        })
    }
}

impl EventRow {
    pub(super) fn of(entry: &Entry) -> Self {
        let at = |millis: Option<i64>| millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        Self {
            row: entry.row,
            id: entry.id.clone(),
            source: entry.source.clone(),
            ty: entry.ty.clone(),
            status: entry.status,
            waits: match (entry.status, entry.waits) {
                (Status::Deferred, Some(1)) => Some(Waits::Retry),
                (Status::Deferred, Some(2)) => Some(Waits::Behind),
                (Status::Deferred, Some(3)) => Some(Waits::Until),
                _ => None,
            },
            attempts: entry.attempts,
            redrives: entry.redrives,
            reason: entry.reason.clone(),
            key: entry.key.clone().map(Bytes),
            topic: entry.topic.clone(),
            partition: entry.partition,
            offset: entry.offset,
            time: at(entry.time),
            first_seen: at(Some(entry.seen)),
            settled: at(entry.settled),
            due: at(entry.due),
        }
    }
}

impl Row for EventRow {
    const COLUMNS: &'static [&'static str] =
        &["row", "first seen", "status", "attempts", "type", "key", "id", "source", "record", "reason"];

    fn cells(&self) -> Vec<String> {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let waits = self.waits.map(|waits| format!(" ({waits})")).unwrap_or_default();
        vec![
            self.row.to_string(),
            self.first_seen.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
            format!("{}{waits}", self.status),
            self.attempts.to_string(),
            shown(&self.ty),
            self.key.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            self.id.clone(),
            self.source.clone(),
            // One that was cancelled before it arrived has no place.
            if self.topic.is_empty() {
                "-".to_owned()
            } else {
                format!("{}/{}/{}", self.topic, self.partition, self.offset)
            },
            shown(&self.reason),
        ]
    }
}

/// A row with all that belongs to it.
#[derive(Debug, Clone, Serialize)]
pub struct FullEvent {
    /// The row.
    #[serde(flatten)]
    pub event: EventRow,
    /// The trace that it belongs to, of its header `traceparent`.
    pub trace_id: Option<String>,
    /// Its record, as long as that is needed: while it is deferred, dead or parked.
    pub record: Option<KeptRecord>,
    /// What operators did, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<PastOperation>,
}

impl FullEvent {
    pub(super) fn of(entry: Entry, operations: Vec<OperationRow>) -> Self {
        let event = EventRow::of(&entry);
        let record = entry.packed.and_then(|packed| KeptRecord::unpack(&packed));
        let trace_id = record.as_ref().and_then(KeptRecord::trace_id);
        Self { event, trace_id, record, operations: operations.into_iter().map(PastOperation::of).collect() }
    }
}

/// Something that an operator did to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastOperation {
    /// When.
    pub at: Option<Timestamp>,
    /// What.
    pub what: OperationKind,
    /// The status until then.
    pub status: Status,
    /// The attempts until then.
    pub attempts: i64,
    /// The reason until then.
    pub reason: Option<String>,
}

/// What can be done to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Cancelled before its effect.
    Cancelled,
    /// Tried again at once.
    Retried,
    /// Sent back to its handler.
    Redriven,
    /// Put aside for good.
    Parked,
    /// Its data deleted.
    Deleted,
    /// Given to its handler although it had no row: what it was until then is not known.
    Replayed,
    /// What only a newer version knows.
    Unknown,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::Redriven => "redriven",
            Self::Parked => "parked",
            Self::Deleted => "deleted",
            Self::Replayed => "replayed",
            Self::Unknown => "unknown to this version",
        })
    }
}

impl PastOperation {
    fn of(row: OperationRow) -> Self {
        let what = match Operation::of(row.what) {
            Some(Operation::Cancel) => OperationKind::Cancelled,
            Some(Operation::Retry) => OperationKind::Retried,
            Some(Operation::Redrive) => OperationKind::Redriven,
            Some(Operation::Park) => OperationKind::Parked,
            Some(Operation::Delete) => OperationKind::Deleted,
            None if row.what == i64::from(REPLAY) => OperationKind::Replayed,
            None => OperationKind::Unknown,
        };
        let OperationRow { at, status, attempts, reason, .. } = row;
        Self { at: Timestamp::from_millisecond(at).ok(), what, status, attempts, reason }
    }
}
