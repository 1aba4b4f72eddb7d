//! What is there already, of the settlements that changed nothing.

use std::collections::HashMap;

use futures_util::future::try_join;
use tokio_postgres::Row;

use super::super::error::Trouble;
use super::super::parameter::Column;
use super::super::session::{Session, field};
use super::super::status;
use super::Owner;
use super::sorted::Place;
use super::written;
use crate::store::operate::CLAIM;
use crate::store::{RowId, Settlement, Status, Verdict};

/// A row that is there.
#[derive(Debug)]
struct Found {
    number: i64,
    status: Status,
    hash: i64,
    /// Partition, epoch, offset, attempts.
    written_by: (i64, i64, i64, i64),
}

// `lateral` and `limit`: see "Plans" in the text of the store.
const BY_NUMBER: &str = "
    select n.at, l.number, l.status, l.hash, l.partition, l.epoch, l.\"offset\", l.attempts
    from unnest($1::bigint[], $2::bigint[]) as n (at, number)
    cross join lateral (select * from event_store.ledger where number = n.number limit 1) as l";

const BY_IDENTITY: &str = "
    select n.at, l.number, l.status, l.hash, l.partition, l.epoch, l.\"offset\", l.attempts
    from unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bytea[]) as n (at, group_number, source, id)
    cross join lateral (
        select * from event_store.ledger as l where l.group_number = n.group_number
            and event_store.indexed(l.source) = event_store.indexed(n.source)
            and event_store.indexed(l.id) = event_store.indexed(n.id)
        limit 1) as l";

/// The batch, and what is known of it so far.
pub(super) struct Asked<'a> {
    pub(super) settlements: &'a [&'a Settlement],
    pub(super) owners: &'a HashMap<i64, Owner>,
    pub(super) places: &'a [Place],
    /// Whether the answer to an earlier settle was lost.
    pub(super) was_lost: bool,
}

/// Completes the verdicts.
pub(super) async fn complete(
    session: &Session,
    asked: &Asked<'_>,
    settled: Vec<Option<Verdict>>,
) -> Result<Vec<Verdict>, Trouble> {
    let has_row = |at: &usize| asked.settlements[*at].row.is_some();
    let open = (0..settled.len()).filter(|at| settled[*at].is_none());
    let (with_row, without): (Vec<usize>, Vec<usize>) = open.partition(has_row);
    let (mut found, by_identity) =
        try_join(by_number(session, asked, &with_row), by_identity(session, asked, &without)).await?;
    found.extend(by_identity);
    let complete = |(at, verdict): (usize, Option<Verdict>)| match (verdict, found.get(&at)) {
        (Some(verdict), _) => Ok(verdict),
        (None, Some(found)) => Ok(asked.of_found(at, found)),
        // A row that was deferred and is gone.
        (None, None) if has_row(&at) => Ok(Verdict::Known(Status::Deleted)),
        // Pruned since it kept this one's row out.
        (None, None) => Err(Trouble::Again("a row went while it was asked for".to_owned())),
    };
    settled.into_iter().enumerate().map(complete).collect()
}

impl Asked<'_> {
    fn of_found(&self, at: usize, found: &Found) -> Verdict {
        let settlement = self.settlements[at];
        let owner = settlement.owner;
        let offset = settlement.arrived.record().origin().offset;
        let this = (owner.partition, owner.epoch, offset, i64::from(settlement.attempts));
        let is_this = found.status == written::status(&settlement.step) && found.written_by == this;
        let waits = matches!(found.status, Status::Handling | Status::Deferred | Status::Dead);
        if self.was_lost && is_this && waits && !matches!(self.places[at], Place::Taken) {
            // The answer to the commit that wrote it was lost. Who asks again needs the row: its key is blocked by it.
            return Verdict::Settled(RowId(found.number));
        }
        // Who cancels an id cancels what comes under it, whatever that holds.
        let is_cancelled = found.status == Status::Cancelled || found.hash == CLAIM;
        if settlement.row.is_none() && !is_cancelled && found.hash != settlement.identity().hash {
            return Verdict::Conflict;
        }
        Verdict::Known(found.status)
    }
}

async fn by_number(
    session: &Session,
    asked: &Asked<'_>,
    which: &[usize],
) -> Result<HashMap<usize, Found>, Trouble> {
    if which.is_empty() {
        return Ok(HashMap::new());
    }
    let at = Column(which.iter().map(|at| *at as i64).collect());
    let row = |at: &usize| asked.settlements[*at].row.map(|(row, _)| row.0);
    let numbers = Column(which.iter().map(row).collect());
    session.query(BY_NUMBER, &[&at, &numbers]).await?.iter().map(found).collect()
}

async fn by_identity(
    session: &Session,
    asked: &Asked<'_>,
    which: &[usize],
) -> Result<HashMap<usize, Found>, Trouble> {
    if which.is_empty() {
        return Ok(HashMap::new());
    }
    let identities: Vec<_> = which.iter().map(|at| asked.settlements[*at].identity()).collect();
    let at = Column(which.iter().map(|at| *at as i64).collect());
    let group =
        |at: &usize| asked.owners.get(&asked.settlements[*at].owner.partition).map(|owner| owner.group);
    let groups = Column(which.iter().map(group).collect());
    let sources = Column(identities.iter().map(|identity| identity.source.as_bytes()).collect());
    let ids = Column(identities.iter().map(|identity| identity.id.as_bytes()).collect());
    session.query(BY_IDENTITY, &[&at, &groups, &sources, &ids]).await?.iter().map(found).collect()
}

fn found(row: &Row) -> Result<(usize, Found), Trouble> {
    let written_by = (field(row, 4)?, field(row, 5)?, field(row, 6)?, field(row, 7)?);
    let found = Found { number: field(row, 1)?, status: status(row, 2)?, hash: field(row, 3)?, written_by };
    Ok((field::<i64>(row, 0)? as usize, found))
}
