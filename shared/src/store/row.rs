//! What goes into the ledger and what comes back.

use std::fmt;
use std::time::Duration;

use super::{Effects, Identity, OutboxRecord};
use crate::event::{Arrived, PLAIN_SOURCE};
use crate::record::Origin;

/// The state of a ledger row. The numbers are what the database holds: never to be changed, only added to.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[repr(i16)]
pub enum Status {
    /// Its handler has begun
    Handling = 1,
    /// Its handler is through, and what it wanted is done
    Handled = 2,
    /// It waits: for its next attempt, behind an earlier event of its key, or until it is due
    Deferred = 3,
    /// It is not tried again by itself
    Dead = 4,
    /// An operator has put it aside for good
    Parked = 5,
    /// It was cancelled before its effect
    Cancelled = 6,
    /// It was too late to handle it
    Expired = 7,
    /// An operator has deleted its data
    Deleted = 8,
}

impl Status {
    /// Each there is.
    pub const ALL: [Self; 8] = [
        Self::Handling,
        Self::Handled,
        Self::Deferred,
        Self::Dead,
        Self::Parked,
        Self::Cancelled,
        Self::Expired,
        Self::Deleted,
    ];

    /// The status of that number, as read from the database.
    pub(crate) fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as i64 == number)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handling => "handling",
            Self::Handled => "handled",
            Self::Deferred => "deferred",
            Self::Dead => "dead",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        })
    }
}

/// A row of the ledger. Rows are numbered in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RowId(pub(crate) i64);

/// Who owns a partition's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ownership {
    /// The store's own number for group, topic and partition.
    pub(crate) partition: i64,
    /// Raised at each assignment: what carries an older one is refused.
    pub(crate) epoch: i64,
}

/// A partition to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignee {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// At-least-once: where the group stands. Rows from there on answer for earlier records of their key.
    pub(crate) answers_from: Option<i64>,
    /// Whether a dead event holds the later ones of its key.
    pub(crate) dead_hold: bool,
}

/// A partition taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) owner: Ownership,
    /// Rows below this offset may be gone.
    pub(crate) pruned_below: i64,
    /// What waits there, in the order of the rows.
    pub(crate) deferred: Vec<DeferredRow>,
    /// Only where `answers_from` was given: of each key that has rows from there on how far they answer; of null keys
    /// each row for itself.
    pub(crate) answered: Vec<(Option<Vec<u8>>, UpTo)>,
    /// The number of the last change that an operator made there.
    pub(crate) changed: i64,
}

/// A row that an operator has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The store's own number for group, topic and partition.
    pub(crate) partition: i64,
    /// Ascending within the partition, in the order in which the changes became true.
    pub(crate) number: i64,
    pub(crate) row: RowId,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) offset: i64,
    /// What it waits for now; `None` where it waits for nothing any more.
    pub(crate) waiting: Option<Waiting>,
}

/// How far rows answer for earlier records of their key. The timestamp tells the records of a topic that was made anew,
/// which begin at the offsets of the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UpTo {
    pub(crate) offset: i64,
    /// The highest timestamp of their records.
    pub(crate) timestamp: Option<i64>,
}

impl UpTo {
    /// Whether it answers for that record.
    pub(crate) fn covers(self, record: Origin) -> bool {
        self.offset >= record.offset && (self.timestamp.is_none() || record.timestamp <= self.timestamp)
    }
}

/// A deferred row, without its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeferredRow {
    pub(crate) row: RowId,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) offset: i64,
    pub(crate) waiting: Waiting,
}

/// What a deferred row still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Its next attempt, so long from now: never longer than the pause that was asked for.
    Retry(Duration),
    /// An earlier row of its key.
    Behind,
    /// That moment, in milliseconds since 1970.
    Until(i64),
    /// An operator: it is dead, and holds its key.
    Operator,
}

/// A deferred row with its record, for its next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) row: RowId,
    pub(crate) attempts: u32,
    /// How long it has been failing, as it was settled: time that nobody was there to try does not count.
    pub(crate) failing_for: Duration,
    pub(crate) offset: i64,
    /// See [`Record::pack`](crate::record::Record::pack).
    pub(crate) packed: Vec<u8>,
}

/// An outcome on its way into the ledger.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) owner: Ownership,
    pub(crate) arrived: Arrived,
    /// Goes by its place and content instead of its own id, because that belongs to another event.
    pub(crate) conflicting: bool,
    /// The row that the event already has, deferred or being handled, and the attempts that row knows of.
    pub(crate) row: Option<(RowId, u32)>,
    /// Attempts made so far, this one included.
    pub(crate) attempts: u32,
    pub(crate) step: Step,
    /// Of a command only.
    pub(crate) reply: Option<Box<Reply>>,
}

/// What a command gets for its outcome. Where its row is there already, it gets what is kept there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Where its sender waits for it, if anybody does.
    pub(crate) topic: Option<String>,
    /// The reply as a record; `None` while there is no outcome yet. It is kept whether or not somebody waits: who does
    /// not wait may ask again.
    pub(crate) packed: Option<Vec<u8>>,
}

impl Reply {
    /// As a record for the outbox, if there is one to publish.
    pub(crate) fn record(&self) -> Option<OutboxRecord> {
        let (topic, packed) = (self.topic.clone()?, self.packed.clone()?);
        Some(OutboxRecord { topic, packed })
    }
}

impl Settlement {
    /// Of an event that has no row: it is to be handled, and due at that moment.
    pub(crate) fn replayed(owner: Ownership, arrived: Arrived, due: i64) -> Self {
        let step = Step::Deferred { wait: Wait::Until(due), reason: None };
        Self { owner, arrived, conflicting: false, row: None, attempts: 0, step, reply: None }
    }

    /// The source of [`identity`](Self::identity).
    pub(crate) fn source(&self) -> &str {
        match &self.arrived {
            Arrived::Event(event) if !self.conflicting => event.source(),
            _ => PLAIN_SOURCE,
        }
    }

    /// What the row is unique by, within its group.
    pub(crate) fn identity(&self) -> Identity<'_> {
        if self.conflicting { Identity::of_conflict(&self.arrived) } else { Identity::of(&self.arrived) }
    }
}

/// What becomes of the event.
#[derive(Debug)]
pub(crate) enum Step {
    /// Its handler, which reaches out, is about to be given it: from here on it is too late to cancel it.
    Handling,
    Handled {
        effects: Effects,
        /// The follow-up events among the effects, as records.
        events: Vec<OutboxRecord>,
    },
    Deferred {
        wait: Wait,
        reason: Option<String>,
    },
    Dead {
        reason: String,
        letter: OutboxRecord,
    },
    Expired,
}

/// What a deferred event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Its next attempt after the pause; by then it will have been failing for so long.
    Retry { pause: Duration, failing_for: Duration },
    /// An earlier event of its key.
    Behind,
    /// That moment, in milliseconds since 1970.
    Until(i64),
}

/// What the store did with a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Row, effects and outbox rows are there.
    Settled(RowId),
    /// Its id is there already, with that status: nothing was applied. Of a row that is gone: `Deleted`.
    Known(Status),
    /// Its id is there already, with another content: nothing was applied.
    Conflict,
    /// The database does not take its effects: nothing was applied.
    Refused(Refusal),
    /// An earlier event of its key in the batch was refused: nothing was applied.
    Behind,
    /// The partition has another owner by now: nothing was applied.
    Fenced,
}

/// Why the database does not take an event's effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// A constraint or a value out of range: the same effects would be refused again.
    pub(crate) permanent: bool,
}

/// What is known of an event that has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) status: Status,
    /// Whether it is the same event: same type, key, content type and data.
    pub(crate) same: bool,
}
