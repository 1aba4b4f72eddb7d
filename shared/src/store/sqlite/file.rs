//! The file, opened, and opened again after trouble.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::migrate::{VERSIONS, migrate, store_id, version};
use super::names::Names;
use super::trouble::{Failure, leaves_the_connection, unavailable};
use crate::store::{Schema, StoreError};

/// What one thread needs to work on the store.
#[derive(Debug)]
pub(super) struct File {
    place: Arc<Place>,
    role: Role,
    /// Known once it has been opened: another store in its place is not this one.
    id: Option<String>,
    open: Option<Open>,
}

/// Where the store is, and what goes with it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) schemas: Vec<Schema>,
    /// How long to wait for other processes' transactions.
    pub(super) patience: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// A transaction's surroundings.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) connection: Connection,
    pub(super) names: Names,
    /// The texts of the statements that handlers may execute.
    pub(super) statements: HashSet<&'static str>,
    stamp: Stamp,
}

impl File {
    pub(super) fn new(place: Arc<Place>, role: Role, id: Option<String>) -> Self {
        Self { place, role, id, open: None }
    }

    /// Opens it if need be, and gives the store's id.
    pub(super) fn id(&mut self) -> Result<String, StoreError> {
        self.ready()?;
        let missing = || StoreError::Unavailable("the store has no id".to_owned());
        self.id.clone().ok_or_else(missing)
    }

    /// One transaction; it is rolled back if `work` fails.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Names, &HashSet<&'static str>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let behaviour = match self.role {
            Role::Writer => TransactionBehavior::Immediate,
            Role::Reader => TransactionBehavior::Deferred,
        };
        let open = self.ready()?;
        let done = Transaction::new_unchecked(&open.connection, behaviour).map_err(Failure::from).and_then(
            |transaction| {
                let done = work(&transaction, &mut open.names, &open.statements)?;
                transaction.commit()?;
                Ok(done)
            },
        );
        done.map_err(|failure| self.recover(failure))
    }

    /// [`transact`](Self::transact), for what cannot be refused.
    pub(super) fn ask<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Names) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.transact(|connection, names, _| work(connection, names))
            .map_err(|failure| failure.into_store_error(&self.place.path))
    }

    #[cfg(test)]
    pub(super) fn connection(&mut self) -> &Connection {
        &self.ready().expect("opened").connection
    }

    fn recover(&mut self, failure: Failure) -> Failure {
        if let Some(open) = &mut self.open {
            open.names.clear();
        }
        match failure {
            Failure::Sqlite(error) => {
                if !leaves_the_connection(&error) {
                    self.open = None;
                }
                Failure::Store(unavailable(&self.place.path, &error))
            }
            other => other,
        }
    }

    /// The open file: the one at the path, and the same store as ever.
    fn ready(&mut self) -> Result<&mut Open, StoreError> {
        let path = &self.place.path;
        let open = match self.open.take() {
            Some(open) if Stamp::of(path).is_some_and(|stamp| stamp == open.stamp) => open,
            _ => self.open_file().map_err(|failure| failure.into_store_error(&self.place.path))?,
        };
        Ok(self.open.insert(open))
    }

    fn open_file(&mut self) -> Result<Open, Failure> {
        let path = &self.place.path;
        let connection = match &self.id {
            None if self.role == Role::Writer => create(path)?,
            _ => Connection::open_with_flags(path, flags())?,
        };
        connection.busy_timeout(self.place.patience)?;
        let id = match self.role {
            Role::Writer => self.prepare_writer(&connection)?,
            Role::Reader => prepare_reader(&connection, path)?,
        };
        if let Some(known) = self.id.as_ref().filter(|known| **known != id) {
            return Err(StoreError::Unusable(format!(
                "{} is another store by now: {id} and not {known}. Put the file back, or start again with this one",
                path.display()
            ))
            .into());
        }
        let statements: HashSet<_> = self
            .place
            .schemas
            .iter()
            .flat_map(|schema| schema.statements)
            .map(|statement| statement.sqlite)
            .collect();
        connection.set_prepared_statement_cache_capacity(64 + statements.len());
        let stamp = Stamp::of(path).ok_or_else(|| gone(path))?;
        self.id = Some(id);
        Ok(Open { connection, names: Names::default(), statements, stamp })
    }

    fn prepare_writer(&self, connection: &Connection) -> Result<String, Failure> {
        let path = &self.place.path;
        version(connection, path)?; // before anything is written: it may be no store
        if let Some(known) = &self.id {
            // Opened again: nothing of this store's may get into another.
            let id = store_id(connection)?;
            if id != *known {
                return Ok(id);
            }
        }
        let mode = patiently(self.place.patience, || {
            connection.query_row("pragma journal_mode = wal", [], |row| row.get::<_, String>(0))
        })?;
        if mode != "wal" {
            let reason =
                format!("{} lies where SQLite has no write-ahead log: choose a local disk", path.display());
            return Err(StoreError::Unusable(reason).into());
        }
        // The offset is committed after the transaction, so that a lost transaction would be a lost event: FULL.
        connection.execute_batch(
            "pragma synchronous = full;
             pragma foreign_keys = off;
             pragma temp_store = memory;
             pragma cache_size = -16384;
             pragma wal_autocheckpoint = 4000;
             pragma journal_size_limit = 67108864;",
        )?;
        migrate(connection, path, &self.place.schemas)
    }
}

fn prepare_reader(connection: &Connection, path: &Path) -> Result<String, Failure> {
    connection.execute_batch("pragma query_only = on; pragma cache_size = -8192;")?;
    match version(connection, path)? {
        0 => Err(gone(path).into()),
        old if old < VERSIONS.len() => Err(StoreError::Unusable(format!(
            "the store {} was made by an older version: start its service of this version once, which brings it up to date",
            path.display()
        ))
        .into()),
        _ => Ok(store_id(connection)?),
    }
}

fn gone(path: &Path) -> StoreError {
    let path = path.display();
    StoreError::Unavailable(format!("the store {path} is gone: put the file back, and it goes on"))
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn create(path: &Path) -> Result<Connection, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Unavailable(format!("the folder {} of the store: {error}", folder.display()))
        })?;
    }
    Ok(Connection::open_with_flags(path, flags() | OpenFlags::SQLITE_OPEN_CREATE)?)
}

/// Changing to the write-ahead log does not wait for other processes by itself.
fn patiently<T>(patience: Duration, mut ask: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < patience =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            answer => return answer,
        }
    }
}

/// Which file it is that a path leads to. A file that was deleted can be written for as long as it is open, and
/// nobody would ever read it.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, u64);

impl Stamp {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|file| Self(file.dev(), file.ino()))
    }

    /// Elsewhere a file that is open cannot be deleted.
    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Self> {
        path.exists().then_some(Self(0, 0))
    }
}
