//! What an operator does to events, while services work: each answer is true when it is given.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Desk, FullEvent};
use crate::store::operate::{Cancelled, Operate, Operated, Operation};
use crate::store::{RowId, Status, StoreError};

/// What came of it. Displayed, it is the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answered {
    /// It is done.
    Done {
        /// What it is now called.
        is: &'static str,
        /// The status before; `None` of one that has not arrived.
        was: Option<Status>,
    },
    /// An event that has not arrived: it will be cancelled when it does.
    Ahead,
    /// Its status does not allow that.
    TooLate {
        /// What it is.
        status: Status,
        /// Since then.
        since: Option<Timestamp>,
    },
    /// It has not failed: it waits for its turn, or for its own time.
    Waits,
    /// No row tells: the group keeps rows only for events that wait, are dead or have effects.
    NotRecorded,
    /// Nobody knows the event.
    Unknown,
    /// Several sources have used the id.
    Ambiguous {
        /// Which.
        sources: Vec<String>,
    },
}

impl Answered {
    /// Whether what was asked for is so.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Ahead)
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { is, was: Some(was) } => write!(f, "{is} (it was {was})"),
            Self::Done { is, was: None } => f.write_str(is),
            Self::Ahead => f.write_str("unknown: will be cancelled when it arrives"),
            Self::TooLate { status: Status::Handling, .. } => f.write_str("too late: being handled"),
            Self::TooLate { status, since: Some(since) } => write!(f, "too late: {status} at {since}"),
            Self::TooLate { status, since: None } => write!(f, "too late: {status}"),
            Self::Waits => f.write_str("it has not failed: it waits for its turn, or for its own time"),
            Self::NotRecorded => f.write_str(
                "not recorded: under at-least-once only events that wait, are dead or have effects have a row",
            ),
            Self::Unknown => f.write_str("unknown: it has not arrived yet, or was forgotten since"),
            Self::Ambiguous { sources } => {
                write!(f, "several sources have used this id: add --source, one of {}", sources.join(", "))
            }
        }
    }
}

/// What the answer says when it was done.
fn done(operation: Operation) -> &'static str {
    match operation {
        Operation::Cancel => "cancelled",
        Operation::Retry => "its next attempt is due now",
        Operation::Redrive => "redriven",
        Operation::Park => "parked",
        Operation::Delete => "deleted",
    }
}

/// A desk from which events are changed, too.
#[derive(Debug)]
pub struct Operator {
    pub(super) desk: Desk,
    pub(super) store: Arc<dyn Operate>,
    group: String,
}

impl Operator {
    pub(super) fn new(desk: Desk, store: Arc<dyn Operate>, group: &str) -> Self {
        Self { desk, store, group: group.to_owned() }
    }

    /// To ask from.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Does that to one event. Without its source, that of the only event with this id.
    ///
    /// # Errors
    /// The store does not answer: nobody knows whether it was done, and to ask again is safe.
    pub async fn act(
        &self,
        operation: Operation,
        id: &str,
        source: Option<&str>,
    ) -> Result<Answered, StoreError> {
        let found = self.desk.find(id, source).await?;
        match (&found[..], source) {
            ([], Some(source)) if operation == Operation::Cancel => self.cancel(source, id).await,
            ([], _) => Ok(Answered::Unknown),
            ([one], _) if operation == Operation::Cancel => self.cancel(&one.event.source, id).await,
            ([one], _) => self.change(operation, one).await,
            (several, _) => {
                let sources = several.iter().map(|one| one.event.source.clone()).collect();
                Ok(Answered::Ambiguous { sources })
            }
        }
    }

    async fn cancel(&self, source: &str, id: &str) -> Result<Answered, StoreError> {
        Ok(match self.store.cancel(&self.group, source, id).await? {
            Cancelled::Now(was) => Answered::Done { is: done(Operation::Cancel), was: Some(was) },
            Cancelled::Ahead => Answered::Ahead,
            Cancelled::TooLate(status, since) => Answered::TooLate { status, since: moment(since) },
            Cancelled::NotRecorded => Answered::NotRecorded,
            Cancelled::NoGroup => Answered::Unknown,
        })
    }

    async fn change(&self, operation: Operation, event: &FullEvent) -> Result<Answered, StoreError> {
        let answers = self.store.operate(operation, vec![RowId(event.event.row)]).await?;
        Ok(match answers.first() {
            Some(Operated::Done(was)) => Answered::Done { is: done(operation), was: Some(*was) },
            Some(Operated::Unfit(status, since)) => {
                Answered::TooLate { status: *status, since: moment(*since) }
            }
            Some(Operated::Waits) => Answered::Waits,
            Some(Operated::Gone) | None => Answered::Unknown,
        })
    }
}

fn moment(millis: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis?).ok()
}
