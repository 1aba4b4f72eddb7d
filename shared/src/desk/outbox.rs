//! What a service that publishes by way of an outbox knows: the events that still wait there, and how far their sources
//! have been read. A question writes nothing, and no outbox is ever all in memory.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::Bytes;
use crate::event::{Event, PLAIN_SOURCE, decode};
use crate::listing::Row;
use crate::record::Record;
use crate::store::query::LOOKED_AT;
use crate::store::{self, OutboxRow, Query, StoreError, StoreUrl};

/// Rows and bytes of one look.
const LOOK: usize = 1_000;
const LOOK_BYTES: usize = 1024 * 1024;

/// The outbox of a store that is there.
#[derive(Debug)]
pub struct OutboxDesk {
    query: Arc<dyn Query>,
}

/// Why an event is still in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpublished {
    /// Accepted, and not yet in Kafka as far as the store knows: for its turn, for the broker, or behind one that is
    /// refused.
    Waiting,
    /// The broker does not take it. It stays, and later ones of its key wait behind it.
    Refused,
}

/// An event that waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingRow {
    /// The outbox's number for it: lower ones go out first.
    pub row: i64,
    /// Whether it waits or is refused.
    pub status: Unpublished,
    /// Why it is refused.
    pub reason: Option<String>,
    /// Where it is to go.
    pub topic: String,
    /// Its id; `None` for a record that holds no event, like those that follow.
    pub id: Option<String>,
    /// Its source.
    pub source: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Option<String>,
    /// The record's key, or null.
    pub key: Option<Bytes>,
    /// When it happened, as it says.
    pub time: Option<Timestamp>,
}

/// How far an event source has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRow {
    /// A file's path, or the counter's name.
    pub source: String,
    /// Bytes of a file, events of the counter.
    pub at: i64,
    /// Lines of a file, empty ones included; events of the counter.
    pub number: i64,
}

impl OutboxDesk {
    /// Opens a store that is there.
    ///
    /// # Errors
    /// There is no store, it is another version's, or it cannot be reached: which, and what to do.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        Ok(Self { query: store::ask(url).await? })
    }

    /// What waits, the lowest row first, above the row `after`; and where the next page begins, if there may be one.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(
        &self,
        after: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<WaitingRow>, Option<i64>), StoreError> {
        let (mut rows, mut above) = (Vec::new(), after.unwrap_or(i64::MIN));
        while rows.len() < limit {
            let found = self.query.outbox_above(above, LOOK.min(limit - rows.len()), LOOK_BYTES).await?;
            let Some(last) = found.last() else { return Ok((rows, None)) };
            above = last.number;
            rows.extend(found.into_iter().map(WaitingRow::of));
        }
        Ok((rows, Some(above)))
    }

    /// The first event of that id that waits. It walks through the whole outbox, which has no index by id.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, id: &str) -> Result<Option<WaitingRow>, StoreError> {
        let mut above = None;
        loop {
            let (rows, next) = self.list(above, LOOK).await?;
            let found = rows.into_iter().find(|row| row.id.as_deref() == Some(id));
            if found.is_some() || next.is_none() {
                return Ok(found);
            }
            above = next;
        }
    }

    /// How many rows the outbox holds, and how many of them the broker has refused.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn counts(&self) -> Result<(u64, u64), StoreError> {
        let remaining = self.query.remaining().await?;
        Ok((remaining.rows, remaining.refused))
    }

    /// The event sources that the store knows, by name: the first ten thousand.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sources(&self) -> Result<Vec<SourceRow>, StoreError> {
        let found = self.query.sources(LOOKED_AT).await?;
        let row = |found: store::SourcePosition| SourceRow {
            source: found.source,
            at: found.at,
            number: found.number,
        };
        Ok(found.into_iter().map(row).collect())
    }
}

impl WaitingRow {
    fn of(row: OutboxRow) -> Self {
        let OutboxRow { number, topic, packed, refused } = row;
        // It has no place before it is published.
        let record = Record::unpack(&packed, "", 0, 0);
        let key = record.as_ref().and_then(|record| record.key().map(|key| Bytes(key.to_vec())));
        let event = record.and_then(|record| decode(record).ok());
        // The id of a plain record is its place.
        let event = event.filter(|event| event.source() != PLAIN_SOURCE);
        let event = event.as_ref();
        Self {
            row: number,
            status: if refused.is_some() { Unpublished::Refused } else { Unpublished::Waiting },
            reason: refused,
            topic,
            id: event.map(|event| event.id().into_owned()),
            source: event.map(|event| event.source().to_owned()),
            ty: event.map(|event| event.ty().to_owned()),
            key,
            time: event.and_then(Event::time),
        }
    }
}

impl Row for WaitingRow {
    const COLUMNS: &'static [&'static str] =
        &["row", "time", "status", "type", "key", "id", "source", "topic", "reason"];

    fn cells(&self) -> Vec<String> {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.row.to_string(),
            self.time.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
            self.status.to_string(),
            shown(&self.ty),
            self.key.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            shown(&self.id),
            shown(&self.source),
            self.topic.clone(),
            shown(&self.reason),
        ]
    }
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        })
    }
}
