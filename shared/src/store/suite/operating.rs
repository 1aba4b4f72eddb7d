//! What operators do to events, and what members and handlers see of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Bench, MINUTE, Member, NOTE, assignee, event, outgoing, settled, statuses};
use crate::store::operate::{Cancelled, Operated, Operation};
use crate::store::{
    Assignee, Change, Effects, OperationRow, RowId, Settlement, Status, Step, Store, Verdict, Wait, Waiting,
    ask,
};

const SOURCE: &str = "/suite";

fn begin(member: &Member, id: &str) -> Settlement {
    Settlement { attempts: 0, ..event(id).settle(member.owner, Step::Handling) }
}

/// Catches: a cancel of what has taken effect or may be taking it, one that is not kept to, one that is forgotten.
pub(crate) async fn a_cancel_is_in_time_or_says_that_it_is_not(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let cancel = |id: &'static str| operator.cancel("service-b", SOURCE, id);
    settled(&member.settle_one(event("handled").handled(member.owner)).await);
    let handling = settled(&member.settle_one(begin(&member, "handling")).await);
    let deferred = settled(&member.settle_one(event("deferred").at(3).retry(member.owner)).await);
    settled(&member.settle_one(event("dead").dead(member.owner, outgoing("dlq", "letter"))).await);

    assert!(matches!(cancel("handled").await, Ok(Cancelled::TooLate(Status::Handled, Some(_)))));
    assert!(matches!(cancel("handling").await, Ok(Cancelled::TooLate(Status::Handling, Some(_)))));
    assert_eq!(cancel("deferred").await, Ok(Cancelled::Now(Status::Deferred)));
    assert_eq!(cancel("deferred").await, Ok(Cancelled::Now(Status::Cancelled)), "said again");
    assert_eq!(cancel("dead").await, Ok(Cancelled::Now(Status::Dead)));
    assert_eq!(cancel("ahead").await, Ok(Cancelled::Ahead));
    assert_eq!(operator.cancel("nobody", SOURCE, "x").await, Ok(Cancelled::NoGroup));

    settled(&member.settle_one(event("handling").row(handling, 0).handled(member.owner)).await);
    let effect = || Effects::none().write(&NOTE, ["never".into()]);
    let cancelled = Verdict::Known(Status::Cancelled);
    let verdicts = member
        .settle([
            event("deferred").row(deferred, 1).writing(member.owner, effect()),
            event("ahead").writing(member.owner, effect()),
            begin(&member, "ahead"),
        ])
        .await;
    assert_eq!(verdicts, [cancelled.clone(), cancelled.clone(), cancelled]);
    assert_eq!(bench.sql("select count(*) from notes").await, 0);
    assert_eq!(member.store.load(vec![deferred]).await.expect("loaded"), []);
    let expected = [Status::Cancelled, Status::Cancelled, Status::Handled].map(Some);
    assert_eq!(statuses(&*member.store, "service-b", &["ahead", "dead", "handling"]).await, expected);
    assert_eq!(Member::join(bench).await.assigned.deferred, []);
}

/// Catches: an untrue promise where not every event has a row.
pub(crate) async fn what_need_not_have_a_row_is_not_cancelled_ahead(bench: &dyn Bench) {
    let at_least_once = Assignee { answers_from: Some(0), ..assignee() };
    let member = Member::own(bench.open().await, at_least_once).await;
    let operator = bench.operator().await;
    assert_eq!(operator.cancel("service-b", SOURCE, "ahead").await, Ok(Cancelled::NotRecorded));
    settled(&member.settle_one(event("deferred").retry(member.owner)).await);
    assert_eq!(operator.cancel("service-b", SOURCE, "deferred").await, Ok(Cancelled::Now(Status::Deferred)));
    assert_eq!(bench.sql("select count(*) from ledger").await, 1);
}

/// Cancels and handlers of both kinds at once, each event by both.
/// Catches: an event that is cancelled and takes effect; one that is neither; an answer that is untrue.
pub(crate) async fn a_cancel_and_a_handler_never_both_have_their_way(bench: &dyn Bench) {
    const EVENTS: usize = 300;
    let member = Arc::new(Member::join(bench).await);
    let operator = bench.operator().await;
    let cancelling = tokio::spawn(async move {
        let mut answers = Vec::new();
        for id in 0..EVENTS {
            answers.push(operator.cancel("service-b", SOURCE, &id.to_string()).await.expect("an answer"));
        }
        answers
    });
    let mut outcomes = Vec::new();
    for id in 0..EVENTS {
        let (id, note) = (id.to_string(), Effects::none().write(&NOTE, [id.to_string().as_str().into()]));
        let verdict = if id.len() % 2 == 0 {
            member.settle_one(event(&id).writing(member.owner, note)).await
        } else {
            match member.settle_one(begin(&member, &id)).await {
                Verdict::Settled(row) => {
                    member.settle_one(event(&id).row(row, 0).writing(member.owner, note)).await
                }
                other => other,
            }
        };
        outcomes.push(verdict);
        tokio::task::yield_now().await;
    }
    let answers = cancelling.await.expect("cancelled");
    for (id, (answer, outcome)) in answers.iter().zip(&outcomes).enumerate() {
        let is_cancelled = matches!(answer, Cancelled::Ahead);
        let has_effect = bench.sql(&format!("select count(*) from notes where note = '{id}'")).await == 1;
        assert_eq!(has_effect, !is_cancelled, "{id}: {answer:?}, {outcome:?}");
        assert_eq!(has_effect, matches!(outcome, Verdict::Settled(_)), "{id}: {answer:?}, {outcome:?}");
    }
}

/// Catches: a dead event that is handled by nobody, or at its old attempt; one whose history is gone.
pub(crate) async fn a_dead_event_is_given_back_to_its_handler(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let dead = |id: &str| event(id).dead(member.owner, outgoing("dlq", "letter"));
    let one = settled(&member.settle_one(dead("1")).await);
    let two = settled(&member.settle_one(dead("2")).await);
    let handled = settled(&member.settle_one(event("3").handled(member.owner)).await);
    let answers = operator.operate(Operation::Redrive, vec![one, handled, RowId(999)]).await.expect("done");
    assert!(
        matches!(
            answers[..],
            [Operated::Done(Status::Dead), Operated::Unfit(Status::Handled, Some(_)), Operated::Gone]
        ),
        "{answers:?}"
    );
    assert_eq!(operator.operate(Operation::Park, vec![two]).await, Ok(vec![Operated::Done(Status::Dead)]));

    let changes = changes(&member, 0).await;
    assert!(
        matches!(&changes[..], [Change { row: first, waiting: Some(Waiting::Until(_)), .. }, Change { row: second, waiting: None, .. }]
            if (*first, *second) == (one, two)),
        "{changes:?}"
    );
    assert_eq!(self::changes(&member, changes[0].number).await.len(), 1);

    let loaded = member.store.load(vec![one, two]).await.expect("loaded");
    assert_eq!(loaded.iter().map(|row| (row.row, row.attempts)).collect::<Vec<_>>(), [(one, 0)]);
    assert_eq!(
        member.settle_one(event("1").row(one, 0).dead(member.owner, outgoing("dlq", "again"))).await,
        Verdict::Settled(one)
    );
    let again = operator.operate(Operation::Redrive, vec![one]).await;
    assert_eq!(again, Ok(vec![Operated::Done(Status::Dead)]));
    assert_eq!(bench.sql("select redrives from ledger where redrives is not null").await, 2);

    let next = Member::join(bench).await;
    assert_eq!(next.assigned.deferred.iter().map(|row| row.row).collect::<Vec<_>>(), [one]);
    assert_eq!(self::changes(&next, next.assigned.changed).await, [], "known since the assignment");
}

/// Catches: an attempt that is made early although it is not the event's turn.
pub(crate) async fn only_what_has_failed_is_tried_again_early(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let failed = settled(&member.settle_one(event("1").retry(member.owner)).await);
    let behind = settled(&member.settle_one(event("2").at(1).waiting(member.owner, Wait::Behind)).await);
    let until =
        settled(&member.settle_one(event("3").at(2).waiting(member.owner, Wait::Until(i64::MAX / 2))).await);
    let answers = operator.operate(Operation::Retry, vec![failed, behind, until]).await;
    assert_eq!(answers, Ok(vec![Operated::Done(Status::Deferred), Operated::Waits, Operated::Waits]));
    let changes = changes(&member, 0).await;
    assert!(
        matches!(&changes[..], [Change { waiting: Some(Waiting::Retry(left)), .. }] if left.is_zero()),
        "{changes:?}"
    );
    settled(&member.settle_one(event("1").row(failed, 1).handled(member.owner)).await);
}

/// Catches: data that stays; an event that is handled again because its row is gone.
pub(crate) async fn what_is_deleted_is_still_known(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let handled = settled(&member.settle_one(event("1").handled(member.owner)).await);
    let deferred = settled(&member.settle_one(event("2").at(1).retry(member.owner)).await);
    let handling = settled(&member.settle_one(begin(&member, "3")).await);
    let answers = operator.operate(Operation::Delete, vec![handled, deferred, handling]).await.expect("done");
    assert!(
        matches!(
            answers[..],
            [
                Operated::Done(Status::Handled),
                Operated::Done(Status::Deferred),
                Operated::Unfit(Status::Handling, _)
            ]
        ),
        "{answers:?}"
    );
    let kept = "select count(*) from ledger where status = 8 and (key is not null or packed is not null or reason is not null)";
    assert_eq!(bench.sql(kept).await, 0);
    let verdicts = member.settle([event("1").handled(member.owner), event("2").handled(member.owner)]).await;
    assert_eq!(verdicts, [Verdict::Known(Status::Deleted), Verdict::Known(Status::Deleted)]);
}

async fn changes(member: &Member, after: i64) -> Vec<Change> {
    member.store.changes(vec![(member.owner.partition, after)]).await.expect("changes")
}

/// Catches: a cancel that is undone by deleting it; an event that becomes a dead letter because of one that never was.
pub(crate) async fn what_is_cancelled_ahead_and_deleted_stays_cancelled(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    assert_eq!(operator.cancel("service-b", SOURCE, "ahead").await, Ok(Cancelled::Ahead));
    let query = ask(&bench.url()).await.expect("a desk");
    let row = RowId(query.find(1, "ahead", None).await.expect("found")[0].row);
    let deleted = operator.operate(Operation::Delete, vec![row]).await;
    assert_eq!(deleted, Ok(vec![Operated::Done(Status::Cancelled)]));
    let verdicts = member.settle([begin(&member, "ahead"), event("ahead").handled(member.owner)]).await;
    assert_eq!(verdicts, [Verdict::Known(Status::Deleted), Verdict::Known(Status::Deleted)]);
}

/// Catches: a member that takes an event for ended which it is handling, or which has just died.
pub(crate) async fn what_is_being_handled_or_dead_is_not_ended(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let row = settled(&member.settle_one(event("1").retry(member.owner)).await);
    operator.operate(Operation::Retry, vec![row]).await.expect("done");
    settled(
        &member
            .settle_one(Settlement {
                attempts: 1,
                ..event("1").row(row, 1).settle(member.owner, Step::Handling)
            })
            .await,
    );
    assert!(changes(&member, 0).await[0].waiting.is_some());
    settled(&member.settle_one(event("1").row(row, 1).dead(member.owner, outgoing("dlq", "letter"))).await);
    assert!(changes(&member, 0).await[0].waiting.is_some());
}

/// Catches: what a deleted event's reason said, kept beside it.
pub(crate) async fn nothing_of_a_deleted_event_is_kept_in_its_history(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let row = settled(&member.settle_one(event("1").dead(member.owner, outgoing("dlq", "letter"))).await);
    operator.operate(Operation::Redrive, vec![row]).await.expect("done");
    operator.operate(Operation::Delete, vec![row]).await.expect("done");
    let history = history(bench, row).await;
    assert!(history.len() == 2 && history.iter().all(|one| one.reason.is_none()), "{history:?}");
}

/// Catches: an event with the history of another, whose row had its number; a history that grows for ever.
pub(crate) async fn a_history_goes_with_its_row(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    let row = settled(&member.settle_one(event("1").at(1).handled(member.owner)).await);
    operator.operate(Operation::Delete, vec![row]).await.expect("done");
    assert_eq!(history(bench, row).await.len(), 1);
    assert_eq!(member.store.prune(vec![(member.owner, 9)], Duration::ZERO).await, Ok(1));
    assert!(history(bench, row).await.is_empty());
}

/// Catches: a dead event that held its key, is given back while nobody has its partition, and goes after those that it held.
pub(crate) async fn what_is_given_back_goes_before_what_it_held(bench: &dyn Bench) {
    let holding = || Assignee { dead_hold: true, ..assignee() };
    let member = Member::own(bench.open().await, holding()).await;
    let operator = bench.operator().await;
    let dead = settled(&member.settle_one(event("1").dead(member.owner, outgoing("dlq", "letter"))).await);
    let behind = settled(&member.settle_one(event("2").at(1).waiting(member.owner, Wait::Behind)).await);
    let until = Wait::Until(i64::MAX / 2);
    let scheduled = settled(&member.settle_one(event("3").at(2).waiting(member.owner, until)).await);
    operator.operate(Operation::Redrive, vec![dead]).await.expect("done");
    let next = Member::own(bench.open().await, holding()).await;
    let deferred: Vec<_> = next.assigned.deferred.iter().map(|row| (row.row, row.waiting)).collect();
    let now = Waiting::Retry(Duration::ZERO);
    assert_eq!(deferred, [(dead, now), (behind, Waiting::Behind), (scheduled, Waiting::Until(i64::MAX / 2))]);
}

async fn history(bench: &dyn Bench, row: RowId) -> Vec<OperationRow> {
    ask(&bench.url()).await.expect("a desk").operations(row.0).await.expect("a history")
}

/// Catches: cancels of events that never come and fill the ledger.
pub(crate) async fn a_cancel_ahead_is_forgotten_in_time(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let operator = bench.operator().await;
    assert_eq!(operator.cancel("service-b", SOURCE, "ahead").await, Ok(Cancelled::Ahead));
    let prune = |age| member.store.prune(vec![(member.owner, 0)], age);
    prune(MINUTE).await.expect("pruned");
    assert_eq!(bench.sql("select count(*) from ledger").await, 1);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    prune(std::time::Duration::ZERO).await.expect("pruned");
    assert_eq!(bench.sql("select count(*) from ledger").await, 0);
}
