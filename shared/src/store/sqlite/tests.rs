//! The suite over SQLite, and what only a file can do.

mod faults;
mod speed;

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

use super::*;
use crate::store::suite::{self, Bench};

/// A file in a folder of its own.
pub(super) struct InFile(TempDir);

pub(super) async fn in_file() -> InFile {
    InFile(tempfile::tempdir().expect("a folder"))
}

impl InFile {
    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("made/with/it/store.db")
    }

    pub(super) fn beside(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("opened");
        connection.busy_timeout(PATIENCE).expect("a timeout");
        connection
    }

    pub(super) async fn store(&self) -> SqliteStore {
        let patience = Duration::from_millis(200);
        SqliteStore::open_with(&self.path(), &[suite::SCHEMA], patience).await.expect("a store")
    }
}

impl Bench for InFile {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async {
            let store = SqliteStore::open(&self.path(), &[suite::SCHEMA]).await.expect("a store");
            Arc::new(store) as Arc<dyn Store>
        }
        .boxed()
    }

    fn sql<'a>(&'a self, text: &'a str) -> BoxFuture<'a, i64> {
        let connection = self.beside();
        let first = connection.query_row(text, [], |row| row.get(0)).optional().expect(text);
        std::future::ready(first.unwrap_or(0)).boxed()
    }
}

suite::scenarios!(in_file);
