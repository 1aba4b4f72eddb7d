//! Rows that nobody will ask for again.

use std::time::Duration;

use super::{Bench, MINUTE, Member, assignee, event, outgoing, settled, statuses};
use crate::store::{Assignee, Status, Step};

pub(crate) async fn pruning_takes_what_is_settled_for_good(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    member
        .settle([
            event("handled").at(1).handled(owner),
            event("expired").at(2).settle(owner, Step::Expired),
            event("retry").at(3).retry(owner),
            event("dead").at(4).dead(owner, outgoing("dlq", "4")),
            event("above").at(5).handled(owner),
        ])
        .await;
    assert_eq!(member.store.prune(vec![(owner, 5)], Duration::ZERO).await, Ok(2));
    assert_eq!(member.store.prune(vec![(owner, 5)], Duration::ZERO).await, Ok(0));
    let ids = ["handled", "expired", "retry", "dead", "above"];
    let expected = [None, None, Some(Status::Deferred), Some(Status::Dead), Some(Status::Handled)];
    assert_eq!(statuses(&*member.store, "service-b", &ids).await, expected);
    let again = Member::join(bench).await;
    assert_eq!(member.assigned.pruned_below, 0);
    assert!((3..=5).contains(&again.assigned.pruned_below), "{:?}", again.assigned);
    settled(&again.settle_one(event("handled").at(1).handled(again.owner)).await);
}

pub(crate) async fn pruning_keeps_what_is_younger_above_or_anothers(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let other = Member::own(bench.open().await, Assignee { partition: 1, ..assignee() }).await;
    settled(&member.settle_one(event("1").at(1).handled(owner)).await);
    settled(&other.settle_one(event("2").at(1).handled(other.owner)).await);
    assert_eq!(member.store.prune(vec![(owner, 9)], 60 * MINUTE).await, Ok(0), "younger");
    assert_eq!(member.store.prune(vec![(owner, 1)], Duration::ZERO).await, Ok(0), "not below");
    assert_eq!(member.store.prune(Vec::new(), Duration::ZERO).await, Ok(0), "nobody's");
    let next = Member::join(bench).await;
    assert_eq!(next.assigned.pruned_below, 0);
    assert_eq!(member.store.prune(vec![(owner, 9)], Duration::ZERO).await, Ok(0), "another's by now");
    assert_eq!(next.store.prune(vec![(next.owner, 9)], Duration::ZERO).await, Ok(1));
    assert_eq!(statuses(&*next.store, "service-b", &["1", "2"]).await, [None, Some(Status::Handled)]);
}

/// One call holds up nobody for long; one after the other they come to an end.
pub(crate) async fn pruning_is_bounded(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    for thousand in 0..25 {
        let offsets = thousand * 1_000..(thousand + 1) * 1_000;
        let batch: Vec<_> =
            offsets.map(|offset| event(&offset.to_string()).at(offset).handled(member.owner)).collect();
        member.settle(batch).await;
    }
    let (mut pruned, mut calls) = (0, 0);
    while pruned < 25_000 {
        let some = member.store.prune(vec![(member.owner, 25_000)], Duration::ZERO).await.expect("pruned");
        assert!(some > 0 && some <= 10_000, "{some}");
        (pruned, calls) = (pruned + some, calls + 1);
    }
    assert!(calls > 2);
    assert_eq!(bench.sql("select count(*) from ledger").await, 0);
    assert_eq!(Member::join(bench).await.assigned.pruned_below, 25_000);
}
