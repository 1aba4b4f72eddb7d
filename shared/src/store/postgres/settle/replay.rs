//! Events that have no row, given to their group.

use std::collections::HashMap;

use super::super::error::Trouble;
use super::super::operate::NOTE;
use super::super::parameter::Column;
use super::super::session::{Session, field};
use super::sorted::{Place, Sorted};
use super::{Owner, new, numbers};
use crate::event::Arrived;
use crate::store::operate::{REPLAY, never_taken_over, not_every_event};
use crate::store::{Ownership, Settlement};

/// As of an operator's other changes, the partitions are locked first: the numbers of their operations become visible in
/// their order.
const LOCK: &str = "
    select partition, number from event_store.partition
    where group_number = $1 and topic = $2 and partition = any($3) order by number for no key update";

pub(in super::super) async fn replay(
    session: &Session,
    group: i64,
    events: &[Arrived],
) -> Result<Vec<bool>, Trouble> {
    let group = group as i32;
    let of_group =
        "select every_event, event_store.now_ms() from event_store.consumer_group where number = $1";
    let of_group = session.query(of_group, &[&group]).await?;
    let (every_event, now) =
        of_group.first().map_or(Ok((None, 0)), |row| Ok::<_, Trouble>((field(row, 0)?, field(row, 1)?)))?;
    if every_event != Some(true) {
        return Err(not_every_event().into());
    }
    let Some(topic) = events.first().map(|event| event.record().origin().topic) else {
        return Ok(Vec::new());
    };
    let asked = Column(events.iter().map(|event| event.record().origin().partition).collect::<Vec<i32>>());
    let mut partitions: HashMap<i32, i64> = HashMap::new();
    for row in session.query(LOCK, &[&group, &topic, &asked]).await? {
        partitions.insert(field(&row, 0)?, field(&row, 1)?);
    }
    // No owner: the row is nobody's result, and the epoch is compared at its settle.
    let owners = partitions.values().map(|partition| (*partition, Owner { epoch: 0, group })).collect();
    let settlement = |arrived: &Arrived| {
        let origin = arrived.record().origin();
        let partition = partitions.get(&origin.partition).filter(|_| origin.topic == topic);
        let partition = *partition.ok_or_else(|| never_taken_over(origin.topic, origin.partition))?;
        Ok(Settlement::replayed(Ownership { partition, epoch: 0 }, arrived.clone(), now))
    };
    let settlements = events.iter().map(settlement).collect::<Result<Vec<Settlement>, Trouble>>()?;
    let asked: Vec<&Settlement> = settlements.iter().collect();
    let sorted = Sorted::of(&asked, &owners, &numbers(session, asked.len()).await?);
    let inserted = new::insert_absent(session, &sorted.new).await?;
    let rows = Column(inserted.iter().map(|row| row.0).collect::<Vec<i64>>());
    session.execute(NOTE, &[&rows, &REPLAY]).await?;
    Ok(sorted.places.iter().map(|place| matches!(place, Place::New(row) if inserted.contains(row))).collect())
}
