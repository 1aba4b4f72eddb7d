//! Opening: who may, who may not, and what is said.

use futures_util::future::join_all;

use super::super::Postgres;
use super::bench::bench;
use crate::store::suite::{Member, SCHEMA, event, outgoing, settled};
use crate::store::{Migration, Schema, Statement, Store, StoreError};

async fn refusal(url: &str, schemas: &[Schema]) -> StoreError {
    Postgres::open(url, schemas).await.expect_err("not to be opened")
}

#[tokio::test]
async fn where_no_server_is_the_error_names_the_place() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let error = refusal(&format!("postgres://me:s3cret@127.0.0.1:{port}/shop"), &[]).await;
    let said = error.to_string();
    assert!(matches!(error, StoreError::Unavailable(_)), "{said}");
    for part in ["127.0.0.1", &port.to_string(), "database shop", "is the server running"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let begun = std::time::Instant::now();
    let error = refusal(&format!("postgres://me@127.0.0.1:{port}/shop"), &[]).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn members_that_start_at_once_make_one_store() {
    let database = bench().await;
    let stores = join_all((0..8).map(|_| database.store())).await;
    assert!(stores.iter().all(|store| store.id() == stores[0].id()));
}

/// Catches: a change of the schema that stores made before do not get.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_store_of_the_first_version_goes_on() {
    let database = bench().await;
    let client = database.client().await;
    client.batch_execute("create schema event_store").await.expect("a schema");
    client.batch_execute(include_str!("../schema/1.sql")).await.expect("the first version");
    let version = "create table event_store.version (version integer not null);
        insert into event_store.version values (1);
        insert into event_store.ledger (number, partition, epoch, \"offset\", hash, attempts, group_number, status, wait, source, id)
            values (nextval('event_store.ledger_number'), 1, 1, 7, 0, 0, 1, 3, 3, '', 'x')";
    client.batch_execute(version).await.expect("a row");
    let member = Member::join(&database).await;
    settled(&member.settle_one(event("1").handled(member.owner)).await);
    let scheduled = "select count(*) from ledger where scheduled and id = 'x'";
    assert_eq!(crate::store::suite::Bench::sql(&database, scheduled).await, 1);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_newer_schema_is_refused() {
    let database = bench().await;
    drop(database.store().await);
    database.client().await.batch_execute("insert into version values (99)").await.expect("changed");
    let error = refusal(&database.url, &[]).await;
    assert!(
        matches!(&error, StoreError::Unusable(said) if said.contains("99") && said.contains("newer")),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_database_that_is_not_there_is_named() {
    let database = bench().await;
    let error = refusal(&format!("{}_too", database.url), &[]).await;
    assert!(matches!(&error, StoreError::Unusable(said) if said.contains("does not exist")), "{error}");
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_typo_does_not_start() {
    static TYPO: Statement =
        Statement { name: "typo", sqlite: "", postgres: "insert into nowhere values ($1)" };
    static TYPOS: [&Statement; 1] = [&TYPO];
    static HALF: Migration =
        Migration { name: "half", sqlite: "", postgres: "create table a (); create tabel b ()" };
    let database = bench().await;
    let statement = Schema { migrations: &[], statements: &TYPOS };
    let error = refusal(&database.url, &[statement]).await;
    assert!(
        matches!(&error, StoreError::Unusable(said) if said.contains("typo") && said.contains("nowhere")),
        "{error}"
    );
    let migration = Schema { migrations: std::slice::from_ref(&HALF), statements: &[] };
    let error = refusal(&database.url, &[migration]).await;
    assert!(
        matches!(&error, StoreError::Unusable(said) if said.contains("half") && said.contains("tabel")),
        "{error}"
    );
    // Nothing of it is there.
    Postgres::open(&database.url, &[SCHEMA]).await.expect("opened");
    let tables = "select count(*) from pg_tables where tablename = 'a'";
    assert_eq!(crate::store::suite::Bench::sql(&database, tables).await, 0);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn another_store_in_its_place_is_refused() {
    let database = bench().await;
    let store = database.store().await;
    let client = database.client().await;
    client.batch_execute("update store set id = gen_random_uuid()").await.expect("changed");
    // The connection that reads is made now.
    let error = store.position("file").await.expect_err("another store");
    assert!(matches!(&error, StoreError::Unusable(said) if said.contains("another store")), "{error}");
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn people_can_read_the_view() {
    let database = bench().await;
    let member = Member::join(&database).await;
    let odd = event("a\0b").at(2).retry(member.owner);
    member
        .settle([
            event("ünï").at(1).handled(member.owner),
            odd,
            event("3").at(3).dead(member.owner, outgoing("d", "3")),
        ])
        .await;
    let client = database.client().await;
    let rows = client
        .query("select id, status, wait, reason from events order by \"offset\"", &[])
        .await
        .expect("read");
    let texts = |at: usize| {
        (0..4).map(|field| rows[at].get::<_, Option<String>>(field).unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(texts(0), ["ünï", "handled", "", ""]);
    assert_eq!(texts(1), ["a\\000b", "deferred", "retry", "did not work"]);
    assert_eq!(texts(2), ["3", "dead", "", "no use"]);
}
