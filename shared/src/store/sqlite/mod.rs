//! The store in a file: SQLite. One thread writes, one reads; several processes may share the file.

mod assign;
mod effects;
mod file;
mod ledger;
mod migrate;
mod names;
mod operate;
mod outbox;
mod pauses;
mod prune;
mod query;
mod read;
mod replay;
mod replies;
mod run;
mod settle;
mod settling;
mod target;
mod trouble;
mod worker;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::file::{File, Place, Role};
pub(super) use self::query::SqliteQuery;
use self::worker::Worker;
use super::operate::{Cancelled, Operate, Operated, Operation};
use super::{
    Advance, Answer, Assigned, Assignee, Change, Effects, Identity, Known, Loaded, OutboxRecord, OutboxRow,
    Ownership, PauseTable, Remaining, RowId, Schema, Settlement, SourcePosition, Store, StoreError, Verdict,
};
use crate::event::Arrived;

/// How long to wait for other processes' transactions, which take milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store in a file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    id: String,
    writer: Worker,
    reader: Worker,
}

impl SqliteStore {
    /// Opens the file, or makes it.
    pub(super) async fn open(path: &Path, schemas: &[Schema]) -> Result<Self, StoreError> {
        Self::open_with(path, schemas, PATIENCE).await
    }

    async fn open_with(path: &Path, schemas: &[Schema], patience: Duration) -> Result<Self, StoreError> {
        let place = Arc::new(Place { path: path.to_owned(), schemas: schemas.to_vec(), patience });
        let writer = Worker::start("store", File::new(Arc::clone(&place), Role::Writer, None))?;
        let id = writer.ask(File::id).await?;
        let reader = Worker::start("store reads", File::new(place, Role::Reader, Some(id.clone())))?;
        Ok(Self { id, writer, reader })
    }
}

impl Store for SqliteStore {
    fn id(&self) -> &str {
        &self.id
    }

    fn assign(&self, partitions: Vec<Assignee>) -> Answer<'_, Vec<Assigned>> {
        self.writer.ask(move |file| {
            file.ask(|connection, _| {
                Ok(partitions
                    .iter()
                    .map(|assignee| assign::assign(connection, assignee))
                    .collect::<rusqlite::Result<_>>()?)
            })
        })
    }

    fn look_up(&self, group: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        let group = group.to_owned();
        self.reader.ask(move |file| {
            file.ask(|connection, names| Ok(read::look_up(connection, names, &group, &events)?))
        })
    }

    fn settle(&self, batch: Arc<[Settlement]>) -> Answer<'_, Vec<Verdict>> {
        self.writer.settle(batch)
    }

    fn load(&self, rows: Vec<RowId>) -> Answer<'_, Vec<Loaded>> {
        self.reader.ask(move |file| file.ask(|connection, _| Ok(read::load(connection, &rows)?)))
    }

    fn changes(&self, after: Vec<(i64, i64)>) -> Answer<'_, Vec<Change>> {
        self.reader.ask(move |file| {
            file.ask(|connection, _| {
                let mut changes = Vec::new();
                for (partition, after) in after {
                    changes.extend(operate::changes(connection, partition, after)?);
                }
                Ok(changes)
            })
        })
    }

    fn prune(&self, below: Vec<(Ownership, i64)>, older_than: Duration) -> Answer<'_, usize> {
        Box::pin(async move {
            // To find them may take long where there is much that stays: nobody who writes waits for that.
            let owned = below.clone();
            let find = move |file: &mut File| {
                file.ask(|connection, _| Ok(prune::find(connection, &owned, older_than)?))
            };
            let found = self.reader.ask(find).await?;
            if found.is_empty() {
                return Ok(0);
            }
            self.writer
                .ask(move |file| file.ask(|connection, _| Ok(prune::delete(connection, &below, &found)?)))
                .await
        })
    }

    fn enqueue(&self, records: Vec<OutboxRecord>, read: Option<Advance>, bound: usize) -> Answer<'_, bool> {
        self.writer.ask(move |file| {
            file.ask(|connection, _| outbox::enqueue(connection, &records, read.as_ref(), bound))
        })
    }

    fn position(&self, source: &str) -> Answer<'_, Option<SourcePosition>> {
        let source = source.to_owned();
        self.reader.ask(move |file| file.ask(|connection, _| Ok(outbox::position(connection, &source)?)))
    }

    fn outbox(&self, most: usize, bytes: usize, held: Vec<String>) -> Answer<'_, Vec<OutboxRow>> {
        self.reader
            .ask(move |file| file.ask(|connection, _| Ok(outbox::lowest(connection, most, bytes, &held)?)))
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        self.reader.ask(move |file| file.ask(|connection, _| Ok(outbox::remaining(connection)?)))
    }

    fn relayed(&self, rows: Vec<i64>) -> Answer<'_, ()> {
        self.writer.ask(move |file| file.ask(|connection, _| Ok(outbox::relayed(connection, &rows)?)))
    }

    fn refused(&self, row: i64, reason: String) -> Answer<'_, ()> {
        self.writer.ask(move |file| file.ask(|connection, _| Ok(outbox::refused(connection, row, &reason)?)))
    }

    fn lease(&self, holder: &str, term: Duration) -> Answer<'_, bool> {
        let holder = holder.to_owned();
        self.writer.ask(move |file| file.ask(|connection, _| Ok(outbox::lease(connection, &holder, term)?)))
    }

    fn pause_table(&self) -> Option<&dyn PauseTable> {
        Some(self)
    }
}

impl Operate for SqliteStore {
    fn operate(&self, operation: Operation, rows: Vec<RowId>) -> Answer<'_, Vec<Operated>> {
        self.writer
            .ask(move |file| file.ask(|connection, _| Ok(operate::operate(connection, operation, &rows)?)))
    }

    fn cancel(&self, group: &str, source: &str, id: &str) -> Answer<'_, Cancelled> {
        let (group, source, id) = (group.to_owned(), source.to_owned(), id.to_owned());
        self.writer.ask(move |file| {
            file.ask(|connection, names| Ok(operate::cancel(connection, names, &group, &source, &id)?))
        })
    }

    fn begin_redrive(&self, group: i64, filter: &str) -> Answer<'_, i64> {
        let filter = filter.to_owned();
        self.writer
            .ask(move |file| file.ask(|connection, _| operate::begin_redrive(connection, group, &filter)))
    }

    fn unfinished(&self, group: i64) -> Answer<'_, Option<String>> {
        self.reader.ask(move |file| file.ask(|connection, _| Ok(operate::unfinished(connection, group)?)))
    }

    fn end_redrive(&self, group: i64) -> Answer<'_, ()> {
        self.writer.ask(move |file| file.ask(|connection, _| Ok(operate::end_redrive(connection, group)?)))
    }

    fn replay(&self, group: i64, events: Arc<[Arrived]>) -> Answer<'_, Vec<bool>> {
        self.writer
            .ask(move |file| file.ask(|connection, names| replay::replay(connection, names, group, &events)))
    }

    fn apply(&self, effects: Arc<[Effects]>) -> Answer<'_, ()> {
        self.writer.ask(move |file| {
            let applied = file.transact(|connection, _, statements| {
                effects.iter().try_for_each(|effects| effects::write(connection, statements, effects))
            });
            applied.map_err(|failure| failure.into_store_error(Path::new("")))
        })
    }
}
