//! Records still to be published, how far event sources have been read, and who relays.

use std::time::Duration;

use tokio_postgres::Row;

use super::error::Trouble;
use super::parameter::{Bytes, Column};
use super::session::{Session, field, string};
use super::{millis, runs};
use crate::store::{Advance, OutboxRecord, OutboxRow, Remaining, SourcePosition};

/// Adds records at the end, in order.
pub(super) async fn insert(session: &Session, records: &[&OutboxRecord]) -> Result<(), Trouble> {
    let added = "insert into event_store.outbox (topic, packed) \
        select topic, packed from unnest($1::text[], $2::bytea[]) as n (topic, packed)";
    for records in runs(records, |record| record.packed.len()) {
        let topics = Column(records.iter().map(|record| record.topic.as_str()).collect());
        let packed = Column(records.iter().map(|record| record.packed.as_slice()).collect());
        session.execute(added, &[&topics, &packed]).await?;
    }
    Ok(())
}

/// Adds records and the position, unless there are that many already, or the source stands elsewhere.
pub(super) async fn enqueue(
    session: &Session,
    records: &[OutboxRecord],
    read: Option<&Advance>,
    bound: usize,
) -> Result<bool, Trouble> {
    let bound = i64::try_from(bound).unwrap_or(i64::MAX);
    let full = "select count(*) >= $1 from (select from event_store.outbox limit $1) as rows";
    let full = session.query(full, &[&bound]).await?;
    if full.first().map_or(Ok(false), |row| field(row, 0))? {
        return Ok(false);
    }
    if let Some(read) = read {
        advance(session, read).await?;
    }
    insert(session, &records.iter().collect::<Vec<_>>()).await?;
    Ok(true)
}

/// Moves the source's position from where it was read from. Its row is locked: who else reads the source waits, and finds
/// that it has moved.
async fn advance(session: &Session, read: &Advance) -> Result<(), Trouble> {
    let Advance { from, to: SourcePosition { source, at, number } } = read;
    let source = Bytes(source.as_bytes());
    let made =
        "insert into event_store.position (source, at, number) values ($1, 0, 0) on conflict do nothing";
    session.execute(made, &[&source]).await?;
    let locked = "select at from event_store.position \
        where event_store.indexed(source) = event_store.indexed($1) for update";
    let stands: i64 = session.query(locked, &[&source]).await?.first().map_or(Ok(0), |row| field(row, 0))?;
    if stands != *from {
        return Err(read.conflict(stands).into());
    }
    let moved = "update event_store.position set at = $2, number = $3 \
        where event_store.indexed(source) = event_store.indexed($1)";
    session.execute(moved, &[&source, at, number]).await?;
    Ok(())
}

pub(super) async fn position(session: &Session, source: &str) -> Result<Option<SourcePosition>, Trouble> {
    let position = "select at, number from event_store.position \
        where event_store.indexed(source) = event_store.indexed($1)";
    let rows = session.query(position, &[&Bytes(source.as_bytes())]).await?;
    let read =
        |row| Ok(SourcePosition { source: source.to_owned(), at: field(row, 0)?, number: field(row, 1)? });
    rows.first().map(read).transpose()
}

/// From the lowest row, always: one with a lower number may have been committed since.
pub(super) async fn lowest(
    session: &Session,
    most: usize,
    bytes: usize,
    held: &[String],
) -> Result<Vec<OutboxRow>, Trouble> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let lowest = "with lowest as (
            select number, topic, packed, refused,
                sum(length(packed)) over (order by number) - length(packed) as before
            from (select * from event_store.outbox where topic <> all($3) order by number limit $1) as rows)
        select number, topic, packed, refused from lowest where before < $2 order by number";
    let rows = session.query(lowest, &[&count(most), &count(bytes), &Column(held.to_vec())]).await?;
    rows.iter().map(outbox_row).collect()
}

fn outbox_row(row: &Row) -> Result<OutboxRow, Trouble> {
    let is_refused = field::<Option<&[u8]>>(row, 3)?.is_some();
    let refused = if is_refused { Some(string(row, 3)?) } else { None };
    Ok(OutboxRow { number: field(row, 0)?, topic: field(row, 1)?, packed: field(row, 2)?, refused })
}

/// For who turns pages, and does not relay: a row with a lower number may still be committed.
pub(super) async fn above(
    session: &Session,
    row: i64,
    most: usize,
    bytes: usize,
) -> Result<Vec<OutboxRow>, Trouble> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let above = "with above as (
            select number, topic, packed, refused,
                sum(length(packed)) over (order by number) - length(packed) as before
            from (select * from event_store.outbox where number > $3 order by number limit $1) as rows)
        select number, topic, packed, refused from above where before < $2 order by number";
    let rows = session.query(above, &[&count(most), &count(bytes), &row]).await?;
    rows.iter().map(outbox_row).collect()
}

pub(super) async fn positions(session: &Session, most: usize) -> Result<Vec<SourcePosition>, Trouble> {
    let all = "select source, at, number from event_store.position order by source limit $1";
    let rows = session.query(all, &[&i64::try_from(most).unwrap_or(i64::MAX)]).await?;
    let read = |row: &Row| {
        Ok(SourcePosition { source: string(row, 0)?, at: field(row, 1)?, number: field(row, 2)? })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn remaining(session: &Session) -> Result<Remaining, Trouble> {
    let rows = session.query("select count(*), count(refused) from event_store.outbox", &[]).await?;
    let count = |at| rows.first().map_or(Ok(0), |row| field::<i64>(row, at));
    Ok(Remaining { rows: count(0)?.unsigned_abs(), refused: count(1)?.unsigned_abs() })
}

pub(super) async fn relayed(session: &Session, rows: &[i64]) -> Result<(), Trouble> {
    session
        .execute("delete from event_store.outbox where number = any($1)", &[&Column(rows.to_vec())])
        .await?;
    Ok(())
}

pub(super) async fn refused(session: &Session, row: i64, reason: &str) -> Result<(), Trouble> {
    let noted = "update event_store.outbox set refused = $2 where number = $1";
    session.execute(noted, &[&row, &Bytes(reason.as_bytes())]).await?;
    Ok(())
}

/// By the database's clock: the members' own may differ.
pub(super) async fn lease(session: &Session, holder: &str, term: Duration) -> Result<bool, Trouble> {
    let taken = "insert into event_store.lease as l (name, holder, expires)
        values ('relay', $1, clock_timestamp() + $2::bigint * interval '1 millisecond')
        on conflict (name) do update set holder = excluded.holder, expires = excluded.expires
        where l.holder = excluded.holder or l.expires <= clock_timestamp()";
    Ok(session.execute(taken, &[&Bytes(holder.as_bytes()), &millis(term)]).await? == 1)
}
