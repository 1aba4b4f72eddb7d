//! The table in a file.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params};

use super::table::{Row, now};

const INSERT: &str = "
    insert into ledger (partition, offset, scope, id, hash, key, type, time, status, attempts, seen, settled, timestamp)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 2, 1, ?9, ?9, ?8)
    on conflict (scope, id) do nothing";

/// Open, with the settings of service-b.
pub(super) struct Sqlite {
    connection: Connection,
    /// Partition, scope and type.
    like: (i64, Value, Value),
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // Of cache and log as much as service-b has: what is compared is the work around the inserts.
        connection.execute_batch(
            "pragma journal_mode = wal;
             pragma synchronous = full;
             pragma temp_store = memory;
             pragma cache_size = -16384;
             pragma wal_autocheckpoint = 4000;
             pragma journal_size_limit = 67108864;",
        )?;
        let like = connection
            .query_row("select partition, scope, type from ledger order by row limit 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .context("service-b has inserted no row")?;
        Ok(Self { connection, like })
    }

    pub(super) fn insert(&mut self, rows: &[Row]) -> anyhow::Result<usize> {
        let (now, (partition, scope, ty)) = (now(), &self.like);
        self.connection.execute_batch("begin immediate")?;
        let mut insert = self.connection.prepare_cached(INSERT)?;
        let mut inserted = 0;
        for row in rows {
            let Row { id, key, offset, time } = row;
            inserted += insert.execute(params![
                partition,
                offset,
                scope,
                id.as_bytes(),
                row.hash(),
                key,
                ty,
                time,
                now
            ])?;
        }
        drop(insert);
        self.connection.execute_batch("commit")?;
        Ok(inserted)
    }

    pub(super) fn count(&self) -> anyhow::Result<u64> {
        let rows: i64 = self.connection.query_row("select count(*) from ledger", [], |row| row.get(0))?;
        Ok(rows.cast_unsigned())
    }

    /// Nothing is kept from a crash, and the whole index in memory.
    pub(super) fn begin_filling(&self) -> anyhow::Result<()> {
        let fast = "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1000000;";
        Ok(self.connection.execute_batch(fast)?)
    }

    /// On the disk before anything is measured.
    pub(super) fn end_filling(&self) -> anyhow::Result<()> {
        let safe = "pragma cache_size = -16384; pragma synchronous = full; pragma journal_mode = wal;
            begin immediate; update meta set id = id; commit; pragma wal_checkpoint(truncate);";
        Ok(self.connection.execute_batch(safe)?)
    }
}
