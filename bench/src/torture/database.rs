//! Reading the store from outside, beside those who write it.

use std::path::PathBuf;

use anyhow::Context as _;
use rusqlite::OpenFlags;

use super::facts::{Effect, Row};

/// Where the ledger and the effects are.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite(PathBuf),
    /// The URL, password included: never printed.
    Postgres(Secret),
}

/// What `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What is still to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Events with effects.
    pub(crate) applied: u64,
    pub(crate) dead: u64,
    /// Events that wait in the ledger.
    pub(crate) waiting: u64,
    /// Records in the outbox.
    pub(crate) unpublished: u64,
}

const SQLITE_PROGRESS: &str = "select (select count(distinct number) from torture where run = ?1),
    (select count(*) from ledger join partitions on partitions.number = ledger.partition
        join groups on groups.number = group_number where status in (3, 4) and status = 4 and groups.name = ?2),
    (select count(*) from ledger join partitions on partitions.number = ledger.partition
        join groups on groups.number = group_number where status in (3, 4) and status = 3 and groups.name = ?2),
    (select count(*) from outbox)";

const POSTGRES_PROGRESS: &str = "select (select count(distinct number) from torture where run = $1),
    (select count(*) from event_store.events where consumer_group = $2 and status = 'dead'),
    (select count(*) from event_store.events where consumer_group = $2 and status = 'deferred'),
    (select count(*) from event_store.outbox)";

impl Database {
    /// Of the store's URL.
    ///
    /// # Errors
    /// Neither of the two.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        match url.split_once(':') {
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Secret(url.to_owned()))),
            _ => anyhow::bail!("--store: write sqlite:PATH or postgres://…"),
        }
    }

    /// How far the run is.
    ///
    /// # Errors
    /// The store cannot be read, or is not made yet.
    pub(crate) async fn progress(&self, run: &str) -> anyhow::Result<Progress> {
        let of = |counts: [i64; 4]| {
            let [applied, dead, waiting, unpublished] = counts.map(i64::cast_unsigned);
            Progress { applied, dead, waiting, unpublished }
        };
        Ok(match self {
            Self::Sqlite(path) => of(open(path)?.query_row(SQLITE_PROGRESS, [run, run], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
            })?),
            Self::Postgres(url) => {
                let row = connect(url).await?.query_one(POSTGRES_PROGRESS, &[&run, &run]).await?;
                of([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?])
            }
        })
    }

    /// The effects of the run, in the order in which they were applied.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn effects(&self, run: &str) -> anyhow::Result<Vec<Effect>> {
        let of = |number: i64, at: i64| Effect { number: number.cast_unsigned(), at };
        match self {
            Self::Sqlite(path) => {
                let file = open(path)?;
                let mut query =
                    file.prepare("select number, at from torture where run = ?1 order by sequence")?;
                let rows = query.query_map([run], |row| Ok(of(row.get(0)?, row.get(1)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            }
            Self::Postgres(url) => {
                let query = "select number, at from torture where run = $1 order by sequence";
                let rows = connect(url).await?.query(query, &[&run]).await?;
                rows.iter().map(|row| Ok(of(row.try_get(0)?, row.try_get(1)?))).collect()
            }
        }
    }

    /// The ledger's rows of the group.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn rows(&self, group: &str) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Sqlite(path) => {
                let file = open(path)?;
                let mut query = file.prepare("select id, status from events where consumer_group = ?1")?;
                let rows =
                    query.query_map([group], |row| Ok(Row { id: row.get(0)?, status: row.get(1)? }))?;
                Ok(rows.collect::<Result<_, _>>()?)
            }
            Self::Postgres(url) => {
                let query = "select id, status from event_store.events where consumer_group = $1";
                let rows = connect(url).await?.query(query, &[&group]).await?;
                rows.iter().map(|row| Ok(Row { id: row.try_get(0)?, status: row.try_get(1)? })).collect()
            }
        }
    }
}

fn open(path: &PathBuf) -> anyhow::Result<rusqlite::Connection> {
    let file = rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("cannot read {}", path.display()))?;
    file.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(file)
}

async fn connect(url: &Secret) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(&url.0, tokio_postgres::NoTls).await.context("cannot read PostgreSQL")?;
    // It ends with the client, and what goes wrong shows there.
    tokio::spawn(connection);
    Ok(client)
}
