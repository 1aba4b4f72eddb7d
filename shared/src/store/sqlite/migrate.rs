//! The store's own schema, and what handlers bring.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::trouble::{Failure, is_trouble};
use crate::store::{Schema, Statement, StoreError};

/// One text a version: what is here is never changed, only added to.
pub(super) const VERSIONS: [&str; 3] =
    [include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];
/// Says that a file is a store, and not some other program's database.
const APPLICATION: i64 = 0x6576_7374;

/// Brings the file up to this version, executes what handlers bring, and gives the store's id.
pub(super) fn migrate(connection: &Connection, path: &Path, schemas: &[Schema]) -> Result<String, Failure> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let version = version(&transaction, path)?;
    for text in &VERSIONS[version..] {
        transaction.execute_batch(text)?;
    }
    if version == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.execute("insert into meta (id) values (?1)", [Uuid::now_v7().to_string()])?;
    }
    if version < VERSIONS.len() {
        transaction.pragma_update(None, "user_version", VERSIONS.len() as i64)?;
    }
    for schema in schemas {
        bring(&transaction, schema)?;
    }
    let id = store_id(&transaction)?;
    transaction.commit()?;
    for statement in schemas.iter().flat_map(|schema| schema.statements) {
        check(connection, statement)?;
    }
    Ok(id)
}

/// The store's id.
pub(super) fn store_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("select id from meta", [], |row| row.get(0))
}

/// How many of [`VERSIONS`] the file has; 0 for an empty one.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<usize, Failure> {
    // Counted first: a store that another process makes at this moment gets tables and number at once, so that whoever
    // sees its tables sees its number after that.
    let tables: i64 = connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (found, application, known) =
        (number("user_version")?, number("application_id")?, VERSIONS.len() as i64);
    let path = path.display();
    if tables > 0 && application != APPLICATION {
        return Err(StoreError::Unusable(format!(
            "{path} is a database of something else: name a file for the store alone"
        ))
        .into());
    }
    if found > known {
        return Err(StoreError::Unusable(format!(
            "the store {path} was made by a newer version: its schema has number {found}, this version knows {known}. \
             Start the newer version, or name another file"
        ))
        .into());
    }
    Ok(found as usize)
}

fn bring(transaction: &Transaction<'_>, schema: &Schema) -> Result<(), Failure> {
    for migration in schema.migrations {
        let name = migration.name;
        let there = transaction
            .query_row("select 1 from migrations where name = ?1", [name], |_| Ok(()))
            .optional()?;
        if there.is_some() {
            continue;
        }
        transaction.execute_batch(migration.sqlite).map_err(|error| blame("migration", name, error))?;
        if transaction.is_autocommit() {
            let reason = format!("the migration {name:?} ends the transaction that it is executed in");
            return Err(StoreError::Unusable(reason).into());
        }
        transaction.execute("insert into migrations (name) values (?1)", [name])?;
    }
    Ok(())
}

/// A handler's statement: it parses, is one, and changes data. What begins or ends transactions counts as changing none.
fn check(connection: &Connection, statement: &Statement) -> Result<(), Failure> {
    let name = statement.name;
    let prepared = connection.prepare(statement.sqlite).map_err(|error| blame("statement", name, error))?;
    if prepared.readonly() {
        return Err(StoreError::Unusable(format!("the statement {name:?} changes no data")).into());
    }
    Ok(())
}

fn blame(what: &str, name: &str, error: rusqlite::Error) -> Failure {
    if is_trouble(&error) {
        return error.into();
    }
    StoreError::Unusable(format!("the {what} {name:?}: {error}")).into()
}
