//! Events that have no row, given to their group.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result};

use super::ledger::{Ledger, find};
use super::names::Names;
use super::operate::NOTE;
use super::target::Described;
use super::trouble::Failure;
use crate::event::Arrived;
use crate::store::operate::{REPLAY, never_taken_over, not_every_event};
use crate::store::{Ownership, Settlement, Status, Verdict};

/// Nobody else writes meanwhile: who is not there before the insert is not there.
pub(super) fn replay(
    connection: &Connection,
    names: &mut Names,
    group: i64,
    events: &[Arrived],
) -> Result<Vec<bool>, Failure> {
    let every_event: Option<bool> = connection
        .prepare_cached("select every_event from groups where number = ?1")?
        .query_row([group], |row| row.get(0))
        .optional()?
        .flatten();
    if every_event != Some(true) {
        return Err(not_every_event().into());
    }
    let now = Timestamp::now().as_millisecond();
    let (mut ledger, mut partitions) = (Ledger::new(connection, now)?, HashMap::new());
    let mut answers = Vec::with_capacity(events.len());
    for arrived in events {
        let origin = arrived.record().origin();
        let place = (origin.topic, origin.partition);
        let partition = match partitions.get(&place) {
            Some(partition) => *partition,
            None => *partitions.entry(place).or_insert(number(connection, group, place)?),
        };
        // No owner: the row is nobody's result, and the epoch is compared at its settle.
        let owner = Ownership { partition, epoch: 0 };
        let settlement = Settlement::replayed(owner, arrived.clone(), now);
        let described = Described::of(&settlement);
        let scope = names.scope(connection, group, settlement.source())?;
        if find(connection, &scope, &described.id)?.is_some() {
            answers.push(false);
            continue;
        }
        let ty = match arrived {
            Arrived::Event(event) => Some(names.ty(connection, event.ty())?),
            Arrived::Undecodable(_) => None,
        };
        let Verdict::Settled(row) = ledger.insert(&scope, ty.as_ref(), &described, &settlement)? else {
            answers.push(false);
            continue;
        };
        let (what, status) = (i64::from(REPLAY), Status::Deferred as i64);
        connection.prepare_cached(NOTE)?.execute((partition, row.0, now, what, status, 0, None::<String>))?;
        answers.push(true);
    }
    Ok(answers)
}

fn number(connection: &Connection, group: i64, (topic, partition): (&str, i32)) -> Result<i64, Failure> {
    let number = connection
        .prepare_cached(
            "select number from partitions where group_number = ?1 and topic = ?2 and partition = ?3",
        )?
        .query_row((group, topic, partition), |row| row.get(0))
        .optional()?;
    number.ok_or_else(|| never_taken_over(topic, partition).into())
}
