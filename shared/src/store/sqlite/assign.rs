//! Taking partitions over.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Result, Row};

use crate::store::{Assigned, Assignee, DeferredRow, Ownership, RowId, UpTo, Waiting};

pub(super) fn assign(connection: &Connection, assignee: &Assignee) -> Result<Assigned> {
    let Assignee { group, topic, partition, answers_from, dead_hold } = assignee;
    connection
        .prepare_cached(
            "insert into groups (name, every_event) values (?1, ?2)
             on conflict (name) do update set every_event = excluded.every_event",
        )?
        .execute((group, answers_from.is_none()))?;
    let (owner, pruned_below) = connection
        .prepare_cached(
            "insert into partitions (group_number, topic, partition, epoch)
             values ((select number from groups where name = ?1), ?2, ?3, 1)
             on conflict (group_number, topic, partition) do update set epoch = epoch + 1
             returning number, epoch, pruned_below",
        )?
        .query_row((group, topic, partition), |row| {
            Ok((Ownership { partition: row.get(0)?, epoch: row.get(1)? }, row.get(2)?))
        })?;
    // Nobody else handles it any more: what was in the middle of an attempt waits for its next one.
    connection
        .prepare_cached(
            "update ledger set status = 3 where partition = ?1 and status = 1 and packed is not null",
        )?
        .execute([owner.partition])?;
    let deferred = deferred(connection, owner.partition, *dead_hold)?;
    let answered = match answers_from {
        Some(offset) => answered(connection, owner.partition, *offset)?,
        None => Vec::new(),
    };
    let changed = connection
        .prepare_cached("select coalesce(max(number), 0) from operations where partition = ?1")?
        .query_row([owner.partition], |row| row.get(0))?;
    Ok(Assigned { owner, pruned_below, deferred, answered, changed })
}

fn deferred(connection: &Connection, partition: i64, dead_hold: bool) -> Result<Vec<DeferredRow>> {
    let now = Timestamp::now().as_millisecond();
    connection
        .prepare_cached(
            // Given back to its handler, a row that held its key goes before those that it held.
            "select row, key, offset, status, iif(?2 and wait = 3 and redrives > 0 and due <= ?3, 1, wait), due,
                coalesce(pause, 0) from ledger
             where partition = ?1 and status in (3, 4) and (status = 3 or (?2 and key is not null)) order by row",
        )?
        .query_map((partition, dead_hold, now), |row| {
            Ok(DeferredRow {
                row: RowId(row.get(0)?),
                key: row.get(1)?,
                offset: row.get(2)?,
                waiting: waiting(row, 3, now)?,
            })
        })?
        .collect()
}

/// Of a row's columns status, wait, due and pause, the first of which is that one.
pub(super) fn waiting(row: &Row<'_>, first: usize, now: i64) -> Result<Waiting> {
    if row.get::<_, i64>(first)? == 4 {
        return Ok(Waiting::Operator);
    }
    Ok(match row.get(first + 1)? {
        1 => {
            let (due, pause): (i64, i64) = (row.get(first + 2)?, row.get(first + 3)?);
            // Never longer than asked for: the clock may have been set back.
            Waiting::Retry(Duration::from_millis(due.saturating_sub(now).clamp(0, pause.max(0)) as u64))
        }
        3 => Waiting::Until(row.get(first + 2)?),
        _ => Waiting::Behind,
    })
}

/// What was scheduled was put aside before its turn, and what is being handled is not settled: neither answers for others.
fn answered(connection: &Connection, partition: i64, from: i64) -> Result<Vec<(Option<Vec<u8>>, UpTo)>> {
    connection
        .prepare_cached(
            "select key, max(offset), max(timestamp) from ledger
             where partition = ?1 and offset >= ?2 and key is not null and scheduled is null and status <> 1 group by key
             union all
             select null, offset, timestamp from ledger where partition = ?1 and offset >= ?2 and key is null and status <> 1",
        )?
        .query_map((partition, from), |row| {
            Ok((row.get(0)?, UpTo { offset: row.get(1)?, timestamp: row.get(2)? }))
        })?
        .collect()
}
