//! Dead events.

use super::{Bench, Member, NOTE, assignee, event, outgoing, refusal, settled, statuses};
use crate::store::{Assignee, Effects, Status, Verdict, Waiting};

/// The letter is in the outbox with the row; what shares its batch with a refused event is there once.
/// Catches: a dead row without its letter in the same transaction.
pub(crate) async fn a_dead_event_and_its_letter_come_together(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let note = |text: &str| Effects::none().write(&NOTE, [text.into()]);
    settled(&member.settle_one(event("0").writing(owner, note("taken"))).await);
    let verdicts = member
        .settle([
            event("1").key("a").at(1).dead(owner, outgoing("dlq", "1")),
            event("2").key("b").at(2).writing(owner, note("taken")),
            event("3").key("b").at(3).dead(owner, outgoing("dlq", "3")),
        ])
        .await;
    settled(&verdicts[0]);
    assert!(refusal(&verdicts[1]).permanent);
    assert_eq!(verdicts[2], Verdict::Behind);
    let ids = ["1", "2", "3"];
    assert_eq!(statuses(&*member.store, "service-b", &ids).await, [Some(Status::Dead), None, None]);
    let letters = member.store.outbox(10, usize::MAX, Vec::new()).await.expect("read");
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].topic.as_str(), letters[0].packed.as_slice()), ("dlq", b"1".as_slice()));
}

pub(crate) async fn a_dead_event_holds_its_key_where_that_is_wanted(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let retried = settled(&member.settle_one(event("1").at(1).retry(owner)).await);
    let dead = settled(&member.settle_one(event("2").at(2).dead(owner, outgoing("dlq", "2"))).await);
    let mut null_key = event("3").at(3);
    null_key.key = None;
    settled(&member.settle_one(null_key.dead(owner, outgoing("dlq", "3"))).await);
    let both = Member::own(bench.open().await, Assignee { dead_hold: true, ..assignee() }).await;
    let rows: Vec<_> = both.assigned.deferred.iter().map(|row| (row.row, row.offset)).collect();
    assert_eq!(rows, [(retried, 1), (dead, 2)]);
    assert_eq!(both.assigned.deferred[1].waiting, Waiting::Operator);
    let without = Member::join(bench).await;
    assert_eq!(without.assigned.deferred.len(), 1);
}
