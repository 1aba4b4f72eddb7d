//! The store: the ledger of events, the outbox of records still to be published, and what handlers write.
//!
//! # What a ledger row can be
//!
//! ```text
//!                      ┌────────────── attempt fails ──────────────┐
//!                      ▼                                           │
//! (no row) ──▶ deferred: retry | behind | until ──▶ (its handler) ─┤
//!    │                                                             ├──▶ handled
//!    ├────────────────────────▶ (its handler) ─────────────────────┼──▶ dead ──▶ parked, or deferred again (an operator)
//!    │                                                             └──▶ expired
//!    └──▶ cancelled (an operator, before it arrives), as from deferred, dead and parked
//! ```
//!
//! A row is *deferred* for one of three reasons: an attempt failed and the next is due later (`retry`), an earlier
//! event of its key waits (`behind`), or it says itself that it is not due yet (`until`, the attribute `notbefore`).
//! Before a handler that reaches out its row is *handling*: it cannot be cancelled from there on. What a crash leaves so goes
//! on with the record that comes again, or, if it was deferred, waits again. `deleted` is any row but that one whose data an
//! operator has removed. Of a row that is neither deferred nor handling, or not at the attempt that was begun, a settle changes
//! nothing: every settle is conditional.
//! In memory a key is *blocked* while any of its rows waits for `retry` or `behind`; `until` blocks nobody.
//!
//! # The transactions
//!
//! | name | in one transaction |
//! |---|---|
//! | assign | raise the epoch of the partitions; read `pruned_below` and what is deferred there |
//! | settle | lock and compare the epoch of each partition; for each event in order: insert its row, or move the row that it has; its effects; its outbox rows |
//! | begin | a settle whose outcome is "handling" |
//! | operate | what an operator does to rows, each conditional on what it is, with a line of history; a cancel of an unknown id makes its row |
//! | load | read deferred rows that are due, with their records |
//! | revoke | none: the lanes settle what they started, the offsets are committed, and the next owner's assign raises the epoch |
//! | enqueue | compare how far the event source was read; add outbox rows, and how far it is read with them |
//! | relay | read the lowest rows of the outbox; after the broker's acknowledgement, delete them |
//! | prune | delete rows that are settled for good, older than `--dedupe-for`, below the committed offset; raise `pruned_below` |
//! | replay | lock the partition; insert deferred rows, due now, for events that have none, with a line in the table of operations each |
//! | look | an operator's question: read at most ten thousand rows, and write nothing (see `query.rs`) |
//!
//! The offset moves only after a settle has committed. What a settle answers for one event:
//! settled; known (its id is there already, nothing was applied); conflict (its id is there with another content);
//! refused (the database does not take its effects: nothing of it was applied); behind (an earlier event of its key in
//! the same batch was refused: nothing of it was applied, it is handled again); fenced (the epoch is another's).
//!
//! # Interleavings
//!
//! 1. *A member is stopped while it holds E3 of a key; another takes the partition and defers E2; the first wakes and
//!    settles.* The other's assign has raised the epoch, so that the first is fenced: E3 waits behind E2 at its owner.
//! 2. *E1's effects are refused, with E2 of its key and 1,998 others in the batch.* The batch rolls back and is halved
//!    until E1 is alone. The others commit; E2 is answered "behind" and is handled after what became of E1.
//! 3. *Two groups on one store.* The group is part of each row's identity and of each epoch: neither sees the other.
//! 4. *A topic deleted and made anew with plain records.* Their ids hold the timestamp beside the offset, so that a
//!    new record at an old offset is another event. Deferred rows are named by row and never by offset.
//! 5. *Another machine with its own file joins the group; the file is deleted and the service started again.* Each
//!    committed offset carries the id of the store that it stands for. An assignment with another's is refused.
//! 6. *At-least-once: E10 handled (no row), E12 deferred, crash, redelivery from E5.* The row at 12 answers for the
//!    earlier records of its key: assign reads the highest offset of each key at or above the committed one, and
//!    what lies below, and is not younger, is not handled again. A row that was scheduled was put aside before its turn:
//!    it never answers for others. Younger records at old offsets are those of a topic that was made anew.
//! 7. *Revocation while E10 waits behind a slow handler and E11 is settled.* Everything at or below the highest offset
//!    started is brought to its end, or deferred: both are rows, so that the offset moves past them.
//! 8. *The dead-letter relay times out on K1 and then sends K2.* The relay's producer has no delivery timeout, and a row
//!    stays the lowest until it is acknowledged: later rows of its key cannot overtake it.
//! 9. *The last attempt falls into an outage.* An event whose time is up becomes dead only if its handler has succeeded
//!    for another event since its own first failure; otherwise it is tried again at the longest pause.
//! 10. *Restart with a clock an hour off.* A row keeps the length of its pause beside the time that it is due: what
//!     remains is never longer than that. How long it has been failing is kept as a length, too.
//! 11. *Crash between settle and offset.* The event comes again and its row is there: known, nothing is applied. *Between
//!     effect and row*: they are one transaction.
//! 12. *The partition count grows while keys are blocked.* Deferred rows stay with the partition that they came from and
//!     go on there; later events of the key may come from another partition and do not wait. It is logged.
//! 13. *Two members, the same id with a null key in two partitions, PostgreSQL.* The unique index lets one in; the other
//!     waits for it and is answered "known". Rows are inserted in the order of their identity; a deadlock (40P01)
//!     rolls back and is tried again.

mod effects;
mod filter;
mod follow_up;
mod identity;
pub(crate) mod operate;
mod outbox;
mod patience;
mod pauses;
mod postgres;
pub(crate) mod query;
mod row;
mod splitter;
mod sqlite;
#[cfg(test)]
#[allow(dead_code, unused_imports, unused_macros, reason = "used by each database")]
pub(crate) mod suite;
mod temporary;
mod url;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::effects::{Effects, Migration, Schema, Statement, Value};
pub use self::filter::{Filter, moment};
pub(crate) use self::follow_up::follow_ups;
pub(crate) use self::identity::Identity;
pub(crate) use self::outbox::{Advance, OutboxRecord, OutboxRow, Remaining, SourcePosition};
pub(crate) use self::patience::until_available;
pub use self::pauses::{Pausable, Pause, Pauses};
pub(crate) use self::pauses::{PauseTable, SOURCES};
pub(crate) use self::query::{Bisection, Entry, Look, OperationRow, Query, Question, Recorded, Window};
pub use self::row::Status;
pub(crate) use self::row::{
    Assigned, Assignee, Change, DeferredRow, Known, Loaded, Ownership, Refusal, Reply, RowId, Settlement,
    Step, UpTo, Verdict, Wait, Waiting,
};
pub(crate) use self::splitter::Splitter;
pub use self::temporary::TemporaryStore;
pub use self::url::{BadStoreUrl, StoreUrl};
pub(crate) use self::url::{ask, open, operator};

/// Why the store cannot do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file locked, the connection lost: it may pass. Nothing was applied, or nobody knows;
    /// to ask again is safe.
    #[error("{0}")]
    Unavailable(String),
    /// It will not pass by itself: a newer schema, another store in its place, a statement that does not parse.
    #[error("{0}")]
    Unusable(String),
}

pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What the runtime asks of a database. Each call is one transaction, or several where the text says so; a call that
/// is dropped may still take effect.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// The store's own id, made with it: what committed offsets carry.
    fn id(&self) -> &str;

    /// Takes partitions over: see "assign" in the module's text. One answer for each, in order.
    fn assign(&self, partitions: Vec<Assignee>) -> Answer<'_, Vec<Assigned>>;

    /// What is known of events before their handlers run: one answer for each, in order. `None` is unknown.
    fn look_up(
        &self,
        group: &str,
        events: std::sync::Arc<[Identity<'static>]>,
    ) -> Answer<'_, Vec<Option<Known>>>;

    /// Settles a batch: see "settle" in the module's text. One verdict for each, in order. A batch that is refused is
    /// split, so that this may be several transactions; the events of a key commit as a prefix.
    fn settle(&self, batch: std::sync::Arc<[Settlement]>) -> Answer<'_, Vec<Verdict>>;

    /// Reads deferred rows with their records, in the order asked for; those that are deferred no more are left out.
    fn load(&self, rows: Vec<RowId>) -> Answer<'_, Vec<Loaded>>;

    /// What operators have changed in each partition after that number, at most a bounded number of changes of each.
    fn changes(&self, after: Vec<(i64, i64)>) -> Answer<'_, Vec<Change>>;

    /// Deletes rows that nobody will ask for again, a bounded number a call: those of the given partitions, below the
    /// given offset, handled, cancelled, expired or deleted since `older_than` or longer. Says how many it deleted.
    fn prune(&self, below: Vec<(Ownership, i64)>, older_than: Duration) -> Answer<'_, usize>;

    /// Adds records to the outbox, in order, together with how far the event source has been read. `false`, and nothing is
    /// added, where the outbox holds `bound` rows or more. [`StoreError::Unusable`], and nothing is added, where the source
    /// does not stand where this was read from: another process reads it too.
    ///
    /// After [`StoreError::Unavailable`], [`position`](Self::position) tells whether it was added.
    fn enqueue(&self, records: Vec<OutboxRecord>, read: Option<Advance>, bound: usize) -> Answer<'_, bool>;

    /// How far that event source has been read.
    fn position(&self, source: &str) -> Answer<'_, Option<SourcePosition>>;

    /// The lowest rows of the outbox, in order: so many at most, and none after those that hold so many bytes together, but
    /// at least one. Those that the broker has refused are among them, with their reason; those for `held` topics are not.
    fn outbox(&self, most: usize, bytes: usize, held: Vec<String>) -> Answer<'_, Vec<OutboxRow>>;

    /// How many rows the outbox holds, those refused included, and how many of them the broker has refused.
    fn remaining(&self) -> Answer<'_, Remaining>;

    /// These rows are in Kafka: they are deleted.
    fn relayed(&self, rows: Vec<i64>) -> Answer<'_, ()>;

    /// The broker has refused this row for itself. It stays, and holds the later rows of its topic and key.
    fn refused(&self, row: i64, reason: String) -> Answer<'_, ()>;

    /// Takes or renews the right to relay, for that long. `false` where another holds it.
    fn lease(&self, holder: &str, term: Duration) -> Answer<'_, bool>;

    /// What operators have paused. `None` where there is no such table.
    fn pause_table(&self) -> Option<&dyn PauseTable> {
        None
    }
}
