//! What needs no lock: reading.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result};

use super::ledger::find;
use super::names::Names;
use super::target::Id;
use crate::store::{Identity, Known, Loaded, RowId};

pub(super) fn look_up(
    connection: &Connection,
    names: &mut Names,
    group: &str,
    events: &[Identity<'_>],
) -> Result<Vec<Option<Known>>> {
    let group: Option<i64> = connection
        .prepare_cached("select number from groups where name = ?1")?
        .query_row([group], |row| row.get(0))
        .optional()?;
    let Some(group) = group else { return Ok(vec![None; events.len()]) };
    events
        .iter()
        .map(|event| {
            let scope = names.find_scope(connection, group, &event.source)?;
            let found = find(connection, &scope, &Id::of(&*event.id))?;
            Ok(found.map(|found| Known { status: found.status, same: found.is_same(event.hash) }))
        })
        .collect()
}

pub(super) fn load(connection: &Connection, rows: &[RowId]) -> Result<Vec<Loaded>> {
    let mut statement = connection.prepare_cached(
        "select attempts, failing_for, offset, packed from ledger where row = ?1 and status = 3",
    )?;
    let mut loaded = Vec::with_capacity(rows.len());
    for row in rows {
        let found = statement.query_row([row.0], |columns| {
            let failing_for: Option<u64> =
                columns.get::<_, Option<i64>>(1)?.map(|length| length.max(0) as u64);
            Ok(Loaded {
                row: *row,
                attempts: columns.get(0)?,
                failing_for: Duration::from_millis(failing_for.unwrap_or(0)),
                offset: columns.get(2)?,
                packed: columns.get(3)?,
            })
        });
        loaded.extend(found.optional()?);
    }
    Ok(loaded)
}
