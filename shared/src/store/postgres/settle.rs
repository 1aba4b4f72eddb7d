//! Outcomes into the ledger: one transaction a batch.

mod effects;
mod known;
mod moved;
mod new;
mod replay;
mod replies;
mod sorted;
mod written;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join;

use super::channel::Channel;
use super::error::Trouble;
use super::parameter::Column;
use super::session::{Session, field};
use crate::store::{Settlement, Splitter, StoreError, Verdict};

pub(super) use self::effects::write_all as write;
pub(super) use self::replay::replay;
use self::sorted::{Place, Sorted};

/// Settles a batch, in as many transactions as it takes to leave out what the database does not take.
///
/// `unsure` is set when nobody knows what was committed, and stays: what is asked again may have been.
pub(super) async fn settle(
    channel: &Channel,
    unsure: &AtomicBool,
    batch: &[Settlement],
) -> Result<Vec<Verdict>, StoreError> {
    let mut splitter = Splitter::new(batch);
    while let Some(tried) = splitter.next() {
        let asked: Vec<&Settlement> = tried.iter().filter_map(|index| batch.get(*index)).collect();
        let (asked, was_lost) = (&asked, unsure.load(Ordering::Acquire));
        let attempted = |session: Arc<Session>| async move { attempt(&session, asked, was_lost).await };
        match channel.transaction(attempted).await {
            Ok(verdicts) => splitter.committed(&tried, verdicts),
            Err(Trouble::Refused(refusal)) => splitter.refused(&tried, refusal),
            Err(trouble) => {
                unsure.store(true, Ordering::Release);
                return Err(trouble.into());
            }
        }
    }
    Ok(splitter.finish())
}

/// What is to be said of each settlement once the transaction has committed.
async fn attempt(session: &Session, asked: &[&Settlement], was_lost: bool) -> Result<Vec<Verdict>, Trouble> {
    let without_row = asked.iter().filter(|settlement| settlement.row.is_none()).count();
    let (owners, numbers) = try_join(lock(session, asked), numbers(session, without_row)).await?;
    let sorted = Sorted::of(asked, &owners, &numbers);
    let (inserted, moved) =
        try_join(new::insert(session, &sorted.new), moved::update(session, &sorted.moves)).await?;
    let settled: Vec<Option<Verdict>> = sorted
        .places
        .iter()
        .map(|place| match place {
            Place::Fenced => Some(Verdict::Fenced),
            Place::New(row) => inserted.contains(row).then_some(Verdict::Settled(*row)),
            Place::Moved(row) => moved.contains(row).then_some(Verdict::Settled(*row)),
            Place::Taken => None,
        })
        .collect();
    let applied =
        asked.iter().zip(&settled).filter(|(_, verdict)| matches!(verdict, Some(Verdict::Settled(_))));
    effects::apply(session, applied.map(|(settlement, _)| *settlement)).await?;
    let known = known::Asked { settlements: asked, owners: &owners, places: &sorted.places, was_lost };
    let verdicts = known::complete(session, &known, settled).await?;
    let commands = asked.iter().zip(&verdicts).filter_map(|(settlement, verdict)| {
        let reply = settlement.reply.as_deref()?;
        Some((*settlement, reply, verdict, *owners.get(&settlement.owner.partition)?))
    });
    replies::answer(session, commands).await?;
    Ok(verdicts)
}

/// A partition as it is locked: nobody takes it over before this transaction is at its end.
#[derive(Debug, Clone, Copy)]
struct Owner {
    epoch: i64,
    group: i32,
}

/// Locks the partitions, in the order of their numbers.
async fn lock(session: &Session, asked: &[&Settlement]) -> Result<HashMap<i64, Owner>, Trouble> {
    let mut partitions: Vec<i64> = asked.iter().map(|settlement| settlement.owner.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let locked = "select number, epoch, group_number from event_store.partition \
        where number = any($1) order by number for share";
    let rows = session.query(locked, &[&Column(partitions)]).await?;
    rows.iter()
        .map(|row| Ok((field(row, 0)?, Owner { epoch: field(row, 1)?, group: field(row, 2)? })))
        .collect()
}

/// Numbers for new rows, ascending. They are taken under the locks or thrown away: between two owners of a partition,
/// the later one has the higher numbers.
async fn numbers(session: &Session, count: usize) -> Result<Vec<i64>, Trouble> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let taken = "select array_agg(nextval('event_store.ledger_number')) from generate_series(1, $1::bigint)";
    let rows = session.query(taken, &[&(count as i64)]).await?;
    rows.first().map_or(Ok(Vec::new()), |row| field(row, 0))
}
