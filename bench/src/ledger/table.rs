//! The ledger's table, as bare code sees it: it inserts rows that look like one that service-b has made.

use shared::store::StoreUrl;
use uuid::Uuid;

use super::ids::Ids;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use crate::load::KEYS;

/// What differs from row to row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) key: Vec<u8>,
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    pub(super) time: i64,
}

impl Row {
    /// The row of a backlog's event of that number.
    pub(super) fn numbered(number: u64, id: Uuid, time: i64) -> Self {
        Self { id, key: (number % KEYS).to_string().into_bytes(), offset: number as i64, time }
    }

    /// As wide as a real one, and as different from the others.
    pub(super) fn hash(&self) -> i64 {
        self.id.as_u64_pair().1 as i64
    }
}

/// In either store.
pub(super) enum Table {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Table {
    /// Of a store into which service-b has inserted a row.
    ///
    /// # Errors
    /// There is no store, or no row.
    pub(super) fn open(url: &StoreUrl) -> anyhow::Result<Self> {
        Ok(match url {
            StoreUrl::Sqlite(path) => Self::Sqlite(Sqlite::open(path)?),
            StoreUrl::Postgres(url) => Self::Postgres(Postgres::open(url)?),
        })
    }

    /// Inserts the rows in one transaction.
    ///
    /// # Errors
    /// The store fails, or has one of them.
    pub(super) fn insert(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        let inserted = match self {
            Self::Sqlite(table) => table.insert(rows)?,
            Self::Postgres(table) => table.insert(rows)?,
        };
        anyhow::ensure!(inserted == rows.len(), "of {} rows {inserted} were new", rows.len());
        Ok(())
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn count(&mut self) -> anyhow::Result<u64> {
        match self {
            Self::Sqlite(table) => table.count(),
            Self::Postgres(table) => table.count(),
        }
    }

    /// Adds so many rows, in the order of such ids. They are there for good when it ends, and not before.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn fill(&mut self, ids: Ids, rows: u64) -> anyhow::Result<()> {
        const BATCH: u64 = 20_000;
        match self {
            Self::Sqlite(table) => table.begin_filling()?,
            Self::Postgres(table) => table.begin_filling()?,
        }
        let mut filled = 0;
        while filled < rows {
            let end = rows.min(filled + BATCH);
            let row = |number| Row::numbered(number, ids.make(), now());
            self.insert(&(filled..end).map(row).collect::<Vec<_>>())?;
            filled = end;
        }
        match self {
            Self::Sqlite(table) => table.end_filling(),
            Self::Postgres(table) => table.end_filling(),
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
