//! Questions to files that are not there, are another's, or are being written.

use super::*;
use crate::desk::{Desk, Filter};
use crate::store::suite::{Member, event, settled};

async fn refused(path: PathBuf) -> String {
    Desk::open(&StoreUrl::Sqlite(path), "service-b").await.expect_err("no desk").to_string()
}

/// Catches: a typing error that makes a store, and its folder.
#[tokio::test]
async fn a_store_that_is_not_there_is_not_made() {
    let file = in_file().await;
    let error = refused(file.path()).await;
    assert!(error.contains("there is no store") && error.contains("--store"), "{error}");
    assert!(!file.0.path().join("made").exists());
}

#[tokio::test]
async fn what_is_no_store_is_said_to_be_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one").expect("written");
    assert!(refused(path.clone()).await.contains("other.db"));
    std::fs::remove_file(&path).expect("removed");
    Connection::open(&path).expect("opened").execute_batch("create table t (x)").expect("made");
    assert!(refused(path).await.contains("something else"));
    assert!(refused(folder.path().to_owned()).await.contains("cannot be opened"));
}

/// Catches: an older store that is brought up to date by who only asks, under a service that is still the old one.
#[tokio::test]
async fn an_older_store_is_left_as_it_is() {
    let file = in_file().await;
    std::fs::create_dir_all(file.path().parent().expect("a folder")).expect("made");
    let old = file.beside();
    old.execute_batch(include_str!("../schema/1.sql")).expect("the first version");
    old.execute_batch(
        "pragma application_id = 0x65767374; pragma user_version = 1; insert into meta (id) values ('x')",
    )
    .expect("a store");
    let error = refused(file.path()).await;
    assert!(error.contains("older version: start its service"), "{error}");
    assert_eq!(file.sql("select user_version from pragma_user_version").await, 1);
}

/// Catches: a question that waits for who writes, or that keeps who writes waiting.
#[tokio::test]
async fn a_question_waits_for_nobody_who_writes() {
    let file = in_file().await;
    let member = Member::join(&file).await;
    settled(&member.settle_one(event("1").retry(member.owner)).await);
    let desk = Desk::open(&file.url(), "service-b").await.expect("a desk");
    let writing = file.beside();
    writing.execute_batch("begin immediate; update ledger set attempts = 9").expect("begun");
    let rows = desk.list(&Filter::default(), None, 9).await.expect("listed").rows;
    assert_eq!((rows.len(), rows[0].attempts), (1, 1));
    writing.execute_batch("commit").expect("committed");
    assert_eq!(desk.list(&Filter::default(), None, 9).await.expect("listed").rows[0].attempts, 9);
}

/// Catches: a question that changes something.
#[tokio::test]
async fn nothing_is_written() {
    let file = in_file().await;
    let member = Member::join(&file).await;
    settled(&member.settle_one(event("1").retry(member.owner)).await);
    drop(member);
    file.beside().execute_batch("pragma wal_checkpoint(truncate)").expect("all in the file");
    let before = std::fs::read(file.path()).expect("read");
    let desk = Desk::open(&file.url(), "service-b").await.expect("a desk");
    assert_eq!(desk.find("1", None).await.expect("asked").len(), 1);
    assert_eq!(desk.reasons(&Filter::default()).await.expect("counted").len(), 1);
    drop(desk);
    assert!(before == std::fs::read(file.path()).expect("read"));
}
