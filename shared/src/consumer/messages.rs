//! What the poll thread and its lanes tell each other.

use super::{Key, SlotId};
use crate::record::Record;
use crate::store::{DeferredRow, Ownership, RowId, StoreError, UpTo, Waiting};

/// What the poll thread tells a lane.
#[derive(Debug)]
pub(super) enum ToLane {
    /// A partition was taken over.
    Take(SlotId, Taken),
    /// Records to handle, in order.
    Batch(Vec<Incoming>),
    /// Operators have changed rows of the slot.
    Changed(SlotId, Vec<Changed>),
    /// Start nothing of the slot; answer with [`FromLane::Halted`].
    Halt(SlotId),
    /// Bring to its end what lies at or below the offset, drop the rest; answer with [`FromLane::Finished`]. What fails
    /// now waits in the ledger for the next owner.
    Finish(SlotId, i64),
    /// Drop everything of the slot, also what is under way.
    Forget(SlotId),
}

/// A partition as the ledger has it, so far as it concerns one lane.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) topic: &'static str,
    pub(super) partition: i32,
    pub(super) owner: Ownership,
    /// What waits in the ledger, in the order of the rows.
    pub(super) deferred: Vec<(Key, DeferredRow)>,
    /// At-least-once: how far all of the key is settled.
    pub(super) answered: Vec<(Key, UpTo)>,
}

/// A row that an operator has changed.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    /// `None` where the row does not say any more; it goes to all lanes then.
    pub(super) key: Option<Key>,
    pub(super) row: RowId,
    /// What it waits for now, if it does.
    pub(super) waiting: Option<Waiting>,
}

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) slot: SlotId,
    pub(super) key: Key,
    pub(super) record: Record,
    /// Whether its headers could be read.
    pub(super) is_readable: bool,
}

/// What a lane tells the poll thread.
#[derive(Debug)]
pub(super) enum FromLane {
    /// These offsets are settled.
    Settled(Vec<(SlotId, i64)>),
    /// The highest offset of the slot that was ever started here.
    Halted(SlotId, Option<i64>),
    /// Nothing of the slot is under way here any more.
    Finished(SlotId),
    /// A key of the slot has as many events waiting as a key may have.
    KeyFull(SlotId),
    /// That key is down to half of it.
    KeyOpen(SlotId),
    /// Another has taken the slot's partition over in the store.
    Fenced(SlotId),
    /// The store cannot be used any more.
    Failed(StoreError),
}
