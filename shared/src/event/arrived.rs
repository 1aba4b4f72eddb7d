//! What a record turned out to hold.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Event, Undecodable};
use crate::record::Record;

/// An event, or a record that holds none. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Arrived {
    Event(Arc<Event>),
    Undecodable(Arc<Undecodable>),
}

impl Arrived {
    pub(crate) fn record(&self) -> &Record {
        match self {
            Self::Event(event) => event.record(),
            Self::Undecodable(undecodable) => &undecodable.record,
        }
    }

    /// When it happened, as it says itself or as its record does, in milliseconds since 1970.
    pub(crate) fn time(&self) -> Option<i64> {
        match self {
            Self::Event(event) => event.time().map(Timestamp::as_millisecond),
            Self::Undecodable(undecodable) => undecodable.record.origin().timestamp,
        }
    }
}
