//! What operators do to events, while members work on them.
//!
//! Each change is conditional on what the row is, and leaves a line in the table of operations, in one transaction: that is
//! the row's history, and what the partition's owner looks for once a second.

use std::sync::Arc;

use super::{Answer, Effects, RowId, Status, StoreError};
use crate::event::Arrived;

/// The hash in the row of an event that was cancelled before it arrived: nobody knows what it will hold.
pub(super) const CLAIM: i64 = 0;

/// What an operator does to an event. The numbers are what the database holds: never to be changed, only added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Operation {
    /// It is not to be handled, also if it has not arrived.
    Cancel = 1,
    /// It has failed: its next attempt is due now.
    Retry = 2,
    /// It is dead: its handler gets it once more.
    Redrive = 3,
    /// It is dead: it is put aside for good.
    Park = 4,
    /// What the store holds of it goes, but for its id and its times.
    Delete = 5,
}

/// Among those numbers: the event had no row, and is to be handled. It makes the row, so that it is never done to one that is there.
pub(crate) const REPLAY: i16 = 6;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operated {
    /// It is done. What the row was before.
    Done(Status),
    /// The row is not what it would have to be, since that moment, in milliseconds since 1970: nothing was changed.
    Unfit(Status, Option<i64>),
    /// It has not failed: it waits behind an earlier event of its key, or for its own time.
    Waits,
    /// There is no such row.
    Gone,
}

/// What came of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// It will take no effect. What it was before.
    Now(Status),
    /// It has not arrived: it will take no effect when it does.
    Ahead,
    /// It is too late: what it is, since that moment, in milliseconds since 1970.
    TooLate(Status, Option<i64>),
    /// It has no row, and in this group not every event has one: nobody knows.
    NotRecorded,
    /// No member of the group has ever used this store.
    NoGroup,
}

impl Operation {
    /// The operation of that number, as read from the database; `None` of a replay, and of one that only a newer version
    /// knows.
    pub(crate) fn of(number: i64) -> Option<Self> {
        use Operation::{Cancel, Delete, Park, Redrive, Retry};
        let all = [Cancel, Retry, Redrive, Park, Delete];
        all.into_iter().find(|operation| *operation as i64 == number)
    }

    /// What the row becomes, if it may.
    pub(super) fn makes_of(self, status: Status) -> Option<Status> {
        use Status::{Cancelled, Dead, Deferred, Deleted, Handling, Parked};
        match (self, status) {
            (Self::Cancel, Deferred | Dead | Parked) => Some(Cancelled),
            (Self::Retry, Deferred) | (Self::Redrive, Dead | Parked) => Some(Deferred),
            (Self::Park, Dead) => Some(Parked),
            (Self::Delete, Handling | Deleted) => None,
            (Self::Delete, _) => Some(Deleted),
            _ => None,
        }
    }
}

/// Why nothing is replayed into a ledger in which "no row" does not mean "not handled".
pub(super) fn not_every_event() -> StoreError {
    StoreError::Unusable(
        "the group handles at least once: an event that was handled and has no effects has no row, so that the ledger cannot tell \
         what was missed. Run its members with --delivery effectively-once to have a row for every event"
            .to_owned(),
    )
}

pub(super) fn never_taken_over(topic: &str, partition: i32) -> StoreError {
    StoreError::Unusable(format!(
        "no member of the group has ever worked on {topic}/{partition} with this store: nobody would handle what is replayed"
    ))
}

pub(super) fn another_redrive(filter: &str) -> StoreError {
    StoreError::Unusable(format!(
        "a redrive of {filter} has not come to its end: go on with it by --unfinished resume, or give it up by --unfinished abandon"
    ))
}

/// What operators ask of a database. Each call is one transaction.
pub(crate) trait Operate: std::fmt::Debug + Send + Sync {
    /// Does that to each row, in order. One answer for each.
    fn operate(&self, operation: Operation, rows: Vec<RowId>) -> Answer<'_, Vec<Operated>>;

    /// Cancels an event, also one that has not arrived.
    fn cancel(&self, group: &str, source: &str, id: &str) -> Answer<'_, Cancelled>;

    /// Notes that a redrive begins, and says when, in milliseconds since 1970; of one that has begun and not come to its end,
    /// when that was. One of another filter is an error.
    fn begin_redrive(&self, group: i64, filter: &str) -> Answer<'_, i64>;

    /// The filter of the group's redrive that has not come to its end.
    fn unfinished(&self, group: i64) -> Answer<'_, Option<String>>;

    /// It has come to its end.
    fn end_redrive(&self, group: i64) -> Answer<'_, ()>;

    /// Gives events of a topic to the group, in order, each in a row that is due now; one that has a row is left alone, whatever
    /// that says. One answer for each: whether its row is new. [`StoreError::Unusable`], and nothing is given, where no row does
    /// not mean that an event was not handled, or where nobody would handle it.
    fn replay(&self, group: i64, events: Arc<[Arrived]>) -> Answer<'_, Vec<bool>>;

    /// Executes what handlers would have written, in order, all or nothing.
    fn apply(&self, effects: Arc<[Effects]>) -> Answer<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an operation that gives an event that took effect, or may be taking it now, another chance.
    #[test]
    fn what_has_taken_effect_is_never_handled_again() {
        use Operation::{Cancel, Delete, Park, Redrive, Retry};
        for status in [Status::Handled, Status::Handling] {
            assert!(
                [Cancel, Retry, Redrive, Park].iter().all(|one| one.makes_of(status).is_none()),
                "{status:?}"
            );
        }
        for status in [Status::Cancelled, Status::Expired, Status::Deleted] {
            assert!(
                [Cancel, Retry, Redrive, Park].iter().all(|one| one.makes_of(status).is_none()),
                "{status:?}"
            );
        }
        assert_eq!(Delete.makes_of(Status::Handling), None);
        assert_eq!(Redrive.makes_of(Status::Deferred), None);
    }
}
