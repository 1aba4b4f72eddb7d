//! The store as any tool sees it: one number at a time.

use std::process::Command;

use rusqlite::{Connection, OpenFlags};

/// The first column of the first row, as a number.
pub fn number(store: &str, sql: &str) -> i64 {
    match store.strip_prefix("sqlite:") {
        Some(file) => {
            let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        }
        None => {
            // The view of the events is in a schema of its own there.
            let options = "options=-csearch_path%3Devent_store,public";
            let output = Command::new("psql")
                .args([&format!("{store}?{options}"), "-AtqXc", sql])
                .output()
                .expect("psql for a store in PostgreSQL");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
        }
    }
}
