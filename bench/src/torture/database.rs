//! The store as any tool sees it.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};
use shared::store::StoreUrl;

/// The members' store, read only.
#[derive(Debug)]
pub(crate) struct Database {
    store: StoreUrl,
    group: String,
}

impl Database {
    pub(crate) fn new(store: &StoreUrl, group: &str) -> Self {
        Self { store: store.clone(), group: group.to_owned() }
    }

    /// How many events are settled for good; 0 while nobody can say.
    pub(crate) fn settled(&self) -> u64 {
        let sql =
            "select count(*) from events where consumer_group = $group and status in ('handled', 'dead')";
        let rows = self.rows(sql).unwrap_or_default();
        rows.first().and_then(|row| row.first()?.parse().ok()).unwrap_or(0)
    }

    /// How many rows have which status.
    pub(crate) fn statuses(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let rows =
            self.rows("select status, count(*) from events where consumer_group = $group group by status")?;
        rows.iter().map(|row| Ok((row[0].clone(), row[1].parse()?))).collect()
    }

    /// The numbers that were applied, in that order.
    pub(crate) fn applied(&self) -> anyhow::Result<Vec<u64>> {
        let rows =
            self.rows("select number from torture_applied where consumer_group = $group order by place")?;
        rows.iter().map(|row| Ok(row[0].parse()?)).collect()
    }

    /// The rows of a query, each column as text.
    fn rows(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let sql = sql.replace("$group", &format!("'{}'", self.group));
        match &self.store {
            StoreUrl::Sqlite(file) => {
                let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
                connection.busy_timeout(Duration::from_secs(5))?;
                let mut statement = connection.prepare(&sql)?;
                let columns = statement.column_count();
                let text = |row: &rusqlite::Row<'_>, at| {
                    row.get::<_, rusqlite::types::Value>(at).map(|value| match value {
                        rusqlite::types::Value::Integer(number) => number.to_string(),
                        rusqlite::types::Value::Text(text) => text,
                        other => format!("{other:?}"),
                    })
                };
                let rows = statement.query_map([], |row| (0..columns).map(|at| text(row, at)).collect())?;
                Ok(rows.collect::<Result<_, _>>()?)
            }
            StoreUrl::Postgres(url) => {
                let joint = if url.contains('?') { '&' } else { '?' };
                let url = format!("{url}{joint}options=-csearch_path%3Devent_store,public");
                let output = Command::new("psql").args([&url, "-AtqXc", &sql]).output().context("psql")?;
                anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let text = String::from_utf8(output.stdout)?;
                Ok(text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
            }
        }
    }
}
