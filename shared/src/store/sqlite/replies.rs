//! Replies to commands.

use rusqlite::{Connection, OptionalExtension};

use super::names::Name;
use super::outbox;
use super::target::Id;
use super::trouble::Failure;
use crate::store::{OutboxRecord, Reply, RowId};

/// Keeps a reply with the command's row, and publishes it.
pub(super) fn keep(connection: &Connection, row: RowId, reply: &Reply) -> Result<(), Failure> {
    if let Some(packed) = &reply.packed {
        connection.prepare_cached("update ledger set reply = ?2 where row = ?1")?.execute((row.0, packed))?;
    }
    reply.record().map_or(Ok(()), |record| outbox::add(connection, &record))
}

/// Publishes what is kept, once more.
pub(super) fn again(
    connection: &Connection,
    scope: &Name<'_>,
    id: &str,
    reply: &Reply,
) -> Result<(), Failure> {
    let Some(topic) = &reply.topic else { return Ok(()) };
    let kept: Option<Option<Vec<u8>>> = connection
        .prepare_cached("select reply from ledger where scope = ?1 and id = ?2")?
        .query_row((scope, Id::of(id)), |row| row.get(0))
        .optional()?;
    let record = kept.flatten().map(|packed| OutboxRecord { topic: topic.clone(), packed });
    record.map_or(Ok(()), |record| outbox::add(connection, &record))
}
