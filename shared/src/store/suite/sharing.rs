//! Several members and several groups over one store.

use super::{Bench, Member, assignee, event, settled, statuses};
use crate::store::{Assignee, Status, Verdict, Waiting};

/// Interleaving 1: a member is stopped while it holds an event, another takes the partition, the first wakes.
/// Catches: settling without comparing the epoch, and an assign that does not raise it.
pub(crate) async fn a_member_that_lost_the_partition_settles_nothing(bench: &dyn Bench) {
    let first = Member::join(bench).await;
    let second = Member::join(bench).await;
    assert_eq!(first.owner.partition, second.owner.partition);
    assert!(second.owner.epoch > first.owner.epoch);
    let e2 = settled(&second.settle_one(event("e2").at(2).retry(second.owner)).await);

    let late = [
        event("e3").at(3).handled(first.owner),
        event("e2").at(2).row(e2, 1).handled(first.owner),
        event("e2").at(2).handled(first.owner),
    ];
    assert_eq!(first.settle(late).await, [Verdict::Fenced, Verdict::Fenced, Verdict::Fenced]);
    let ids = ["e2", "e3"];
    assert_eq!(statuses(&*second.store, "service-b", &ids).await, [Some(Status::Deferred), None]);

    let third = Member::own(first.store, assignee()).await;
    assert_eq!(third.assigned.deferred.len(), 1, "what the second deferred is there for its next owner");
    assert_eq!(second.settle_one(event("e4").handled(second.owner)).await, Verdict::Fenced);
}

pub(crate) async fn one_lost_partition_takes_no_other_with_it(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let both = vec![assignee(), Assignee { partition: 1, ..assignee() }];
    let owners = member.store.assign(both).await.expect("assigned");
    let (zero, one) = (owners[0].owner, owners[1].owner);
    assert_eq!(zero.partition, member.owner.partition);
    assert_ne!(zero.partition, one.partition);
    let second = Member::join(bench).await;
    let mut kept = event("kept");
    kept.partition = 1;
    let batch = [event("lost").handled(zero), kept.handled(one), event("lost too").at(1).handled(zero)];
    let verdicts = member.settle(batch).await;
    settled(&verdicts[1]);
    assert_eq!([&verdicts[0], &verdicts[2]], [&Verdict::Fenced; 2]);
    settled(&second.settle_one(event("lost").handled(second.owner)).await);
}

/// Interleaving 3.
/// Catches: rows that are unique without their group.
pub(crate) async fn groups_do_not_see_each_other(bench: &dyn Bench) {
    let one = Member::join(bench).await;
    let other = Member::own(bench.open().await, Assignee { group: "other".to_owned(), ..assignee() }).await;
    assert_ne!(one.owner.partition, other.owner.partition);
    settled(&one.settle_one(event("1").retry(one.owner)).await);
    assert_eq!(statuses(&*other.store, "other", &["1"]).await, [None]);
    settled(&other.settle_one(event("1").handled(other.owner)).await);
    let again = Member::own(other.store, Assignee { group: "other".to_owned(), ..assignee() }).await;
    assert_eq!(again.assigned.deferred, []);
    settled(&one.settle_one(event("2").at(1).handled(one.owner)).await);
    let again = Member::own(one.store, assignee()).await;
    assert!(matches!(again.assigned.deferred[..], [ref row] if matches!(row.waiting, Waiting::Retry(_))));
}

/// Interleaving 13: the same id in two partitions of two members, at the same time.
/// Catches: a transaction that takes its lock only when it writes, an insert that is not answered.
pub(crate) async fn two_members_insert_the_same_event_once(bench: &dyn Bench) {
    let one = Member::join(bench).await;
    let other = Member::own(bench.open().await, Assignee { partition: 1, ..assignee() }).await;
    let events: Vec<_> = (0..200).map(|id| event(&format!("{id}")).at(id)).collect();
    let batch = |owner| events.iter().map(|event| event.handled(owner)).collect::<Vec<_>>();
    let reversed = batch(other.owner).into_iter().rev().collect::<Vec<_>>();
    let (ours, theirs) = tokio::join!(one.settle(batch(one.owner)), other.settle(reversed));
    for (ours, theirs) in ours.iter().zip(theirs.iter().rev()) {
        let known = Verdict::Known(Status::Handled);
        assert!((ours == &known) != (theirs == &known), "{ours:?} and {theirs:?}");
    }
    assert_eq!(bench.sql("select count(*) from ledger").await, 200);
}

/// Catches: an id that is made anew at each opening.
pub(crate) async fn the_store_is_the_same_for_every_member(bench: &dyn Bench) {
    let (one, other) = (bench.open().await, bench.open().await);
    assert_eq!(one.id(), other.id());
    assert_eq!(one.id().len(), 36, "a UUID: {}", one.id());
}
