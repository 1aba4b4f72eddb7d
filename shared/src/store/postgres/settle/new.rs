//! Rows of events that have none.

use std::collections::HashSet;

use super::super::error::Trouble;
use super::super::parameter::Column;
use super::super::runs;
use super::super::session::{Asked, Session, field};
use super::sorted::NewRow;
use super::written::Written;
use crate::event::Arrived;
use crate::store::{RowId, Step};

/// Rows as they come, and what of those whose identity is there.
macro_rules! insert {
    ($conflict:literal) => {
        concat!(
            "
    insert into event_store.ledger as ledger (number, partition, \"offset\", group_number, hash, source, id, key, type, time, timestamp, packed,
        epoch, status, attempts, wait, pause, due, failing_for, reason, scheduled)
    select n.number, n.partition, n.at, n.group_number, n.hash, n.source, n.id, n.key, n.type, n.time, n.timestamp, n.packed,
        n.epoch, n.status, n.attempts, n.wait, n.pause,
        case when n.pause is null then n.due else event_store.now_ms() + n.pause end, n.failing_for, n.reason,
        n.wait is not distinct from 3
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::bytea[],
        $8::bytea[], $9::bytea[], $10::bigint[], $11::bigint[], $12::bytea[], $13::bigint[], $14::smallint[],
        $15::bigint[], $16::smallint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bytea[])
        as n (number, partition, at, group_number, hash, source, id, key, type, time, timestamp, packed,
            epoch, status, attempts, wait, pause, due, failing_for, reason)
",
            $conflict
        )
    };
}

/// What a crash left behind in the middle of its handling, or another record of the same event, goes on with who asks last:
/// under its new number.
const INSERT: &str = insert!(
    "on conflict (group_number, event_store.indexed(source), event_store.indexed(id)) do update set
        number = excluded.number, partition = excluded.partition, epoch = excluded.epoch, \"offset\" = excluded.\"offset\",
        timestamp = excluded.timestamp, status = excluded.status, attempts = excluded.attempts, wait = excluded.wait,
        pause = excluded.pause, due = excluded.due, failing_for = excluded.failing_for, reason = excluded.reason,
        scheduled = excluded.scheduled, packed = excluded.packed, settled = now()
    where ledger.status = 1 and ledger.packed is null and ledger.hash = excluded.hash
        and (excluded.status in (1, 2)
            or (ledger.partition = excluded.partition and ledger.\"offset\" = excluded.\"offset\"))"
);

/// What is there is left alone.
const INSERT_ABSENT: &str = insert!("on conflict do nothing");

// `lateral` and `limit`: see "Plans" in the text of [`postgres`](super::super).
const WHICH: &str = "
    select l.number from unnest($1::bigint[]) as n (number)
    cross join lateral (select number from event_store.ledger where number = n.number limit 1) as l";

/// Inserts those whose identity is new, and says which.
pub(super) async fn insert(session: &Session, rows: &[NewRow<'_>]) -> Result<HashSet<RowId>, Trouble> {
    insert_by(INSERT, session, rows).await
}

/// The same, and nothing of what is there goes on with who asks.
pub(super) async fn insert_absent(session: &Session, rows: &[NewRow<'_>]) -> Result<HashSet<RowId>, Trouble> {
    insert_by(INSERT_ABSENT, session, rows).await
}

async fn insert_by(
    text: &'static str,
    session: &Session,
    rows: &[NewRow<'_>],
) -> Result<HashSet<RowId>, Trouble> {
    let mut inserted = HashSet::with_capacity(rows.len());
    for rows in runs(rows, |row| row.settlement.arrived.record().size()) {
        for row in insert_run(text, session, rows).await? {
            inserted.insert(row);
        }
    }
    Ok(inserted)
}

async fn insert_run(
    text: &'static str,
    session: &Session,
    rows: &[NewRow<'_>],
) -> Result<Vec<RowId>, Trouble> {
    let records = || rows.iter().map(|row| row.settlement.arrived.record());
    let numbers = Column(rows.iter().map(|row| row.number.0).collect());
    let partitions = Column(rows.iter().map(|row| row.settlement.owner.partition).collect());
    let offsets = Column(records().map(|record| record.origin().offset).collect());
    let groups = Column(rows.iter().map(|row| row.group).collect());
    let hashes = Column(rows.iter().map(|row| row.identity.hash).collect());
    let sources = Column(rows.iter().map(|row| row.identity.source.as_bytes()).collect());
    let ids = Column(rows.iter().map(|row| row.identity.id.as_bytes()).collect());
    let keys = Column(records().map(|record| record.key()).collect());
    let types = Column(rows.iter().map(ty).collect());
    let times = Column(rows.iter().map(|row| row.settlement.arrived.time()).collect());
    let timestamps = Column(records().map(|record| record.origin().timestamp).collect());
    let packed = Column::sparse(rows.iter().map(packed));
    let written = Written::of(rows.iter().map(|row| row.settlement));
    let event: [Asked<'_>; 12] = [
        &numbers,
        &partitions,
        &offsets,
        &groups,
        &hashes,
        &sources,
        &ids,
        &keys,
        &types,
        &times,
        &timestamps,
        &packed,
    ];
    let count = session.execute(text, &[&event[..], &written.columns()[..]].concat()).await?;
    // Mostly all of them or none: only between the two are the numbers asked for.
    if count == rows.len() as u64 {
        return Ok(rows.iter().map(|row| row.number).collect());
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let inserted = session.query(WHICH, &[&numbers]).await?;
    inserted.iter().map(|row| Ok(RowId(field(row, 0)?))).collect()
}

fn ty<'a>(row: &NewRow<'a>) -> Option<&'a [u8]> {
    match &row.settlement.arrived {
        Arrived::Event(event) => Some(event.ty().as_bytes()),
        Arrived::Undecodable(_) => None,
    }
}

/// The record, where it is needed again: by the next attempt, or by an operator.
fn packed(row: &NewRow<'_>) -> Option<Vec<u8>> {
    let is_needed = matches!(row.settlement.step, Step::Deferred { .. } | Step::Dead { .. });
    is_needed.then(|| row.settlement.arrived.record().pack())
}
