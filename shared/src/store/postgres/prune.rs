//! Deletes what nobody will ask for again.

use std::sync::Arc;
use std::time::Duration;

use super::channel::Channel;
use super::error::Trouble;
use super::millis;
use super::session::{Session, field};
use crate::store::{Ownership, StoreError};

/// How many rows a call deletes, and looks at, at most.
const MOST: usize = 5_000;

/// The lowest rows that are settled for good, of which those go that are old enough. A young row in front of older ones
/// holds them up for as long as it is young; looking past it would mean to look at everything.
const DELETE: &str = "
    with lowest as materialized (
        select number, settled from event_store.ledger
        where partition = $1 and status in (2, 6, 7, 8) and \"offset\" < $2
        order by \"offset\" limit $3),
    gone as (
        delete from event_store.ledger as l using lowest
        where l.number = lowest.number and lowest.settled <= now() - $4::bigint * interval '1 millisecond'
        returning l.number, l.\"offset\"),
    forgotten as (delete from event_store.operation where row in (select number from gone)),
    raised as (
        update event_store.partition
        set pruned_below = greatest(pruned_below, (select max(\"offset\") + 1 from gone))
        where number = $1 and exists (select from gone))
    select count(*) from gone";

/// A transaction for each partition. Those that another owns by now are left alone.
pub(super) async fn prune(
    channel: &Channel,
    below: &[(Ownership, i64)],
    older_than: Duration,
) -> Result<usize, StoreError> {
    let mut pruned = 0;
    for &(owner, below) in below {
        let left = MOST - pruned.min(MOST);
        if left > 0 {
            let deleted = |session: Arc<Session>| async move {
                of_partition(&session, owner, below, older_than, left).await
            };
            pruned += channel.transaction(deleted).await?;
        }
    }
    Ok(pruned)
}

async fn of_partition(
    session: &Session,
    owner: Ownership,
    below: i64,
    older_than: Duration,
    most: usize,
) -> Result<usize, Trouble> {
    // For update and not for share, because its `pruned_below` is about to be raised.
    let locked = "select from event_store.partition where number = $1 and epoch = $2 for no key update";
    if session.query(locked, &[&owner.partition, &owner.epoch]).await?.is_empty() {
        return Ok(0);
    }
    let claims = "select c.number from event_store.partition as c join event_store.partition as p using (group_number) \
        where p.number = $1 and c.topic = '' and c.partition = -1";
    // Of events that were cancelled and have not arrived.
    if let Some(claims) = session.query(claims, &[&owner.partition]).await?.first() {
        let claims: i64 = field(claims, 0)?;
        let gone = [&claims as _, &i64::MAX as _, &(most as i64) as _, &millis(older_than) as _];
        session.query(DELETE, &gone).await?;
    }
    let deleted = [&owner.partition as _, &below as _, &(most as i64) as _, &millis(older_than) as _];
    let deleted = session.query(DELETE, &deleted).await?;
    deleted.first().map_or(Ok(0), |row| Ok(field::<i64>(row, 0)? as usize))
}
