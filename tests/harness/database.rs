//! The store as any tool sees it: one number at a time.

use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// The first column of the first row, as a number.
pub fn number(store: &str, sql: &str) -> i64 {
    if let Some(file) = store.strip_prefix("sqlite:") {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        return connection.query_row(sql, [], |row| row.get(0)).unwrap();
    }
    // The view of the events is in a schema of its own there.
    let options = "options=-csearch_path%3Devent_store,public";
    psql(&format!("{store}?{options}"), sql).parse().unwrap()
}

/// Changes what is in the store, beside those who work with it.
pub fn change(store: &str, sql: &str) {
    if let Some(file) = store.strip_prefix("sqlite:") {
        let connection = Connection::open(file).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        return connection.execute_batch(sql).unwrap();
    }
    psql(&format!("{store}?options=-csearch_path%3Devent_store,public"), sql);
}

/// Whether a file can be written now. A server ends a transaction in which nothing happens.
pub fn is_free(store: &str) -> bool {
    let Some(file) = store.strip_prefix("sqlite:") else { return true };
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_millis(200)).unwrap();
    connection.execute_batch("begin immediate; rollback").is_ok()
}

/// A database of that server for one test alone: one relay serves a whole store, and each test has a broker of its own.
pub fn make(server: &str, name: &str) {
    psql(server, &format!("create database {name}"));
}

/// Removes it, whoever may still be connected.
pub fn remove(server: &str, name: &str) {
    psql(server, &format!("drop database {name} with (force)"));
}

fn psql(url: &str, sql: &str) -> String {
    let output = Command::new("psql").args([url, "-AtqXc", sql]).output();
    let output = output.expect("psql, for a store in PostgreSQL");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
