//! Deferred rows: what they wait for, and what is left of it after opening again.

use std::time::Duration;

use super::{Bench, MINUTE, Member, assignee, event, settled};
use crate::record::{Origin, Record};
use crate::store::{Assignee, RowId, Wait, Waiting};

/// Catches: an assign that leaves deferred rows behind, or mixes up their order.
pub(crate) async fn deferred_events_are_there_after_opening_again(bench: &dyn Bench) {
    let first = Member::join(bench).await;
    let row = settled(&first.settle_one(event("1").at(5).retry(first.owner)).await);
    settled(&first.settle_one(event("1").at(5).row(row, 1).retry(first.owner)).await);
    let behind = settled(&first.settle_one(event("2").at(6).waiting(first.owner, Wait::Behind)).await);
    drop(first);

    let again = Member::join(bench).await;
    let [one, two] = &again.assigned.deferred[..] else { panic!("{:?}", again.assigned) };
    assert_eq!((one.row, one.offset, one.key.as_deref()), (row, 5, Some(b"k".as_slice())));
    let Waiting::Retry(left) = one.waiting else { panic!("{one:?}") };
    assert!(left <= MINUTE && left > MINUTE / 2, "{left:?}");
    assert_eq!((two.row, two.offset, two.waiting), (behind, 6, Waiting::Behind));

    let loaded = again.store.load(vec![behind, row]).await.expect("loaded");
    assert_eq!([loaded[0].row, loaded[1].row], [behind, row], "in the order asked for");
    assert_eq!((loaded[1].attempts, loaded[1].failing_for), (2, 60 * MINUTE));
    let record = Record::unpack(&loaded[1].packed, super::TOPIC, 0, loaded[1].offset).expect("a record");
    assert_eq!(&record, event("1").at(5).arrived().record());
}

/// Interleaving 10: the clock has been set back by a hundred days since, or forward.
/// Catches: what is left of a pause counted by the wall clock alone.
pub(crate) async fn a_pause_is_never_longer_than_asked_for(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    settled(&member.settle_one(event("1").retry(member.owner)).await);
    bench.sql("update ledger set due = due + 8640000000").await;
    let later = Member::join(bench).await;
    assert_eq!(later.assigned.deferred[0].waiting, Waiting::Retry(MINUTE));
    bench.sql("update ledger set due = due - 2 * 8640000000").await;
    let earlier = Member::join(bench).await;
    assert_eq!(earlier.assigned.deferred[0].waiting, Waiting::Retry(Duration::ZERO));
}

/// Catches: a row that forgets for how long it has been failing.
pub(crate) async fn waiting_for_a_moment_and_behind_others(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let moment = 4_000_000_000_000;
    let until = settled(&member.settle_one(event("1").waiting(owner, Wait::Until(moment))).await);
    let retried = settled(&member.settle_one(event("2").at(1).retry(owner)).await);
    settled(&member.settle_one(event("2").at(1).row(retried, 1).waiting(owner, Wait::Behind)).await);
    let again = Member::join(bench).await;
    let waiting: Vec<_> = again.assigned.deferred.iter().map(|row| (row.row, row.waiting)).collect();
    assert_eq!(waiting, [(until, Waiting::Until(moment)), (retried, Waiting::Behind)]);
    let loaded = again.store.load(vec![retried]).await.expect("loaded");
    assert_eq!(loaded[0].failing_for, 60 * MINUTE, "kept while it waits behind another");
}

/// Interleaving 4: a topic made anew has other events at the same offsets.
pub(crate) async fn rows_are_named_by_row_and_not_by_offset(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let old = settled(&member.settle_one(event("old").at(3).retry(member.owner)).await);
    let new = settled(&member.settle_one(event("new").at(3).retry(member.owner)).await);
    assert_ne!(old, new);
    settled(&member.settle_one(event("old").at(3).row(old, 1).handled(member.owner)).await);
    let again = Member::join(bench).await;
    let rows: Vec<RowId> = again.assigned.deferred.iter().map(|row| row.row).collect();
    assert_eq!(rows, [new]);
}

pub(crate) async fn only_what_is_deferred_is_loaded(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let deferred = settled(&member.settle_one(event("1").retry(member.owner)).await);
    let handled = settled(&member.settle_one(event("2").at(1).handled(member.owner)).await);
    let asked = vec![handled, RowId(deferred.0 + 1_000), deferred];
    let loaded = member.store.load(asked).await.expect("loaded");
    assert_eq!(loaded.iter().map(|loaded| loaded.row).collect::<Vec<_>>(), [deferred]);
    assert_eq!(member.store.load(Vec::new()).await.expect("loaded"), []);
}

/// Catches: a dead event of which the ledger keeps no record, also where it waited before.
pub(crate) async fn records_are_kept_only_while_they_are_needed(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let row = settled(&member.settle_one(event("1").retry(owner)).await);
    settled(&member.settle_one(event("2").at(1).handled(owner)).await);
    assert_eq!(bench.sql("select count(*) from ledger where packed is not null").await, 1);
    settled(&member.settle_one(event("1").row(row, 1).handled(owner)).await);
    assert_eq!(bench.sql("select count(*) from ledger where packed is not null or due is not null").await, 0);
    settled(&member.settle_one(event("3").at(2).dead(owner, super::outgoing("dlq", "3"))).await);
    assert_eq!(bench.sql("select count(*) from ledger where packed is not null").await, 1);
    let tried = settled(&member.settle_one(event("4").at(3).retry(owner)).await);
    let dead = event("4").at(3).row(tried, 1).dead(owner, super::outgoing("dlq", "4"));
    settled(&member.settle_one(dead).await);
    assert_eq!(bench.sql("select count(*) from ledger where packed is not null").await, 2);
}

/// Interleaving 6: at-least-once keeps no row of what had no effect.
pub(crate) async fn rows_answer_for_earlier_records(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    assert_eq!(member.assigned.answered, []);
    let mut null_key = event("n1").at(13);
    null_key.key = None;
    let mut another = null_key.clone();
    (another.id, another.offset) = ("n2".to_owned(), 20);
    let verdicts = member
        .settle([
            event("below").at(4).key("below").handled(owner),
            event("e8").at(8).handled(owner),
            event("e12").at(12).retry(owner),
            event("e9").at(9).key("other").handled(owner),
            // Put aside at its arrival, while earlier ones of its key are still to be handled.
            event("e30").at(30).waiting(owner, Wait::Until(i64::MAX / 2)),
            // The same, and handled since.
            event("e31").at(31).waiting(owner, Wait::Until(0)),
            null_key.handled(owner),
            another.handled(owner),
        ])
        .await;
    let from = |answers_from| Assignee { answers_from, ..assignee() };
    settled(&member.settle_one(event("e31").at(31).row(settled(&verdicts[5]), 1).handled(owner)).await);
    let answered = Member::own(bench.open().await, from(Some(5))).await.assigned.answered;
    assert!(answered.iter().all(|(_, up_to)| up_to.timestamp == Some(1_000)), "{answered:?}");
    // A topic made anew begins at the old offsets, with younger records.
    let of_another = Origin { topic: super::TOPIC, partition: 0, offset: 0, timestamp: Some(1_001) };
    assert!(answered.iter().all(|(_, up_to)| !up_to.covers(of_another)));
    let mut answered: Vec<_> = answered.into_iter().map(|(key, up_to)| (key, up_to.offset)).collect();
    answered.sort();
    let key = |key: &str| Some(key.as_bytes().to_vec());
    assert_eq!(answered, [(None, 13), (None, 20), (key("k"), 12), (key("other"), 9)]);
    assert_eq!(Member::own(bench.open().await, from(None)).await.assigned.answered, []);
}
