//! Verdicts, and what they leave behind.

use std::sync::Arc;

use super::{Bench, Draft, Member, event, outgoing};
use crate::store::{Identity, Known, RowId, Settlement, Status, Step, Store, Verdict, Wait};

pub(crate) fn settled(verdict: &Verdict) -> RowId {
    match verdict {
        Verdict::Settled(row) => *row,
        other => panic!("not settled but {other:?}"),
    }
}

/// The status of each identity, as [`Store::look_up`] gives it.
pub(crate) async fn statuses(store: &dyn Store, group: &str, ids: &[&str]) -> Vec<Option<Status>> {
    let events = ids.iter().map(|id| Identity::of(&event(id).arrived()).into_owned()).collect();
    let known = store.look_up(group, events).await.expect("looked up");
    known.into_iter().map(|known| known.map(|known| known.status)).collect()
}

pub(crate) async fn every_step_becomes_a_row(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let verdicts = member
        .settle([
            event("handled").at(1).handled(owner),
            event("retry").at(2).retry(owner),
            event("behind").at(3).waiting(owner, Wait::Behind),
            event("until").at(4).waiting(owner, Wait::Until(5)),
            event("dead").at(5).dead(owner, outgoing("dlq", "letter")),
            event("expired").at(6).settle(owner, Step::Expired),
        ])
        .await;
    let rows: Vec<RowId> = verdicts.iter().map(settled).collect();
    assert!(rows.is_sorted_by(|one, next| one < next), "{rows:?}");
    let ids = ["handled", "retry", "behind", "until", "dead", "expired", "unknown"];
    let expected = [
        Some(Status::Handled),
        Some(Status::Deferred),
        Some(Status::Deferred),
        Some(Status::Deferred),
        Some(Status::Dead),
        Some(Status::Expired),
        None,
    ];
    assert_eq!(statuses(&*member.store, "service-b", &ids).await, expected);
    assert_eq!(bench.sql("select count(*) from ledger").await, 6);
}

pub(crate) async fn an_empty_batch_is_settled(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    assert_eq!(member.settle([]).await, []);
}

/// At the same place (a crash before the offset moved), at another (sent twice), in the same batch.
/// Catches: a row put in the place of the one that is there.
pub(crate) async fn an_event_that_comes_again_is_known(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    settled(&member.settle_one(event("1").handled(owner)).await);
    settled(&member.settle_one(event("2").at(1).retry(owner)).await);
    let verdicts = member
        .settle([
            event("1").handled(owner),
            event("1").at(7).handled(owner),
            event("2").at(8).handled(owner),
            event("3").at(9).dead(owner, outgoing("dlq", "letter")),
            event("3").at(10).dead(owner, outgoing("dlq", "letter")),
        ])
        .await;
    assert_eq!(verdicts[..3], [Status::Handled, Status::Handled, Status::Deferred].map(Verdict::Known));
    settled(&verdicts[3]);
    assert_eq!(verdicts[4], Verdict::Known(Status::Dead));
    assert_eq!(bench.sql("select count(*) from ledger").await, 3);
    assert_eq!(bench.sql("select count(*) from outbox").await, 1);
}

/// Catches: a row taken for the event's own without comparing what it holds.
pub(crate) async fn the_same_id_with_another_content_is_a_conflict(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    settled(&member.settle_one(event("1").handled(owner)).await);
    let mut other = event("1").at(4);
    other.data = b"other data".to_vec();
    assert_eq!(member.settle_one(other.handled(owner)).await, Verdict::Conflict);

    let by_its_place = Settlement { conflicting: true, ..other.dead(owner, outgoing("dlq", "letter")) };
    let batch: Arc<[Settlement]> = [by_its_place].into();
    settled(&member.settle(Arc::clone(&batch)).await[0]);
    assert_eq!(member.settle(batch).await, [Verdict::Known(Status::Dead)]);
    assert_eq!(statuses(&*member.store, "service-b", &["1"]).await, [Some(Status::Handled)]);
}

pub(crate) async fn what_has_no_id_goes_by_its_place(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let no_event = event("").at(3);
    let step = || no_event.dead(member.owner, outgoing("dlq", "letter"));
    settled(&member.settle_one(step()).await);
    assert_eq!(member.settle_one(step()).await, Verdict::Known(Status::Dead));
    settled(&member.settle_one(no_event.clone().at(4).handled(member.owner)).await);
}

pub(crate) async fn what_is_known_can_be_looked_up(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    settled(&member.settle_one(event("1").handled(member.owner)).await);
    let mut other = event("1");
    other.ty = "com.example.other.v1".to_owned();
    let events: Arc<[_]> =
        [event("1"), other, event("2")].map(|event| Identity::of(&event.arrived()).into_owned()).into();
    let known = member.store.look_up("service-b", Arc::clone(&events)).await.expect("looked up");
    let handled = |same| Some(Known { status: Status::Handled, same });
    assert_eq!(known, [handled(true), handled(false), None]);
    assert_eq!(member.store.look_up("nobody", events).await.expect("looked up"), [None; 3]);
    assert_eq!(member.store.look_up("service-b", Arc::new([])).await.expect("looked up"), []);
}

/// Nobody knows whether it was applied: asked again, it applies what is missing and nothing twice.
pub(crate) async fn a_settle_that_is_repeated_applies_nothing_twice(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let retried = settled(&member.settle_one(event("1").retry(owner)).await);
    let again = settled(&member.settle_one(event("2").at(1).retry(owner)).await);
    let letter = settled(&member.settle_one(event("3").at(2).retry(owner)).await);
    let note = |text: &str| crate::store::Effects::none().write(&super::NOTE, [text.into()]);
    let batch: Arc<[Settlement]> = [
        event("1").row(retried, 1).writing(owner, note("1")),
        event("2").at(1).row(again, 1).retry(owner),
        event("3").at(2).row(letter, 1).dead(owner, outgoing("dlq", "3")),
        event("4").at(3).writing(owner, note("4")),
        event("5").at(4).dead(owner, outgoing("dlq", "5")),
    ]
    .into();
    for verdict in member.settle(Arc::clone(&batch)).await {
        settled(&verdict);
    }
    let expected =
        [Status::Handled, Status::Deferred, Status::Dead, Status::Handled, Status::Dead].map(Verdict::Known);
    assert_eq!(member.settle(batch).await, expected);
    assert_eq!(bench.sql("select count(*) from notes").await, 2);
    assert_eq!(bench.sql("select count(*) from outbox").await, 2);
    assert_eq!(member.store.load(vec![again]).await.expect("loaded")[0].attempts, 2);
}

/// Catches: a row that moves whatever attempt it is at.
pub(crate) async fn a_row_moves_only_from_the_attempt_that_was_begun(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let row = settled(&member.settle_one(event("1").retry(member.owner)).await);
    let ahead = event("1").row(row, 2).handled(member.owner);
    assert_eq!(member.settle_one(ahead).await, Verdict::Known(Status::Deferred));
    let there = event("1").row(row, 1).handled(member.owner);
    assert_eq!(settled(&member.settle_one(there).await), row);
    let gone = event("2").row(RowId(row.0 + 1_000), 1).handled(member.owner);
    assert_eq!(member.settle_one(gone).await, Verdict::Known(Status::Deleted));
}

/// Two results for one row, in one batch: the second finds it moved.
pub(crate) async fn a_row_that_is_moved_twice_moves_once(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let row = settled(&member.settle_one(event("1").retry(member.owner)).await);
    let moved = || event("1").row(row, 1).dead(member.owner, outgoing("dlq", "letter"));
    let verdicts = member.settle([moved(), moved()]).await;
    assert_eq!(verdicts, [Verdict::Settled(row), Verdict::Known(Status::Dead)]);
    assert_eq!(bench.sql("select count(*) from outbox").await, 1);
}

/// Catches: a row that is dead already and moves once more, because no attempt was begun in between.
pub(crate) async fn a_row_that_is_dead_without_an_attempt_stays_dead(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let row = settled(&member.settle_one(event("1").retry(member.owner)).await);
    let unchanged = Draft { attempts: 1, ..event("1").row(row, 1) };
    let dead = || unchanged.dead(member.owner, outgoing("dlq", "letter"));
    assert_eq!(member.settle_one(dead()).await, Verdict::Settled(row));
    assert_eq!(member.settle_one(dead()).await, Verdict::Known(Status::Dead));
    assert_eq!(bench.sql("select count(*) from outbox").await, 1);
}
