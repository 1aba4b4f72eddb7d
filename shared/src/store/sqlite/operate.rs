//! What operators do to rows.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::assign::waiting;
use super::ledger::find;
use super::names::Names;
use super::target::Id;
use super::trouble::Failure;
use crate::store::operate::{CLAIM, Cancelled, Operated, Operation, another_redrive};
use crate::store::{Change, RowId, Status, Waiting};

type Result<T, E = rusqlite::Error> = std::result::Result<T, E>;

const READ: &str =
    "select partition, status, attempts, reason, wait, coalesce(settled, seen) from ledger where row = ?1";

pub(super) const NOTE: &str = "
    insert into operations (partition, row, at, what, status, attempts, reason) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// What is given back to its handler waits for nobody, and begins to fail anew.
const GIVE_BACK: &str = "
    update ledger set status = 3, wait = 3, due = ?2, pause = null, failing_for = null, settled = null, scheduled = 1,
        attempts = 0, redrives = coalesce(redrives, 0) + 1
    where row = ?1";

const DUE_NOW: &str = "update ledger set due = ?2, pause = 0 where row = ?1";

const END: &str = "
    update ledger set status = ?2, settled = ?3, wait = null, due = null, pause = null,
        packed = iif(?2 = 5, packed, null), key = iif(?2 = 8, null, key), reason = iif(?2 = 8, null, reason),
        reply = iif(?2 = 8, null, reply)
    where row = ?1";

const FORGET: &str = "update operations set reason = null where row = ?1";

struct Row {
    partition: i64,
    status: Status,
    attempts: i64,
    reason: Option<String>,
    has_failed: bool,
    since: Option<i64>,
}

pub(super) fn operate(
    connection: &Connection,
    operation: Operation,
    rows: &[RowId],
) -> Result<Vec<Operated>> {
    let now = Timestamp::now().as_millisecond();
    rows.iter().map(|row| one(connection, operation, *row, now)).collect()
}

fn one(connection: &Connection, operation: Operation, RowId(number): RowId, now: i64) -> Result<Operated> {
    let Some(row) = read(connection, number)? else { return Ok(Operated::Gone) };
    let Some(becomes) = operation.makes_of(row.status) else {
        return Ok(Operated::Unfit(row.status, row.since));
    };
    if operation == Operation::Retry && !row.has_failed {
        return Ok(Operated::Waits);
    }
    match operation {
        Operation::Retry => connection.prepare_cached(DUE_NOW)?.execute((number, now))?,
        Operation::Redrive => connection.prepare_cached(GIVE_BACK)?.execute((number, now))?,
        _ => connection.prepare_cached(END)?.execute((number, becomes as i64, now))?,
    };
    let Row { partition, status, attempts, mut reason, .. } = row;
    if operation == Operation::Delete {
        // Its history says what happened to it, and no more what was in it.
        reason = None;
        connection.prepare_cached(FORGET)?.execute([number])?;
    }
    let note = (partition, number, now, operation as i64, status as i64, attempts, reason);
    connection.prepare_cached(NOTE)?.execute(note)?;
    Ok(Operated::Done(status))
}

fn read(connection: &Connection, row: i64) -> Result<Option<Row>> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            partition: row.get(0)?,
            status: Status::of(row.get(1)?).unwrap_or(Status::Deleted),
            attempts: row.get(2)?,
            reason: row.get(3)?,
            has_failed: row.get::<_, Option<i64>>(4)? == Some(1),
            since: row.get(5)?,
        })
    };
    connection.prepare_cached(READ)?.query_row([row], read).optional()
}

pub(super) fn cancel(
    connection: &Connection,
    names: &mut Names,
    group: &str,
    source: &str,
    id: &str,
) -> Result<Cancelled> {
    let known = connection
        .prepare_cached("select number, every_event from groups where name = ?1")?
        .query_row([group], |row| Ok((row.get(0)?, row.get::<_, Option<bool>>(1)?)))
        .optional()?;
    let Some((number, every_event)) = known else { return Ok(Cancelled::NoGroup) };
    let scope = names.scope(connection, number, source)?;
    let now = Timestamp::now().as_millisecond();
    let Some(found) = find(connection, &scope, &Id::of(id))? else {
        if every_event == Some(false) {
            return Ok(Cancelled::NotRecorded);
        }
        // Its row is there before it: whoever handles it finds it.
        connection
            .prepare_cached(
                "insert into ledger (partition, offset, scope, id, hash, status, attempts, seen, settled)
                 values (?1, -1, ?2, ?3, ?5, 6, 0, ?4, ?4)",
            )?
            .execute((claims(connection, number)?, &scope, Id::of(id), now, CLAIM))?;
        return Ok(Cancelled::Ahead);
    };
    Ok(match one(connection, Operation::Cancel, RowId(found.row), now)? {
        Operated::Done(before) => Cancelled::Now(before),
        Operated::Unfit(Status::Cancelled, _) => Cancelled::Now(Status::Cancelled),
        Operated::Unfit(status, since) => Cancelled::TooLate(status, since),
        // Within one transaction it is there, and a cancel waits for nothing.
        Operated::Waits | Operated::Gone => Cancelled::NotRecorded,
    })
}

/// The number that rows of events have that are not in any partition yet.
fn claims(connection: &Connection, group: i64) -> Result<i64> {
    connection
        .prepare_cached(
            "insert into partitions (group_number, topic, partition, epoch) values (?1, '', -1, 0)
             on conflict (group_number, topic, partition) do update set epoch = 0 returning number",
        )?
        .query_row([group], |row| row.get(0))
}

pub(super) fn begin_redrive(connection: &Connection, group: i64, filter: &str) -> Result<i64, Failure> {
    connection
        .prepare_cached(
            "insert into redrives (group_number, filter, started) values (?1, ?2, ?3) on conflict do nothing",
        )?
        .execute((group, filter, Timestamp::now().as_millisecond()))?;
    let (begun, started): (String, i64) = connection
        .prepare_cached("select filter, started from redrives where group_number = ?1")?
        .query_row([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if begun == filter { Ok(started) } else { Err(another_redrive(&begun).into()) }
}

pub(super) fn unfinished(connection: &Connection, group: i64) -> Result<Option<String>> {
    connection
        .prepare_cached("select filter from redrives where group_number = ?1")?
        .query_row([group], |row| row.get(0))
        .optional()
}

pub(super) fn end_redrive(connection: &Connection, group: i64) -> Result<()> {
    connection.prepare_cached("delete from redrives where group_number = ?1")?.execute([group]).map(drop)
}

/// How many changes are told at once.
const MOST: i64 = 1_000;

/// What operators have changed in the partition after that number, the oldest first.
pub(super) fn changes(connection: &Connection, partition: i64, after: i64) -> Result<Vec<Change>> {
    let now = Timestamp::now().as_millisecond();
    connection
        .prepare_cached(
            "select ledger.status, wait, due, pause, key, offset, number, operations.row from operations
             left join ledger on ledger.row = operations.row
             where operations.partition = ?1 and number > ?2 order by number limit ?3",
        )?
        .query_map((partition, after, MOST), |row| {
            Ok(Change {
                partition,
                number: row.get(6)?,
                row: RowId(row.get(7)?),
                key: row.get(4)?,
                offset: row.get::<_, Option<i64>>(5)?.unwrap_or(-1),
                waiting: match row.get(0)? {
                    // In the middle of an attempt: who makes it knows what becomes of it.
                    Some(1_i64) => Some(Waiting::Behind),
                    Some(3 | 4) => Some(waiting(row, 0, now)?),
                    _ => None,
                },
            })
        })?
        .collect()
}
