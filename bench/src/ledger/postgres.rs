//! The table on a server, in a database of the run's own.

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};

use super::table::Row;

/// As service-b's, each column an array. The number is taken before: it follows the order of the batch.
const INSERT: &str = "
    insert into event_store.ledger (number, partition, epoch, \"offset\", hash, attempts, time, group_number, status,
        source, id, key, type, timestamp)
    select n.number, $1::bigint, 1, n.at, n.hash, 1, n.time, $2::integer, 2, $3::bytea, n.id, n.key, $4::bytea, n.time
    from unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[])
        as n (number, at, hash, time, id, key)
    on conflict do nothing";

/// Connected to the database.
pub(super) struct Postgres {
    runtime: Runtime,
    client: Client,
    insert: Statement,
    like: Like,
    /// Of the row that was inserted last.
    number: i64,
}

/// What all rows have.
struct Like {
    partition: i64,
    group: i32,
    source: Vec<u8>,
    ty: Vec<u8>,
}

impl Postgres {
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, insert, like, number) = runtime.block_on(async {
            let client = connect(url).await?;
            let insert = client.prepare(INSERT).await?;
            let first = "select partition, group_number, source, type from event_store.ledger order by number limit 1";
            let row = client.query_opt(first, &[]).await?.context("service-b has inserted no row")?;
            let like = Like {
                partition: row.try_get(0)?,
                group: row.try_get(1)?,
                source: row.try_get(2)?,
                ty: row.try_get(3)?,
            };
            let last = client.query_one("select max(number) from event_store.ledger", &[]).await?;
            anyhow::Ok((client, insert, like, last.try_get(0)?))
        })?;
        Ok(Self { runtime, client, insert, like, number })
    }

    pub(super) fn insert(&mut self, rows: &[Row]) -> anyhow::Result<usize> {
        let numbers: Vec<i64> = (self.number + 1..).take(rows.len()).collect();
        self.number += rows.len() as i64;
        let offsets: Vec<i64> = rows.iter().map(|row| row.offset).collect();
        let hashes: Vec<i64> = rows.iter().map(Row::hash).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
        let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
        let ids: Vec<&[u8]> = ids.iter().map(String::as_bytes).collect();
        let keys: Vec<&[u8]> = rows.iter().map(|row| row.key.as_slice()).collect();
        let Like { partition, group, source, ty } = &self.like;
        let values: [&(dyn ToSql + Sync); 10] =
            [partition, group, source, ty, &numbers, &offsets, &hashes, &times, &ids, &keys];
        Ok(self.runtime.block_on(self.client.execute(&self.insert, &values))? as usize)
    }

    pub(super) fn count(&self) -> anyhow::Result<u64> {
        let row =
            self.runtime.block_on(self.client.query_one("select count(*) from event_store.ledger", &[]))?;
        Ok(row.try_get::<_, i64>(0)?.cast_unsigned())
    }

    pub(super) fn begin_filling(&self) -> anyhow::Result<()> {
        self.execute("set synchronous_commit = off")
    }

    /// The server's own work on so many new rows is done before anything is measured.
    pub(super) fn end_filling(&self) -> anyhow::Result<()> {
        self.execute("select setval('event_store.ledger_number', max(number)) from event_store.ledger")?;
        self.execute("vacuum (analyze) event_store.ledger")?;
        self.execute("checkpoint")
    }

    fn execute(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.runtime.block_on(self.client.batch_execute(text))?)
    }
}

/// # Errors
/// No server, or it refuses.
pub(super) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("--postgres")?;
    tokio::spawn(connection);
    Ok(client)
}
