//! What the ledger has of a stream's events, record by record.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Bytes, Desk, Operator};
use crate::event::{Arrived, decode};
use crate::record::Record;
use crate::store::{Identity, Known, Recorded, Status, StoreError};

/// What stands of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stands {
    /// Its row says this.
    Row(Status),
    /// Its id is that of another event.
    Conflict,
    /// Every event gets a row, this one has none, and the group has passed it: nobody has handled it.
    NoRow,
    /// It has no row and the group has passed it, and it lies where rows that were settled for good are deleted.
    Pruned,
    /// It has no row and the group has passed it: not every event of the group gets one.
    Unrecorded,
    /// The group has not come to it.
    Ahead,
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(status) => status.fmt(f),
            Self::Conflict => f.write_str("another event's id"),
            Self::NoRow => f.write_str("no row"),
            Self::Pruned => f.write_str("pruned"),
            Self::Unrecorded => f.write_str("not recorded"),
            Self::Ahead => f.write_str("ahead"),
        }
    }
}

impl Serialize for Stands {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A record of the stream, and what stands of its event.
#[derive(Debug, Clone)]
pub struct Found {
    pub(super) arrived: Arrived,
    /// What stands.
    pub stands: Stands,
}

/// The same, for who looks.
#[derive(Debug, Clone, Serialize)]
pub struct StreamRow {
    /// Where its record is.
    pub topic: &'static str,
    /// Likewise.
    pub partition: i32,
    /// Likewise.
    pub offset: i64,
    /// Its id; its place, where it has none.
    pub id: String,
    /// Its source.
    pub source: String,
    /// Its type; `None` of a record that holds no event.
    #[serde(rename = "type")]
    pub ty: Option<String>,
    /// Its key.
    pub key: Option<Bytes>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// What stands.
    pub ledger: Stands,
}

impl Found {
    /// For who looks.
    pub fn row(&self) -> StreamRow {
        let (record, identity) = (self.arrived.record(), Identity::of(&self.arrived));
        let origin = record.origin();
        StreamRow {
            topic: origin.topic,
            partition: origin.partition,
            offset: origin.offset,
            ty: match &self.arrived {
                Arrived::Event(event) => Some(event.ty().to_owned()),
                Arrived::Undecodable(_) => None,
            },
            id: identity.id.into_owned(),
            source: identity.source.into_owned(),
            key: record.key().map(|key| Bytes(key.to_vec())),
            time: self.arrived.time().and_then(|millis| Timestamp::from_millisecond(millis).ok()),
            ledger: self.stands,
        }
    }
}

/// A topic, as the group's ledger knows it.
#[derive(Debug)]
pub struct Stream {
    topic: String,
    committed: BTreeMap<i32, i64>,
}

impl Stream {
    /// A topic, of which the group has committed these offsets.
    pub fn new(topic: &str, committed: BTreeMap<i32, i64>) -> Self {
        Self { topic: topic.to_owned(), committed }
    }

    fn stands(&self, record: &Record, known: Option<Known>, recorded: &Recorded) -> Stands {
        match known {
            Some(Known { status, same: true }) => Stands::Row(status),
            Some(Known { same: false, .. }) => Stands::Conflict,
            None => {
                let origin = record.origin();
                absent(
                    origin.offset,
                    self.committed.get(&origin.partition).copied(),
                    recorded.pruned_below.get(&origin.partition).copied(),
                    recorded.every_event == Some(true),
                )
            }
        }
    }
}

/// What it means that an event has no row.
fn absent(offset: i64, committed: Option<i64>, pruned_below: Option<i64>, every_event: bool) -> Stands {
    match (committed, pruned_below) {
        (Some(committed), Some(pruned_below)) if offset < committed => match every_event {
            _ if offset < pruned_below => Stands::Pruned,
            true => Stands::NoRow,
            false => Stands::Unrecorded,
        },
        _ => Stands::Ahead,
    }
}

impl Desk {
    /// Whether every event of the group gets a row, so that one without was not handled.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn has_every_event(&self, stream: &Stream) -> Result<bool, StoreError> {
        Ok(self.query.recorded(self.group, &stream.topic).await?.every_event == Some(true))
    }

    /// What stands of the events in these records, in order.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn stands(&self, stream: &Stream, records: Vec<Record>) -> Result<Vec<Found>, StoreError> {
        let arrived: Vec<Arrived> = records.into_iter().map(arrived).collect();
        let identities = arrived.iter().map(|arrived| Identity::of(arrived).into_owned()).collect();
        let known = self.query.known(&self.name, identities).await?;
        // Afterwards: a row that was pruned before it was asked for is said to be.
        let recorded = self.query.recorded(self.group, &stream.topic).await?;
        let found = |(arrived, known): (Arrived, Option<Known>)| {
            let stands = stream.stands(arrived.record(), known, &recorded);
            Found { arrived, stands }
        };
        Ok(arrived.into_iter().zip(known).map(found).collect())
    }
}

impl Operator {
    /// Gives events that have no row to the group, in order, without moving an offset: says how many. One that has a row by
    /// now is left alone.
    ///
    /// # Errors
    /// No row does not mean that an event was not handled, nobody would handle it, or the store does not answer: nobody knows
    /// then whether they were given, and to ask again is safe.
    pub async fn replay(&self, events: &[Found]) -> Result<usize, StoreError> {
        let events: Arc<[Arrived]> = events.iter().map(|found| found.arrived.clone()).collect();
        let given = self.store.replay(self.desk.group, events).await?;
        Ok(given.into_iter().filter(|is_new| *is_new).count())
    }
}

fn arrived(record: Record) -> Arrived {
    match decode(record) {
        Ok(event) => Arrived::Event(Arc::new(event)),
        Err(undecodable) => Arrived::Undecodable(Arc::from(undecodable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an event replayed that is on its way already, and so overtakes its key; one that was handled and forgotten.
    #[test]
    fn only_behind_the_group_and_above_what_is_pruned_no_row_means_not_handled() {
        let of = |offset| absent(offset, Some(20), Some(10), true);
        assert_eq!(
            [9, 10, 19, 20, 21].map(of),
            [Stands::Pruned, Stands::NoRow, Stands::NoRow, Stands::Ahead, Stands::Ahead,]
        );
        assert_eq!(absent(5, None, Some(0), true), Stands::Ahead, "nothing is committed");
        assert_eq!(absent(5, Some(9), None, true), Stands::Ahead, "nobody has worked on it with this store");
        assert_eq!(absent(15, Some(20), Some(10), false), Stands::Unrecorded);
        assert_eq!(absent(25, Some(20), Some(10), false), Stands::Ahead);
    }
}
