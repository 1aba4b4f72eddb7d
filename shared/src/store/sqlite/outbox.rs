//! Records still to be published, positions of event sources, and who relays.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, Row, Rows};

use super::trouble::Failure;
use crate::store::{Advance, OutboxRecord, OutboxRow, Remaining, SourcePosition};

/// A lease that seems to be longer, in milliseconds, comes from before the clock was set back. Shorter than this, two could
/// relay for a moment after a small step of the clock; longer, nobody would for a long time after a large one.
const LONGEST_LEASE: i64 = 300_000;

pub(super) fn add(connection: &Connection, record: &OutboxRecord) -> Result<(), Failure> {
    connection
        .prepare_cached("insert into outbox (topic, packed) values (?1, ?2)")?
        .execute((&record.topic, &record.packed))?;
    Ok(())
}

pub(super) fn enqueue(
    connection: &Connection,
    records: &[OutboxRecord],
    read: Option<&Advance>,
    bound: usize,
) -> Result<bool, Failure> {
    if holds(connection, bound)? {
        return Ok(false);
    }
    if let Some(read) = read {
        let at = position(connection, &read.to.source)?.map_or(0, |position| position.at);
        if at != read.from {
            return Err(read.conflict(at).into());
        }
    }
    records.iter().try_for_each(|record| add(connection, record))?;
    if let Some(Advance { to: SourcePosition { source, at, number }, .. }) = read {
        connection
            .prepare_cached(
                "insert into positions (source, at, number) values (?1, ?2, ?3)
                 on conflict (source) do update set at = excluded.at, number = excluded.number",
            )?
            .execute((source, at, number))?;
    }
    Ok(true)
}

/// Whether the outbox holds that many rows. Counts only when the numbers of its ends leave that open.
fn holds(connection: &Connection, bound: usize) -> Result<bool> {
    let bound = i64::try_from(bound).unwrap_or(i64::MAX);
    let span: i64 = connection
        .prepare_cached(
            "select coalesce((select max(number) from outbox) - (select min(number) from outbox) + 1, 0)",
        )?
        .query_row([], |row| row.get(0))?;
    if span < bound {
        return Ok(false);
    }
    let count: i64 =
        connection.prepare_cached("select count(*) from outbox")?.query_row([], |row| row.get(0))?;
    Ok(count >= bound)
}

pub(super) fn position(connection: &Connection, source: &str) -> Result<Option<SourcePosition>> {
    connection
        .prepare_cached("select at, number from positions where source = ?1")?
        .query_row([source], |row| {
            Ok(SourcePosition { source: source.to_owned(), at: row.get(0)?, number: row.get(1)? })
        })
        .optional()
}

pub(super) fn lowest(
    connection: &Connection,
    most: usize,
    bytes: usize,
    held: &[String],
) -> Result<Vec<OutboxRow>> {
    let mut statement = connection.prepare_cached(
        "select number, topic, packed, refused from outbox
         where topic not in (select value from json_each(?2)) order by number limit ?1",
    )?;
    let held = serde_json::json!(held).to_string();
    taken(statement.query((i64::try_from(most).unwrap_or(i64::MAX), held))?, bytes)
}

/// For who turns pages, and does not relay.
pub(super) fn above(connection: &Connection, row: i64, most: usize, bytes: usize) -> Result<Vec<OutboxRow>> {
    let mut statement = connection.prepare_cached(
        "select number, topic, packed, refused from outbox where number > ?1 order by number limit ?2",
    )?;
    taken(statement.query((row, i64::try_from(most).unwrap_or(i64::MAX)))?, bytes)
}

fn taken(mut found: Rows<'_>, bytes: usize) -> Result<Vec<OutboxRow>> {
    let (mut rows, mut total) = (Vec::new(), 0);
    while total < bytes
        && let Some(row) = found.next()?
    {
        let row =
            OutboxRow { number: row.get(0)?, topic: row.get(1)?, packed: row.get(2)?, refused: row.get(3)? };
        total += row.packed.len();
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn positions(connection: &Connection, most: usize) -> Result<Vec<SourcePosition>> {
    let mut positions =
        connection.prepare_cached("select source, at, number from positions order by source limit ?1")?;
    let position =
        |row: &Row<'_>| Ok(SourcePosition { source: row.get(0)?, at: row.get(1)?, number: row.get(2)? });
    positions.query_map([i64::try_from(most).unwrap_or(i64::MAX)], position)?.collect()
}

pub(super) fn remaining(connection: &Connection) -> Result<Remaining> {
    connection.prepare_cached("select count(*), count(refused) from outbox")?.query_row([], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(Remaining { rows: count(0)?, refused: count(1)? })
    })
}

pub(super) fn relayed(connection: &Connection, rows: &[i64]) -> Result<()> {
    let mut statement = connection.prepare_cached("delete from outbox where number = ?1")?;
    for row in rows {
        statement.execute([row])?;
    }
    Ok(())
}

pub(super) fn refused(connection: &Connection, row: i64, reason: &str) -> Result<()> {
    connection.prepare_cached("update outbox set refused = ?2 where number = ?1")?.execute((row, reason))?;
    Ok(())
}

pub(super) fn lease(connection: &Connection, holder: &str, term: Duration) -> Result<bool> {
    let now = Timestamp::now().as_millisecond();
    let until = now + (term.as_millis() as i64).min(LONGEST_LEASE);
    let taken = connection
        .prepare_cached(
            "insert into leases (name, holder, until) values ('relay', ?1, ?2)
             on conflict (name) do update set holder = excluded.holder, until = excluded.until
             where holder = excluded.holder or until <= ?3 or until > ?3 + ?4",
        )?
        .execute((holder, until, now, LONGEST_LEASE))?;
    Ok(taken == 1)
}
