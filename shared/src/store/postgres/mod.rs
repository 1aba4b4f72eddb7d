//! The store in PostgreSQL, where several machines share the work.
//!
//! - **Where.** All tables are in a schema of their own, `event_store`; the view `event_store.events` is the ledger for
//!   people. Handlers' tables are wherever the user's `search_path` leads, by default in `public`. PostgreSQL 13 or newer.
//! - **Several members** on several machines use one database. The first to start makes the tables, the others wait for
//!   it. A newer schema than this program knows is refused.
//! - **Connections.** Three, each a [`channel`] with a transaction at a time, made when first used: one settles and
//!   assigns, one reads, one serves the outbox and prunes. What is lost is connected again at the next call; until
//!   then calls answer that the store is unavailable, within about five seconds.
//! - **Passwords** are in the URL alone: no error and no `Debug` repeats it, and parameters of statements are shown by
//!   their size. **TLS** is not there; a URL that requires it is refused.
//! - **A commit whose answer is lost** may have taken place. Who asks again is told what is known, as of any event that
//!   comes again; of what waits, its row as well (see `settle/known.rs`).
//! - **Numbers** are handed out before a commit, so that a lower one may appear later. The outbox is read from its lowest
//!   row each time, never from where the last reading ended. Within a partition the epoch's lock keeps the order: the next
//!   owner takes its first number after the last commit of the one before.
//! - **Plans.** A young table grows faster than PostgreSQL counts its rows, and for a join with an array it would read all
//!   of it. `cross join lateral (… limit 1)` makes it look up one row after the other, by index, whatever it believes.
//! - **Clocks.** The database's alone.

mod address;
mod assign;
mod channel;
mod error;
mod migrate;
mod operate;
mod outbox;
mod parameter;
mod pauses;
mod prune;
mod query;
mod read;
mod session;
mod settle;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_postgres::Row;

use self::address::Address;
use self::channel::{Channel, Opening};
use self::error::Trouble;
pub(super) use self::query::PostgresQuery;
use self::session::{Session, field};
use super::operate::{Cancelled, Operate, Operated, Operation};
use super::{
    Advance, Answer, Assigned, Assignee, Change, Effects, Identity, Known, Loaded, OutboxRecord, OutboxRow,
    Ownership, PauseTable, Remaining, RowId, Schema, Settlement, SourcePosition, Status, Store, StoreError,
    Verdict,
};
use crate::event::Arrived;

/// The numbers that stand for what a deferred row waits for: never to be changed, only added to.
const RETRY: i16 = 1;
const BEHIND: i16 = 2;
const UNTIL: i16 = 3;

/// A store in PostgreSQL.
#[derive(Debug)]
pub(crate) struct Postgres {
    opening: Arc<Opening>,
    settles: Channel,
    reads: Channel,
    outbox: Channel,
    /// Whether a settle has ended without anybody knowing what was committed.
    unsure: AtomicBool,
}

impl Postgres {
    /// Connects, brings the tables up to date, prepares the handlers' statements.
    ///
    /// # Errors
    /// The URL is wrong, the server is not there, its schema is newer, a migration or a statement of a handler is
    /// refused. The sentence says what to do.
    pub(crate) async fn open(url: &str, schemas: &[Schema]) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let migrations: Vec<_> = schemas.iter().flat_map(|schema| schema.migrations).collect();
        let id = migrate::migrate(&Session::connect(&address).await?, &address, &migrations).await?;
        let statements: Vec<_> =
            schemas.iter().flat_map(|schema| schema.statements.iter().copied()).collect();
        let settling = Session::open(&address, &id, &statements).await?;
        let opening = Arc::new(Opening { address, id, statements });
        Ok(Self {
            settles: Channel::new(&opening, true, Some(settling)),
            reads: Channel::new(&opening, false, None),
            outbox: Channel::new(&opening, false, None),
            opening,
            unsure: AtomicBool::new(false),
        })
    }
}

impl Store for Postgres {
    fn id(&self) -> &str {
        &self.opening.id
    }

    fn assign(&self, partitions: Vec<Assignee>) -> Answer<'_, Vec<Assigned>> {
        async move {
            let asked = &partitions;
            let assigned = |session: Arc<Session>| async move { assign::assign(&session, asked).await };
            Ok(self.settles.transaction(assigned).await?)
        }
        .boxed()
    }

    fn look_up(&self, group: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        let group = group.to_owned();
        async move {
            let (group, events) = (&group, &events);
            let known = |session: Arc<Session>| async move { read::look_up(&session, group, events).await };
            Ok(self.reads.transaction(known).await?)
        }
        .boxed()
    }

    fn settle(&self, batch: Arc<[Settlement]>) -> Answer<'_, Vec<Verdict>> {
        async move { settle::settle(&self.settles, &self.unsure, &batch).await }.boxed()
    }

    fn load(&self, rows: Vec<RowId>) -> Answer<'_, Vec<Loaded>> {
        async move {
            let rows = &rows;
            let loaded = |session: Arc<Session>| async move { read::load(&session, rows).await };
            Ok(self.reads.transaction(loaded).await?)
        }
        .boxed()
    }

    fn changes(&self, after: Vec<(i64, i64)>) -> Answer<'_, Vec<Change>> {
        async move {
            let after = &after;
            let changes = |session: Arc<Session>| async move { operate::changes(&session, after).await };
            Ok(self.reads.transaction(changes).await?)
        }
        .boxed()
    }

    fn prune(&self, below: Vec<(Ownership, i64)>, older_than: Duration) -> Answer<'_, usize> {
        async move { prune::prune(&self.outbox, &below, older_than).await }.boxed()
    }

    fn enqueue(&self, records: Vec<OutboxRecord>, read: Option<Advance>, bound: usize) -> Answer<'_, bool> {
        async move {
            let (records, read) = (&records, read.as_ref());
            let added =
                |session: Arc<Session>| async move { outbox::enqueue(&session, records, read, bound).await };
            Ok(self.outbox.transaction(added).await?)
        }
        .boxed()
    }

    fn position(&self, source: &str) -> Answer<'_, Option<SourcePosition>> {
        let source = source.to_owned();
        async move {
            let source = &source;
            let position = |session: Arc<Session>| async move { outbox::position(&session, source).await };
            Ok(self.reads.transaction(position).await?)
        }
        .boxed()
    }

    fn outbox(&self, most: usize, bytes: usize, held: Vec<String>) -> Answer<'_, Vec<OutboxRow>> {
        async move {
            let held = &held;
            let rows =
                |session: Arc<Session>| async move { outbox::lowest(&session, most, bytes, held).await };
            Ok(self.outbox.transaction(rows).await?)
        }
        .boxed()
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        async move {
            let remaining = |session: Arc<Session>| async move { outbox::remaining(&session).await };
            Ok(self.outbox.transaction(remaining).await?)
        }
        .boxed()
    }

    fn relayed(&self, rows: Vec<i64>) -> Answer<'_, ()> {
        async move {
            let rows = &rows;
            let deleted = |session: Arc<Session>| async move { outbox::relayed(&session, rows).await };
            Ok(self.outbox.transaction(deleted).await?)
        }
        .boxed()
    }

    fn refused(&self, row: i64, reason: String) -> Answer<'_, ()> {
        async move {
            let reason = &reason;
            let noted = |session: Arc<Session>| async move { outbox::refused(&session, row, reason).await };
            Ok(self.outbox.transaction(noted).await?)
        }
        .boxed()
    }

    fn lease(&self, holder: &str, term: Duration) -> Answer<'_, bool> {
        let holder = holder.to_owned();
        async move {
            let holder = &holder;
            let held = |session: Arc<Session>| async move { outbox::lease(&session, holder, term).await };
            Ok(self.outbox.transaction(held).await?)
        }
        .boxed()
    }

    fn pause_table(&self) -> Option<&dyn PauseTable> {
        Some(self)
    }
}

impl Operate for Postgres {
    fn operate(&self, operation: Operation, rows: Vec<RowId>) -> Answer<'_, Vec<Operated>> {
        async move {
            let rows = &rows;
            let operated =
                |session: Arc<Session>| async move { operate::operate(&session, operation, rows).await };
            Ok(self.outbox.transaction(operated).await?)
        }
        .boxed()
    }

    fn cancel(&self, group: &str, source: &str, id: &str) -> Answer<'_, Cancelled> {
        let (group, source, id) = (group.to_owned(), source.to_owned(), id.to_owned());
        async move {
            let (group, source, id) = (&group, &source, &id);
            let cancelled =
                |session: Arc<Session>| async move { operate::cancel(&session, group, source, id).await };
            Ok(self.outbox.transaction(cancelled).await?)
        }
        .boxed()
    }

    fn begin_redrive(&self, group: i64, filter: &str) -> Answer<'_, i64> {
        let filter = filter.to_owned();
        async move {
            let filter = &filter;
            let begun =
                |session: Arc<Session>| async move { operate::begin_redrive(&session, group, filter).await };
            Ok(self.outbox.transaction(begun).await?)
        }
        .boxed()
    }

    fn unfinished(&self, group: i64) -> Answer<'_, Option<String>> {
        async move {
            let filter = |session: Arc<Session>| async move { operate::unfinished(&session, group).await };
            Ok(self.reads.transaction(filter).await?)
        }
        .boxed()
    }

    fn end_redrive(&self, group: i64) -> Answer<'_, ()> {
        async move {
            let ended = |session: Arc<Session>| async move { operate::end_redrive(&session, group).await };
            Ok(self.outbox.transaction(ended).await?)
        }
        .boxed()
    }

    fn replay(&self, group: i64, events: Arc<[Arrived]>) -> Answer<'_, Vec<bool>> {
        async move {
            let events = &events;
            let replayed =
                |session: Arc<Session>| async move { settle::replay(&session, group, events).await };
            Ok(self.outbox.transaction(replayed).await?)
        }
        .boxed()
    }

    fn apply(&self, effects: Arc<[Effects]>) -> Answer<'_, ()> {
        async move {
            let effects = &effects;
            let applied = |session: Arc<Session>| async move { settle::write(&session, effects).await };
            // The one that knows the handlers' statements.
            Ok(self.settles.transaction(applied).await?)
        }
        .boxed()
    }
}

/// In milliseconds, a hundred years at most: further no clock of a database needs to count.
fn millis(duration: Duration) -> i64 {
    const HUNDRED_YEARS: u128 = 100 * 365 * 86_400_000;
    duration.as_millis().min(HUNDRED_YEARS) as i64
}

fn status(row: &Row, at: usize) -> Result<Status, Trouble> {
    let number: i16 = field(row, at)?;
    let unknown =
        || StoreError::Unusable(format!("a row of the ledger has the status {number}, which nobody knows"));
    Ok(Status::of(i64::from(number)).ok_or_else(unknown)?)
}

/// Cut so that each piece fits into one message of PostgreSQL's, which has a gigabyte at most.
fn runs<T>(items: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    const BYTES: usize = 64 << 20;
    let mut bytes = 0;
    let mut cut = Vec::new();
    let mut start = 0;
    for (at, item) in items.iter().enumerate() {
        bytes += size(item);
        if bytes > BYTES && at > start {
            cut.push(&items[start..at]);
            (start, bytes) = (at, size(item));
        }
    }
    if start < items.len() {
        cut.push(&items[start..]);
    }
    cut
}
