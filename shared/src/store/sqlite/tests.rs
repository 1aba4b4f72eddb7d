//! The suite over SQLite, and what only a file can do.

mod faults;
mod many;
mod query;
mod run;
mod speed;

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

use super::*;
use crate::store::StoreUrl;
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

    fn operator(&self) -> BoxFuture<'_, Arc<dyn Operate>> {
        async {
            let store = SqliteStore::open(&self.path(), &[]).await.expect("a store");
            Arc::new(store) as Arc<dyn Operate>
        }
        .boxed()
    }

    fn sql<'a>(&'a self, text: &'a str) -> BoxFuture<'a, i64> {
        let connection = self.beside();
        let first = connection.query_row(text, [], |row| row.get(0)).optional().expect(text);
        std::future::ready(first.unwrap_or(0)).boxed()
    }

    fn url(&self) -> StoreUrl {
        StoreUrl::Sqlite(self.path())
    }

    fn seen_at(&self, row: i64, millis: i64) -> BoxFuture<'_, i64> {
        async move { self.sql(&format!("update ledger set seen = {millis} where row = {row} returning 1")).await }
            .boxed()
    }

    fn operated(&self, row: i64, what: i64) -> BoxFuture<'_, i64> {
        async move {
            self.sql(&format!(
                "insert into operations (partition, row, at, what, status, attempts, reason)
                 values (1, {row}, 5000, {what}, 4, 3, 'before') returning 1"
            ))
            .await
        }
        .boxed()
    }
}

suite::scenarios!(in_file);

/// Catches: a change of the schema that files made before do not get.
#[tokio::test]
async fn a_file_of_the_first_version_goes_on() {
    let file = in_file().await;
    std::fs::create_dir_all(file.path().parent().expect("a folder")).expect("made");
    let old = file.beside();
    old.execute_batch(include_str!("schema/1.sql")).expect("the first version");
    old.execute_batch(
        "pragma application_id = 0x65767374; pragma user_version = 1; insert into meta (id) values ('old');
         insert into ledger (partition, offset, scope, id, hash, status, attempts, seen, wait, due)
             values (1, 7, 1, 'x', 0, 3, 0, 0, 3, 0)",
    )
    .expect("a row");
    drop(old);
    let member = suite::Member::join(&file).await;
    assert_eq!(member.store.id(), "old");
    suite::settled(&member.settle_one(suite::event("1").handled(member.owner)).await);
    assert_eq!(file.sql("select count(*) from ledger where scheduled = 1 and id = 'x'").await, 1);
    assert_eq!(file.sql("select count(*) from ledger where timestamp is not null").await, 1);
}
