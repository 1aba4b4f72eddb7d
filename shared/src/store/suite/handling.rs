//! Rows that say that a handler is at work, and what a crash leaves of them.

use std::time::Duration;

use super::{Bench, Member, NOTE, assignee, event, outgoing, settled, statuses};
use crate::store::{Assignee, Effects, Settlement, Status, Step, Store, Verdict, Wait, Waiting};

fn begin(member: &Member, id: &str, offset: i64) -> Settlement {
    Settlement { attempts: 0, ..event(id).at(offset).settle(member.owner, Step::Handling) }
}

/// Catches: a record that is not kept, once it is needed after all.
pub(crate) async fn what_is_handled_has_a_row_before(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let rows: Vec<_> = member
        .settle([begin(&member, "1", 1), begin(&member, "2", 2), begin(&member, "3", 3)])
        .await
        .iter()
        .map(settled)
        .collect();
    assert_eq!(statuses(&*member.store, "service-b", &["1"]).await, [Some(Status::Handling)]);
    let verdicts = member
        .settle([
            event("1").at(1).row(rows[0], 0).handled(member.owner),
            event("2").at(2).row(rows[1], 0).retry(member.owner),
            event("3").at(3).row(rows[2], 0).dead(member.owner, outgoing("dlq", "letter")),
        ])
        .await;
    assert_eq!(verdicts, rows.iter().map(|row| Verdict::Settled(*row)).collect::<Vec<_>>());
    let loaded = member.store.load(rows.clone()).await.expect("loaded");
    assert_eq!(loaded.iter().map(|one| (one.row, one.attempts)).collect::<Vec<_>>(), [(rows[1], 1)]);
    assert_eq!(loaded[0].packed, event("2").at(2).arrived().record().pack());
    assert_eq!(bench.sql("select count(*) from ledger where packed is not null").await, 2);

    let again = member.settle([begin(&member, "1", 9), begin(&member, "2", 9)]).await;
    assert_eq!(again, [Verdict::Known(Status::Handled), Verdict::Known(Status::Deferred)]);
    let mut other = event("1").at(9);
    other.data = b"other data".to_vec();
    assert_eq!(member.settle_one(other.settle(member.owner, Step::Handling)).await, Verdict::Conflict);
}

/// Catches: an event that is taken for handled because a crash left it in the middle.
pub(crate) async fn what_a_crash_left_in_the_middle_is_handled_again(bench: &dyn Bench) {
    let first = Member::join(bench).await;
    for (id, offset) in [("1", 1), ("2", 2), ("3", 3)] {
        settled(&first.settle_one(begin(&first, id, offset)).await);
    }
    let member = Member::join(bench).await;
    assert_eq!(member.assigned.deferred, [], "Kafka has them");
    // By a handler that reaches out, by one that is pure, and as one that has to wait.
    let row = settled(&member.settle_one(begin(&member, "1", 1)).await);
    settled(&member.settle_one(event("1").at(1).row(row, 0).handled(member.owner)).await);
    let effect = Effects::none().write(&NOTE, ["pure".into()]);
    let verdicts = member
        .settle([
            event("2").at(2).writing(member.owner, effect),
            event("3").at(3).waiting(member.owner, Wait::Behind),
        ])
        .await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Settled(_))), "{verdicts:?}");
    assert_eq!(bench.sql("select count(*) from notes").await, 1);
    let expected = [Status::Handled, Status::Handled, Status::Deferred].map(Some);
    assert_eq!(statuses(&*member.store, "service-b", &["1", "2", "3"]).await, expected);
    assert_eq!(first.settle_one(event("1").row(row, 0).handled(first.owner)).await, Verdict::Fenced);
    assert_eq!(bench.sql("select count(*) from ledger").await, 3);
}

/// Catches: among many that are handled at once, one of those that a crash left.
pub(crate) async fn what_a_crash_left_is_found_among_many(bench: &dyn Bench) {
    let first = Member::join(bench).await;
    settled(&first.settle_one(begin(&first, "17", 17)).await);
    settled(&first.settle_one(event("18").at(18).handled(first.owner)).await);
    let member = Member::join(bench).await;
    let note = |id: usize| Effects::none().write(&NOTE, [format!("{id}").as_str().into()]);
    let batch: Vec<Settlement> =
        (0..60).map(|id| event(&id.to_string()).at(id as i64).writing(member.owner, note(id))).collect();
    let verdicts = member.settle(batch).await;
    assert_eq!(verdicts[18], Verdict::Known(Status::Handled));
    let is_settled = |verdict: &&Verdict| matches!(verdict, Verdict::Settled(_));
    assert_eq!(verdicts.iter().filter(is_settled).count(), 59, "{verdicts:?}");
    assert_eq!(bench.sql("select count(*) from notes").await, 59);
    assert_eq!(bench.sql("select count(*) from ledger where status = 2").await, 60);
}

/// Catches: a retry that is lost because it was being handled when its member was killed.
pub(crate) async fn a_deferred_event_waits_again_after_a_crash(bench: &dyn Bench) {
    let first = Member::join(bench).await;
    let retry = settled(&first.settle_one(event("1").at(1).retry(first.owner)).await);
    let behind = settled(&first.settle_one(event("2").at(2).waiting(first.owner, Wait::Behind)).await);
    let begin = |id: &str, row, attempts| Settlement {
        attempts,
        ..event(id).row(row, attempts).settle(first.owner, Step::Handling)
    };
    settled(&first.settle_one(begin("1", retry, 1)).await);
    settled(&first.settle_one(begin("2", behind, 1)).await);
    assert_eq!(first.store.load(vec![retry, behind]).await.expect("loaded"), []);
    let again = first.settle_one(begin("1", retry, 1)).await;
    assert_eq!(again, Verdict::Known(Status::Handling), "two at once");

    let member = Member::join(bench).await;
    let waiting: Vec<_> = member.assigned.deferred.iter().map(|row| (row.row, row.waiting)).collect();
    assert!(
        matches!(waiting[..], [(one, Waiting::Retry(left)), (two, Waiting::Behind)]
        if one == retry && two == behind && left <= Duration::from_secs(60)),
        "{waiting:?}"
    );
    let loaded = member.store.load(vec![retry]).await.expect("loaded");
    assert_eq!((loaded[0].attempts, loaded[0].failing_for), (1, Duration::from_secs(3600)));
}

/// Catches: a record that is not handled because a row answers for it that nobody has settled.
pub(crate) async fn what_is_being_handled_answers_for_nobody(bench: &dyn Bench) {
    let first = Member::join(bench).await;
    settled(&first.settle_one(begin(&first, "1", 5)).await);
    let at_least_once = Assignee { answers_from: Some(0), ..assignee() };
    let member = Member::own(bench.open().await, at_least_once).await;
    assert_eq!(member.assigned.answered, []);
}

/// Catches: a second record of an event, too late, that ends what the first one's handler is about to do.
pub(crate) async fn another_record_of_an_event_ends_nothing(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let row = settled(&member.settle_one(begin(&member, "1", 1)).await);
    let expired = event("1").at(7).settle(member.owner, Step::Expired);
    assert_eq!(member.settle_one(expired).await, Verdict::Known(Status::Handling));
    let effect = Effects::none().write(&NOTE, ["once".into()]);
    settled(&member.settle_one(event("1").at(1).row(row, 0).writing(member.owner, effect)).await);
    assert_eq!(bench.sql("select count(*) from notes").await, 1);
}
