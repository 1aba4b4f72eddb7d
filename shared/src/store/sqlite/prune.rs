//! Deleting rows that nobody will ask for again.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result};

use crate::store::Ownership;

/// The most rows a call, so that nobody waits long behind it.
const MOST: usize = 5_000;

/// A row that may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    row: i64,
    partition: i64,
    offset: i64,
}

/// Deletes what was found, of the partitions that are still ours. A row that is settled for good stays so: it need not be
/// looked at again.
pub(super) fn delete(connection: &Connection, below: &[(Ownership, i64)], found: &[Found]) -> Result<usize> {
    let owned = still_owned(connection, below)?;
    let mut delete = connection.prepare_cached("delete from ledger where row = ?1")?;
    // Its history goes with it: the number of the highest row is used again.
    let mut forget = connection.prepare_cached("delete from operations where row = ?1")?;
    let (mut raised, mut deleted) = (HashMap::new(), 0);
    for Found { row, partition, offset } in found.iter().filter(|found| owned.contains_key(&found.partition))
    {
        deleted += delete.execute([row])?;
        forget.execute([row])?;
        let highest = raised.entry(*partition).or_insert(*offset);
        *highest = (*highest).max(*offset);
    }
    let mut raise = connection
        .prepare_cached("update partitions set pruned_below = max(pruned_below, ?2) where number = ?1")?;
    for (partition, highest) in raised {
        raise.execute((partition, highest + 1))?;
    }
    Ok(deleted)
}

fn still_owned(connection: &Connection, below: &[(Ownership, i64)]) -> Result<HashMap<i64, i64>> {
    let mut owned = connection.prepare_cached("select 1 from partitions where number = ?1 and epoch = ?2")?;
    let mut kept = HashMap::new();
    for (owner, offset) in below {
        if owned.exists((owner.partition, owner.epoch))? {
            kept.insert(owner.partition, *offset);
            kept.extend(claims(connection, owner.partition)?.map(|number| (number, i64::MAX)));
        }
    }
    Ok(kept)
}

/// Where its group's rows are of events that were cancelled and have not arrived.
fn claims(connection: &Connection, partition: i64) -> Result<Option<i64>> {
    connection
        .prepare_cached(
            "select number from partitions where topic = '' and partition = -1
                and group_number = (select group_number from partitions where number = ?1)",
        )?
        .query_row([partition], |row| row.get(0))
        .optional()
}

/// The lowest rows that may go. Rows lie in the order in which they were made: what comes after the first that is too
/// young is younger still.
pub(super) fn find(
    connection: &Connection,
    below: &[(Ownership, i64)],
    older_than: Duration,
) -> Result<Vec<Found>> {
    let below = still_owned(connection, below)?;
    if below.is_empty() {
        return Ok(Vec::new());
    }
    let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
    let settled_by = Timestamp::now().as_millisecond().saturating_sub(age);
    let mut statement = connection
        .prepare_cached("select row, partition, offset, status, seen, settled from ledger order by row")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(4)? > settled_by || found.len() == MOST {
            break;
        }
        let (partition, offset): (i64, i64) = (row.get(1)?, row.get(2)?);
        let is_below = below.get(&partition).is_some_and(|below| offset < *below);
        let is_for_good = matches!(row.get(3)?, 2 | 6 | 7 | 8);
        if is_below && is_for_good && row.get::<_, Option<i64>>(5)?.is_some_and(|at| at <= settled_by) {
            found.push(Found { row: row.get(0)?, partition, offset });
        }
    }
    Ok(found)
}
