//! Questions to databases without a store, or with another version's.

use super::bench::{Database, bench};
use crate::desk::Desk;
use crate::store::suite::Bench;

async fn refused(database: &Database) -> String {
    Desk::open(&database.url(), "service-b").await.expect_err("no desk").to_string()
}

/// Catches: a typing error that makes a store, an old one brought up to date by who only asks.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_store_that_is_not_there_is_not_made() {
    let database = bench().await;
    let error = refused(&database).await;
    assert!(error.contains("there is no store") && error.contains("--store"), "{error}");
    let made = "select count(*) from pg_namespace where nspname = 'event_store'";
    assert_eq!(database.sql(made).await, 0);

    drop(database.store().await);
    database.client().await.batch_execute("delete from version where version > 1").await.expect("made old");
    let error = refused(&database).await;
    assert!(error.contains("older version: start its service"), "{error}");
    database.client().await.batch_execute("insert into version values (999)").await.expect("made new");
    let error = refused(&database).await;
    assert!(error.contains("start a newer program"), "{error}");
}
