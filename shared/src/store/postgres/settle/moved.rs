//! Rows that wait, and move on.

use std::collections::HashSet;

use super::super::error::Trouble;
use super::super::parameter::Column;
use super::super::session::{Asked, Session, field};
use super::sorted::Move;
use super::written::Written;
use crate::store::RowId;

/// Only a row that is deferred, at the attempt that was begun. Its record stays as long as it is needed.
/// The rows are found first, one by one: see "Plans" in the text of [`postgres`](super::super).
const UPDATE: &str = "
    update event_store.ledger as l set epoch = n.epoch, status = n.status, attempts = n.attempts, wait = n.wait,
        pause = n.pause, due = case when n.pause is null then n.due else event_store.now_ms() + n.pause end,
        failing_for = case when n.status = 3 then coalesce(n.failing_for, l.failing_for) end, reason = n.reason, settled = now(),
        scheduled = l.scheduled or n.wait is not distinct from 3,
        packed = case when n.status in (3, 4) then l.packed end
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::smallint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bytea[])
        as n (number, known, epoch, status, attempts, wait, pause, due, failing_for, reason)
    where l.ctid = any (array(
            select found.ctid from unnest($1::bigint[]) as asked (number)
            cross join lateral (select ctid from event_store.ledger where number = asked.number limit 1) as found))
        and l.number = n.number and l.status = 3 and l.attempts = n.known
    returning l.number";

/// Moves those that are as the settlements know them, and says which.
pub(super) async fn update(session: &Session, moves: &[Move<'_>]) -> Result<HashSet<RowId>, Trouble> {
    if moves.is_empty() {
        return Ok(HashSet::new());
    }
    let numbers = Column(moves.iter().map(|one| one.row.0).collect());
    let known = Column(moves.iter().map(|one| i64::from(one.known)).collect());
    let written = Written::of(moves.iter().map(|one| one.settlement));
    let rows: [Asked<'_>; 2] = [&numbers, &known];
    let rows = session.query(UPDATE, &[&rows[..], &written.columns()[..]].concat()).await?;
    rows.iter().map(|row| Ok(RowId(field(row, 0)?))).collect()
}
