//! What is asked before handlers run.

use std::time::Duration;

use super::error::Trouble;
use super::parameter::{Bytes, Column};
use super::session::{Session, field};
use super::status;
use crate::store::{Identity, Known, Loaded, RowId};

/// What is known of each.
pub(super) async fn look_up(
    session: &Session,
    group: &str,
    events: &[Identity<'_>],
) -> Result<Vec<Option<Known>>, Trouble> {
    let known = "select n.at, l.status, l.hash = n.hash or l.status = 6 or l.hash = 0
        from event_store.consumer_group as g
        cross join unnest($2::bytea[], $3::bytea[], $4::bigint[]) with ordinality as n (source, id, hash, at)
        cross join lateral (
            select * from event_store.ledger as l where l.group_number = g.number
                and event_store.indexed(l.source) = event_store.indexed(n.source)
                and event_store.indexed(l.id) = event_store.indexed(n.id)
            limit 1) as l
        where event_store.indexed(g.name) = event_store.indexed($1)";
    let group = Bytes(group.as_bytes());
    let sources = Column(events.iter().map(|event| event.source.as_bytes()).collect());
    let ids = Column(events.iter().map(|event| event.id.as_bytes()).collect());
    let hashes = Column(events.iter().map(|event| event.hash).collect());
    let mut answers = vec![None; events.len()];
    for row in session.query(known, &[&group, &sources, &ids, &hashes]).await? {
        // Counted from one.
        let at = field::<i64>(&row, 0)? as usize - 1;
        if let Some(answer) = answers.get_mut(at) {
            *answer = Some(Known { status: status(&row, 1)?, same: field(&row, 2)? });
        }
    }
    Ok(answers)
}

/// Those that are still deferred, in the order asked for.
pub(super) async fn load(session: &Session, rows: &[RowId]) -> Result<Vec<Loaded>, Trouble> {
    let deferred = "select l.number, l.attempts, coalesce(l.failing_for, 0), l.\"offset\", l.packed
        from unnest($1::bigint[]) with ordinality as n (number, at)
        cross join lateral (select * from event_store.ledger where number = n.number limit 1) as l
        where l.status = 3 and l.packed is not null order by n.at";
    let numbers = Column(rows.iter().map(|row| row.0).collect());
    session
        .query(deferred, &[&numbers])
        .await?
        .iter()
        .map(|row| {
            Ok(Loaded {
                row: RowId(field(row, 0)?),
                attempts: field::<i64>(row, 1)? as u32,
                failing_for: Duration::from_millis(field::<i64>(row, 2)?.max(0) as u64),
                offset: field(row, 3)?,
                packed: field(row, 4)?,
            })
        })
        .collect()
}
