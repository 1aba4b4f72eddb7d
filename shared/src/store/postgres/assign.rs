//! Taking partitions over.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::Row;

use super::error::Trouble;
use super::parameter::{Bytes, Column};
use super::session::{Session, field};
use super::{BEHIND, RETRY};
use crate::store::{Assigned, Assignee, DeferredRow, Ownership, RowId, Status, StoreError, UpTo, Waiting};

/// Raises the epochs, which waits for the settles under way, then reads what they have left.
pub(super) async fn assign(session: &Session, asked: &[Assignee]) -> Result<Vec<Assigned>, Trouble> {
    let mut numbers = Vec::with_capacity(asked.len());
    for assignee in asked {
        numbers.push(number(session, assignee).await?);
    }
    if let Some(Assignee { group, answers_from, .. }) = asked.first() {
        let every_event = "update event_store.consumer_group set every_event = $2 \
            where event_store.indexed(name) = event_store.indexed($1) and every_event is distinct from $2";
        session.execute(every_event, &[&Bytes(group.as_bytes()), &answers_from.is_none()]).await?;
    }
    // Locked in the order in which a settle locks them.
    let locked = "select number from event_store.partition where number = any($1) order by number for update";
    session.query(locked, &[&Column(numbers.clone())]).await?;
    let raised = "update event_store.partition set epoch = epoch + 1 where number = any($1) \
        returning number, epoch, pruned_below";
    let mut raised: HashMap<i64, (i64, i64)> = session
        .query(raised, &[&Column(numbers.clone())])
        .await?
        .iter()
        .map(|row| Ok((field(row, 0)?, (field(row, 1)?, field(row, 2)?))))
        .collect::<Result<_, Trouble>>()?;
    // Nobody else handles it any more: what was in the middle of an attempt waits for its next one.
    let given_back = "update event_store.ledger set status = 3 \
        where partition = any($1) and status in (1, 3, 4, 5) and status = 1 and packed is not null";
    session.execute(given_back, &[&Column(numbers.clone())]).await?;
    let mut assigned = Vec::with_capacity(asked.len());
    for (assignee, &partition) in asked.iter().zip(&numbers) {
        let missing = || StoreError::Unusable(format!("partition {partition} went while it was taken over"));
        let &mut (epoch, pruned_below) = raised.get_mut(&partition).ok_or_else(missing)?;
        assigned.push(Assigned {
            owner: Ownership { partition, epoch },
            pruned_below,
            deferred: deferred(session, partition, assignee.dead_hold).await?,
            answered: match assignee.answers_from {
                Some(from) => answered(session, partition, from).await?,
                None => Vec::new(),
            },
            changed: changed(session, partition).await?,
        });
    }
    Ok(assigned)
}

async fn changed(session: &Session, partition: i64) -> Result<i64, Trouble> {
    let last = "select coalesce(max(number), 0) from event_store.operation where partition = $1";
    session.query(last, &[&partition]).await?.first().map_or(Ok(0), |row| field(row, 0))
}

/// The partition's number, made at its first assignment. Two members may be at it at once: who comes second waits, and
/// finds what the first has made.
async fn number(session: &Session, assignee: &Assignee) -> Result<i64, Trouble> {
    let Assignee { group, topic, partition, .. } = assignee;
    let group = Bytes(group.as_bytes());
    let find = "select p.number from event_store.partition as p \
        join event_store.consumer_group as g on g.number = p.group_number \
        where event_store.indexed(g.name) = event_store.indexed($1) and p.topic = $2 and p.partition = $3";
    if let Some(row) = session.query(find, &[&group, topic, partition]).await?.first() {
        return field(row, 0);
    }
    session
        .execute(
            "insert into event_store.consumer_group (name) values ($1) on conflict do nothing",
            &[&group],
        )
        .await?;
    let make = "insert into event_store.partition (group_number, topic, partition) \
        select number, $2, $3 from event_store.consumer_group \
        where event_store.indexed(name) = event_store.indexed($1) on conflict do nothing";
    session.execute(make, &[&group, topic, partition]).await?;
    let rows = session.query(find, &[&group, topic, partition]).await?;
    let row = rows.first().ok_or_else(|| Trouble::Again("a partition went while it was made".to_owned()))?;
    field(row, 0)
}

async fn deferred(session: &Session, partition: i64, dead_hold: bool) -> Result<Vec<DeferredRow>, Trouble> {
    // What is left of a pause: never more than the pause, however the clock was set since.
    // Given back to its handler, a row that held its key goes before those that it held.
    let waiting = "select number, key, \"offset\", status, case when given_back then 1::smallint else wait end, \
            case when given_back then 0 \
                when wait = 1 then least(pause, greatest(0, due - event_store.now_ms())) else due end \
        from event_store.ledger cross join lateral (select coalesce( \
            $2::boolean and wait = 3 and redrives > 0 and due <= event_store.now_ms(), false) as given_back) as l \
        where partition = $1 and status in (1, 3, 4, 5) \
            and (status = 3 or (status = 4 and $2::boolean and key is not null)) \
        order by number";
    session.query(waiting, &[&partition, &dead_hold]).await?.iter().map(deferred_row).collect()
}

fn deferred_row(row: &Row) -> Result<DeferredRow, Trouble> {
    let waiting = waiting(row, 3)?;
    Ok(DeferredRow { row: RowId(field(row, 0)?), key: field(row, 1)?, offset: field(row, 2)?, waiting })
}

/// Of the columns status, wait, and what is left of a pause or when it is due; the first of them is that one.
pub(super) fn waiting(row: &Row, first: usize) -> Result<Waiting, Trouble> {
    let due = field::<Option<i64>>(row, first + 2)?.unwrap_or(0);
    Ok(match (super::status(row, first)?, field::<Option<i16>>(row, first + 1)?) {
        (Status::Dead, _) => Waiting::Operator,
        (_, Some(RETRY)) => Waiting::Retry(Duration::from_millis(due.max(0) as u64)),
        (_, Some(BEHIND)) => Waiting::Behind,
        _ => Waiting::Until(due),
    })
}

/// Of each key the highest offset from there on; of null keys each. Two conditions, each with its index. What was
/// scheduled was put aside before its turn, and what is being handled is not settled: neither answers for others.
async fn answered(
    session: &Session,
    partition: i64,
    from: i64,
) -> Result<Vec<(Option<Vec<u8>>, UpTo)>, Trouble> {
    let answered = "with rows as (
            select key, \"offset\", timestamp, scheduled from event_store.ledger
            where partition = $1 and status in (2, 6, 7, 8) and \"offset\" >= $2
            union all
            select key, \"offset\", timestamp, scheduled from event_store.ledger
            where partition = $1 and status in (1, 3, 4, 5) and status <> 1 and \"offset\" >= $2)
        select key, max(\"offset\"), max(timestamp) from rows where key is not null and not scheduled group by key
        union all select distinct key, \"offset\", timestamp from rows where key is null";
    session
        .query(answered, &[&partition, &from])
        .await?
        .iter()
        .map(|row| Ok((field(row, 0)?, UpTo { offset: field(row, 1)?, timestamp: field(row, 2)? })))
        .collect()
}
