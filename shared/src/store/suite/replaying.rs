//! Events that have no row, given to their group.

use std::sync::Arc;
use std::time::Duration;

use super::{Bench, Member, NOTE, assignee, event, outgoing, settled, statuses};
use crate::desk::{Desk, Stands, Stream};
use crate::event::Arrived;
use crate::store::query::Recorded;
use crate::store::{Assignee, Change, Effects, RowId, Settlement, Status, Step, Verdict, Waiting, ask};

fn arrived(ids: &[&str]) -> Arc<[Arrived]> {
    ids.iter().zip(10..).map(|(id, offset)| event(id).at(offset).arrived()).collect()
}

/// The number that the store has for the suite's group.
async fn group(bench: &dyn Bench) -> i64 {
    let groups = ask(&bench.url()).await.expect("asked").groups().await.expect("groups");
    groups.iter().find(|(_, name)| name == "service-b").expect("the group").0
}

async fn changes(member: &Member) -> Vec<Change> {
    member.store.changes(vec![(member.owner.partition, member.assigned.changed)]).await.expect("changes")
}

/// Catches: an event that is there twice, or that its partition's owner is not told of; the order of a key that is lost.
pub(crate) async fn what_has_no_row_is_replayed_once(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let (operator, group) = (bench.operator().await, group(bench).await);
    let replayed = operator.replay(group, arrived(&["z", "a", "z", "m"])).await;
    assert_eq!(replayed, Ok(vec![true, true, false, true]));
    assert_eq!(operator.replay(group, arrived(&["z", "b"])).await, Ok(vec![false, true]), "said again");
    assert_eq!(operator.replay(group, arrived(&[])).await, Ok(vec![]));
    assert_eq!(bench.sql("select count(*) from ledger").await, 4);

    let told = changes(&member).await;
    let rows: Vec<RowId> = told.iter().map(|change| change.row).collect();
    assert!(rows.is_sorted() && rows.len() == 4, "{rows:?}");
    assert_eq!(told.iter().map(|change| change.offset).collect::<Vec<_>>(), [10, 11, 13, 11]);
    let now = jiff::Timestamp::now().as_millisecond();
    let is_due = |change: &Change| matches!(change.waiting, Some(Waiting::Until(due)) if due <= now + 5_000);
    assert!(told.iter().all(is_due) && told.iter().all(|change| change.key.is_some()), "{told:?}");

    let loaded = member.store.load(rows.clone()).await.expect("loaded");
    assert_eq!(
        loaded.iter().map(|row| (row.row, row.attempts)).collect::<Vec<_>>(),
        rows.iter().map(|row| (*row, 0)).collect::<Vec<_>>()
    );
    assert_eq!(loaded[0].packed, event("z").at(10).arrived().record().pack());
    let note = || Effects::none().write(&NOTE, ["z".into()]);
    let first = event("z").at(10).row(rows[0], 0).writing(member.owner, note());
    assert_eq!(member.settle_one(first).await, Verdict::Settled(rows[0]));
    // From Kafka, as it may come once more.
    let again = member.settle_one(event("z").at(10).writing(member.owner, note())).await;
    assert_eq!(again, Verdict::Known(Status::Handled));
    assert_eq!(bench.sql("select count(*) from notes").await, 1);
}

/// Catches: an effect that is made twice, a dead event that comes back to life, a handler's row that is taken from it.
pub(crate) async fn what_has_a_row_is_not_replayed(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let (operator, group) = (bench.operator().await, group(bench).await);
    let handling = Settlement { attempts: 0, ..event("handling").settle(member.owner, Step::Handling) };
    let batch = [
        event("handled").handled(member.owner),
        event("deferred").at(1).retry(member.owner),
        event("dead").dead(member.owner, outgoing("dlq", "letter")),
        handling,
    ];
    let rows: Vec<RowId> = member.settle(batch).await.iter().map(settled).collect();
    operator.cancel("service-b", "/suite", "cancelled").await.expect("cancelled");
    let ids = ["handled", "deferred", "dead", "handling", "cancelled"];
    assert_eq!(operator.replay(group, arrived(&ids)).await, Ok(vec![false; 5]));
    let expected = [Status::Handled, Status::Deferred, Status::Dead, Status::Handling, Status::Cancelled];
    assert_eq!(statuses(&*member.store, "service-b", &ids).await, expected.map(Some));
    assert_eq!(changes(&member).await, []);
    let done = member.settle_one(event("handling").row(rows[3], 0).handled(member.owner)).await;
    assert_eq!(done, Verdict::Settled(rows[3]));
}

/// Catches: a row that nobody finds after the partition has changed hands.
pub(crate) async fn what_is_replayed_goes_to_the_next_owner_too(bench: &dyn Bench) {
    let before = Member::join(bench).await;
    let (operator, group) = (bench.operator().await, group(bench).await);
    assert_eq!(operator.replay(group, arrived(&["1"])).await, Ok(vec![true]));
    let next = Member::join(bench).await;
    let row = next.assigned.deferred[0].row;
    assert_eq!(next.assigned.deferred.len(), 1);
    assert_eq!(changes(&next).await, []);
    let late = event("1").at(10).row(row, 0);
    assert_eq!(before.settle_one(late.handled(before.owner)).await, Verdict::Fenced);
    assert_eq!(next.settle_one(late.handled(next.owner)).await, Verdict::Settled(row));
}

/// Catches: an effect that is made twice, where the event's row was never kept.
pub(crate) async fn nothing_is_replayed_where_no_row_tells_nothing(bench: &dyn Bench) {
    let at_least_once = Assignee { answers_from: Some(0), ..assignee() };
    let member = Member::own(bench.open().await, at_least_once).await;
    let (operator, group) = (bench.operator().await, group(bench).await);
    let refused = operator.replay(group, arrived(&["1"])).await.expect_err("refused").to_string();
    assert!(refused.contains("--delivery effectively-once"), "{refused}");
    let query = ask(&bench.url()).await.expect("asked");
    let recorded = query.recorded(group, "orders").await;
    assert_eq!(recorded, Ok(Recorded { every_event: Some(false), pruned_below: [(0, 0)].into() }));

    let every_event = Member::own(member.store, assignee()).await;
    let mut elsewhere = event("1");
    elsewhere.partition = 7;
    let refused = operator.replay(group, [event("2").arrived(), elsewhere.arrived()].into()).await;
    let refused = refused.expect_err("refused").to_string();
    assert!(refused.contains("orders/7"), "{refused}");
    assert_eq!(bench.sql("select count(*) from ledger").await, 0, "all or nothing");
    let recorded = query.recorded(group, "orders").await.expect("recorded");
    assert_eq!(recorded.every_event, Some(true));
    assert_eq!(query.recorded(group, "others").await.expect("recorded").pruned_below.len(), 0);

    settled(&every_event.settle_one(event("1").handled(every_event.owner)).await);
    let events = arrived(&["1", "2"]);
    let identities = events.iter().map(|one| crate::store::Identity::of(one).into_owned()).collect();
    let known = query.known("service-b", identities).await.expect("known");
    assert_eq!(
        known.iter().map(|known| known.map(|known| known.status)).collect::<Vec<_>>(),
        [Some(Status::Handled), None]
    );
}

/// Catches: an event that was handled and pruned, taken for one that was never handled, also where that happens meanwhile.
pub(crate) async fn what_is_pruned_is_not_taken_for_missed(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    settled(&member.settle_one(event("1").at(11).handled(member.owner)).await);
    settled(&member.settle_one(event("3").at(12).dead(member.owner, outgoing("dlq", "letter"))).await);
    let desk = Desk::open(&bench.url(), "service-b").await.expect("a desk");
    let stream = Stream::new("orders", [(0, 14)].into());
    let stands = async || {
        let records = arrived(&["0", "1", "3", "4", "5"]).iter().map(|one| one.record().clone()).collect();
        let found = desk.stands(&stream, records).await.expect("found");
        found.iter().map(|found| found.stands).collect::<Vec<_>>()
    };
    let (row, no_row) = (Stands::Row, Stands::NoRow);
    assert_eq!(stands().await, [no_row, row(Status::Handled), row(Status::Dead), no_row, Stands::Ahead]);
    assert_eq!(member.store.prune(vec![(member.owner, 12)], Duration::ZERO).await, Ok(1));
    let pruned = Stands::Pruned;
    assert_eq!(stands().await, [pruned, pruned, row(Status::Dead), no_row, Stands::Ahead]);
    let mut other = event("3").at(12);
    other.data = b"other data".to_vec();
    let found = desk.stands(&stream, vec![other.arrived().record().clone()]).await.expect("found");
    assert_eq!(found[0].stands, Stands::Conflict);
}
