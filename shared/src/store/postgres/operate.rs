//! What operators do to rows. The partition is locked first: no settle is under way meanwhile, and the numbers of its
//! operations become visible in their order.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::assign::waiting;
use super::error::Trouble;
use super::parameter::{Bytes, Column};
use super::session::{Session, field, string};
use super::status;
use crate::store::operate::{Cancelled, Operated, Operation, another_redrive};
use crate::store::{Change, RowId, Status, Waiting};

const LOCK: &str = "
    select number from event_store.partition
    where number in (select partition from event_store.ledger where number = any($1))
    order by number for no key update";

const READ: &str = "
    select number, status, coalesce(wait = 1, false),
        (extract(epoch from case when status in (1, 3) then first_seen else settled end) * 1000)::bigint
    from event_store.ledger where number = any($1) for update";

pub(super) const NOTE: &str = "
    insert into event_store.operation (partition, row, what, status, attempts, reason)
    select partition, number, $2::smallint, status, attempts, reason
    from event_store.ledger where number = any($1) order by number";

/// What is given back to its handler waits for nobody, and begins to fail anew.
const GIVE_BACK: &str = "
    update event_store.ledger set status = 3, wait = 3, due = event_store.now_ms(), pause = null, failing_for = null,
        scheduled = true, attempts = 0, redrives = coalesce(redrives, 0) + 1
    where number = any($1)";

const DUE_NOW: &str = "
    update event_store.ledger set due = event_store.now_ms(), pause = 0 where number = any($1)";

const END: &str = "
    update event_store.ledger set status = $2::smallint, settled = now(), wait = null, due = null, pause = null,
        packed = case when $2 = 5 then packed end, key = case when $2 <> 8 then key end,
        reason = case when $2 <> 8 then reason end, reply = case when $2 <> 8 then reply end
    where number = any($1)";

const FORGET: &str = "update event_store.operation set reason = null where row = any($1)";

pub(super) async fn operate(
    session: &Session,
    operation: Operation,
    rows: &[RowId],
) -> Result<Vec<Operated>, Trouble> {
    let numbers = Column(rows.iter().map(|row| row.0).collect::<Vec<i64>>());
    session.query(LOCK, &[&numbers]).await?;
    let mut found: HashMap<i64, Operated> = HashMap::new();
    let mut fit = Vec::new();
    for row in session.query(READ, &[&numbers]).await? {
        let (number, status, has_failed): (i64, Status, bool) =
            (field(&row, 0)?, status(&row, 1)?, field(&row, 2)?);
        let operated = match operation.makes_of(status) {
            None => Operated::Unfit(status, field(&row, 3)?),
            Some(_) if operation == Operation::Retry && !has_failed => Operated::Waits,
            Some(_) => {
                fit.push(number);
                Operated::Done(status)
            }
        };
        found.insert(number, operated);
    }
    change(session, operation, fit).await?;
    // Of a row that is named twice the second finds what the first has made of it.
    Ok(rows.iter().map(|row| found.get(&row.0).copied().unwrap_or(Operated::Gone)).collect())
}

async fn change(session: &Session, operation: Operation, rows: Vec<i64>) -> Result<(), Trouble> {
    let rows = Column(rows);
    session.execute(NOTE, &[&rows, &(operation as i16)]).await?;
    match operation {
        Operation::Retry => session.execute(DUE_NOW, &[&rows]).await?,
        Operation::Redrive => session.execute(GIVE_BACK, &[&rows]).await?,
        Operation::Cancel => session.execute(END, &[&rows, &(Status::Cancelled as i16)]).await?,
        Operation::Park => session.execute(END, &[&rows, &(Status::Parked as i16)]).await?,
        Operation::Delete => {
            // Its history says what happened to it, and no more what was in it.
            session.execute(FORGET, &[&rows]).await?;
            session.execute(END, &[&rows, &(Status::Deleted as i16)]).await?
        }
    };
    Ok(())
}

pub(super) async fn cancel(
    session: &Session,
    group: &str,
    source: &str,
    id: &str,
) -> Result<Cancelled, Trouble> {
    let (group, source, id) = (Bytes(group.as_bytes()), Bytes(source.as_bytes()), Bytes(id.as_bytes()));
    let known = "select number, every_event from event_store.consumer_group \
        where event_store.indexed(name) = event_store.indexed($1)";
    let known = session.query(known, &[&group]).await?;
    let Some(known) = known.first() else { return Ok(Cancelled::NoGroup) };
    let (group, every_event): (i32, Option<bool>) = (field(known, 0)?, field(known, 1)?);
    let find = "select number from event_store.ledger where group_number = $1 \
        and event_store.indexed(source) = event_store.indexed($2) \
        and event_store.indexed(id) = event_store.indexed($3)";
    if let Some(row) = session.query(find, &[&group, &source, &id]).await?.first() {
        let row = RowId(field(row, 0)?);
        return match operate(session, Operation::Cancel, &[row]).await?.first() {
            Some(Operated::Done(before)) => Ok(Cancelled::Now(*before)),
            Some(Operated::Unfit(Status::Cancelled, _)) => Ok(Cancelled::Now(Status::Cancelled)),
            Some(Operated::Unfit(status, since)) => Ok(Cancelled::TooLate(*status, *since)),
            _ => Err(Trouble::Again("a row went while it was cancelled".to_owned())),
        };
    }
    if every_event == Some(false) {
        return Ok(Cancelled::NotRecorded);
    }
    // Its row is there before it: whoever handles it finds it.
    let partition = "insert into event_store.partition (group_number, topic, partition) values ($1, '', -1) \
        on conflict (group_number, topic, partition) do update set epoch = 0 returning number";
    let partition: i64 = match session.query(partition, &[&group]).await?.first() {
        Some(row) => field(row, 0)?,
        None => return Err(Trouble::Again("a partition went while it was made".to_owned())),
    };
    let claim = "insert into event_store.ledger \
        (number, partition, epoch, \"offset\", hash, attempts, group_number, status, source, id) \
        values (nextval('event_store.ledger_number'), $1, 0, -1, 0, 0, $2, 6, $3, $4) on conflict do nothing";
    match session.execute(claim, &[&partition, &group, &source, &id]).await? {
        0 => Err(Trouble::Again("the event arrived while it was cancelled".to_owned())),
        _ => Ok(Cancelled::Ahead),
    }
}

pub(super) async fn begin_redrive(session: &Session, group: i64, filter: &str) -> Result<i64, Trouble> {
    let (group, filter) = (group as i32, Bytes(filter.as_bytes()));
    let begin =
        "insert into event_store.redrive (group_number, filter) values ($1, $2) on conflict do nothing";
    session.execute(begin, &[&group, &filter]).await?;
    let first = "select filter = $2, filter, (extract(epoch from started) * 1000)::bigint \
        from event_store.redrive where group_number = $1";
    match session.query(first, &[&group, &filter]).await?.first() {
        Some(row) if field(row, 0)? => field(row, 2),
        Some(row) => Err(another_redrive(&string(row, 1)?).into()),
        None => Err(Trouble::Again("another redrive has just come to its end".to_owned())),
    }
}

pub(super) async fn unfinished(session: &Session, group: i64) -> Result<Option<String>, Trouble> {
    let filter = "select filter from event_store.redrive where group_number = $1";
    session.query(filter, &[&(group as i32)]).await?.first().map(|row| string(row, 0)).transpose()
}

pub(super) async fn end_redrive(session: &Session, group: i64) -> Result<(), Trouble> {
    let end = "delete from event_store.redrive where group_number = $1";
    session.execute(end, &[&(group as i32)]).await.map(drop)
}

/// How many changes of a partition are told at once.
const CHANGES: &str = "
    select o.number, o.partition, o.row, l.key, coalesce(l.\"offset\", -1), l.status, l.wait,
        case when l.wait = 1 then least(l.pause, greatest(0, l.due - event_store.now_ms())) else l.due end
    from unnest($1::bigint[], $2::bigint[]) as n (partition, after)
    cross join lateral (
        select * from event_store.operation where partition = n.partition and number > n.after
        order by number limit 1000) as o
    left join event_store.ledger as l on l.number = o.row
    order by o.partition, o.number";

/// What operators have changed in each partition after that number.
pub(super) async fn changes(session: &Session, after: &[(i64, i64)]) -> Result<Vec<Change>, Trouble> {
    let (partitions, after): (Vec<i64>, Vec<i64>) = after.iter().copied().unzip();
    session.query(CHANGES, &[&Column(partitions), &Column(after)]).await?.iter().map(change_of).collect()
}

fn change_of(row: &Row) -> Result<Change, Trouble> {
    const HANDLING: i16 = Status::Handling as i16;
    const DEFERRED: i16 = Status::Deferred as i16;
    const DEAD: i16 = Status::Dead as i16;
    let waiting = match field::<Option<i16>>(row, 5)? {
        // In the middle of an attempt: who makes it knows what becomes of it.
        Some(HANDLING) => Some(Waiting::Behind),
        Some(DEFERRED | DEAD) => Some(waiting(row, 5)?),
        _ => None,
    };
    Ok(Change {
        number: field(row, 0)?,
        partition: field(row, 1)?,
        row: RowId(field(row, 2)?),
        key: field(row, 3)?,
        offset: field(row, 4)?,
        waiting,
    })
}
