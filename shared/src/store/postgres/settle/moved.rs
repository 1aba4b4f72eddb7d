//! Rows that wait, and move on.

use std::collections::HashSet;

use super::super::error::Trouble;
use super::super::parameter::Column;
use super::super::session::{Asked, Session, field};
use super::sorted::Move;
use super::written::Written;
use crate::store::{RowId, Step};

/// Only a row that is deferred or being handled, at the attempt that was begun. Its record stays as long as it is needed; a
/// row that is begun keeps what it waited for: a crash gives it back.
/// The rows are found first, one by one: see "Plans" in the text of [`postgres`](super::super).
const UPDATE: &str = "
    update event_store.ledger as l set epoch = n.epoch, status = n.status, attempts = n.attempts,
        wait = case when n.status = 1 then l.wait else n.wait end,
        pause = case when n.status = 1 then l.pause else n.pause end,
        due = case when n.status = 1 then l.due when n.pause is null then n.due else event_store.now_ms() + n.pause end,
        failing_for = case when n.status in (1, 3) then coalesce(n.failing_for, l.failing_for) end,
        reason = case when n.status = 1 then l.reason else n.reason end, settled = now(),
        scheduled = l.scheduled or n.wait is not distinct from 3,
        packed = case when n.status in (1, 3, 4) then coalesce(l.packed, n.packed) end
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::smallint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bytea[], $11::bytea[])
        as n (number, known, epoch, status, attempts, wait, pause, due, failing_for, reason, packed)
    where l.ctid = any (array(
            select found.ctid from unnest($1::bigint[]) as asked (number)
            cross join lateral (select ctid from event_store.ledger where number = asked.number limit 1) as found))
        and l.number = n.number and l.attempts = n.known
        and (l.status = 3 or (l.status = 1 and n.status <> 1))
    returning l.number";

/// Moves those that are as the settlements know them, and says which.
pub(super) async fn update(session: &Session, moves: &[Move<'_>]) -> Result<HashSet<RowId>, Trouble> {
    if moves.is_empty() {
        return Ok(HashSet::new());
    }
    let numbers = Column(moves.iter().map(|one| one.row.0).collect());
    let known = Column(moves.iter().map(|one| i64::from(one.known)).collect());
    let written = Written::of(moves.iter().map(|one| one.settlement));
    let packed = Column::sparse(moves.iter().map(packed));
    let rows: [Asked<'_>; 2] = [&numbers, &known];
    let packed: [Asked<'_>; 1] = [&packed];
    let rows = session.query(UPDATE, &[&rows[..], &written.columns()[..], &packed[..]].concat()).await?;
    rows.iter().map(|row| Ok(RowId(field(row, 0)?))).collect()
}

/// One that went straight to its handler has left its record in Kafka so far.
fn packed(one: &Move<'_>) -> Option<Vec<u8>> {
    let is_needed =
        one.known == 0 && matches!(one.settlement.step, Step::Deferred { .. } | Step::Dead { .. });
    is_needed.then(|| one.settlement.arrived.record().pack())
}
