//! Brings the store's tables, and the handlers', to the version of this program.

use std::cmp::Ordering;

use super::address::Address;
use super::error::{Trouble, in_place};
use super::session::{Session, field};
use crate::store::{Migration, StoreError};

/// Each once, in order: what is published here is never changed, only added to.
const MIGRATIONS: &[&str] =
    &[include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// "store" in ASCII: several members that start at once migrate one after the other.
const LOCK: &str = "select pg_advisory_xact_lock(495874306661)";

/// Executes what has not been executed yet, in one transaction, and answers with the store's id.
pub(super) async fn migrate(
    session: &Session,
    address: &Address,
    handlers: &[&'static Migration],
) -> Result<String, StoreError> {
    session.batch("begin isolation level read committed read write").await?;
    session.query(LOCK, &[]).await?;
    own(session, address).await?;
    for migration in handlers {
        let name = &migration.name;
        let new = "insert into event_store.handler_migration (name) values ($1) on conflict do nothing";
        if session.execute(new, &[name]).await? == 1 {
            session
                .batch(migration.postgres)
                .await
                .map_err(|error| in_place(error, &format!("{}: migration {name:?}", address.place)))?;
        }
    }
    session.batch("commit").await?;
    id(session, address).await
}

async fn own(session: &Session, address: &Address) -> Result<(), StoreError> {
    let place = &address.place;
    // Asked for before anything is made: who may only use the tables may not even say "if not exists".
    if !is_there(session, "select to_regnamespace('event_store') is not null").await? {
        let what = format!(
            "{place}: the schema event_store cannot be made: let an administrator execute \
             `create schema event_store authorization` for this user"
        );
        session.batch("create schema event_store").await.map_err(|error| in_place(error, &what))?;
    }
    if !is_there(session, "select to_regclass('event_store.version') is not null").await? {
        session.batch("create table event_store.version (version integer not null)").await?;
    }
    let found = session.query("select coalesce(max(version), 0) from event_store.version", &[]).await?;
    let version: i32 = found.first().map_or(Ok(0), |row| field(row, 0))?;
    let Some(left) = MIGRATIONS.get(version as usize..) else {
        return Err(newer(place, version));
    };
    for (migration, version) in left.iter().zip(version + 1..) {
        let what = format!("{place}: the store's schema, version {version}");
        session.batch(migration).await.map_err(|error| in_place(error, &what))?;
        session.execute("insert into event_store.version (version) values ($1)", &[&version]).await?;
    }
    Ok(())
}

async fn is_there(session: &Session, question: &'static str) -> Result<bool, Trouble> {
    session.query(question, &[]).await?.first().map_or(Ok(false), |row| field(row, 0))
}

/// The id of a store that is there and that has the tables of this version. Nothing is made.
pub(super) async fn check(session: &Session, address: &Address) -> Result<String, StoreError> {
    let place = &address.place;
    if !is_there(session, "select to_regclass('event_store.version') is not null").await? {
        return Err(StoreError::Unusable(format!(
            "{place}: there is no store: name the database that the service works with, postgres://… (service-b: --store, service-a: --outbox)"
        )));
    }
    let found = session.query("select coalesce(max(version), 0) from event_store.version", &[]).await;
    let found = found.map_err(|error| in_place(error, place))?;
    let version: i32 = found.first().map_or(Ok(0), |row| field(row, 0))?;
    match (version as usize).cmp(&MIGRATIONS.len()) {
        Ordering::Less => Err(StoreError::Unusable(format!(
            "{place}: the store was made by an older version: start its service of this version once, which brings it up to date"
        ))),
        Ordering::Equal => id(session, address).await,
        Ordering::Greater => Err(newer(place, version)),
    }
}

fn newer(place: &str, version: i32) -> StoreError {
    StoreError::Unusable(format!(
        "{place}: the store's schema has version {version}, this program knows {} at most: start a newer program",
        MIGRATIONS.len()
    ))
}

/// The id of the store that is there.
pub(super) async fn id(session: &Session, address: &Address) -> Result<String, StoreError> {
    let place = &address.place;
    let found = session.query("select id from event_store.store", &[]).await;
    let found = found.map_err(|error| in_place(error, &format!("{place}: there is no store any more")))?;
    match found.first() {
        Some(row) => Ok(field(row, 0)?),
        None => Err(StoreError::Unusable(format!("{place}: the store has lost its id"))),
    }
}
