//! Many rows in one statement: each event is answered as it would be alone.

use super::*;
use crate::store::sqlite::run::ROWS;
use crate::store::suite::{Draft, Member, NOTE, assignee, event};
use crate::store::{Effects, Settlement, Status};

/// What an event of the batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Known,
    /// Its id is that of the event two before it.
    Twice,
    Conflicting,
    /// New, and not for a run.
    Deferred,
    Large,
    Fenced,
}

/// A run of new ones, then one that is interrupted, then two of all kinds that fit in, then the rest.
fn kind(number: usize) -> Kind {
    match (number.checked_sub(ROWS), number % 5) {
        (None, _) => Kind::New,
        (Some(3), _) => Kind::Deferred,
        (Some(5), _) => Kind::Fenced,
        (Some(7), _) => Kind::Large,
        (_, 1) => Kind::Known,
        (Some(10..), 2) => Kind::Twice,
        (_, 3) => Kind::Conflicting,
        _ => Kind::New,
    }
}

fn draft(number: usize) -> Draft {
    let id = if kind(number) == Kind::Twice { number - 2 } else { number };
    event(&format!("event {id}")).at(number as i64)
}

fn settlement(number: usize, mut owner: Ownership) -> Settlement {
    let (kind, mut draft) = (kind(number), draft(number));
    match kind {
        Kind::Fenced => owner.epoch -= 1,
        Kind::Conflicting => draft.data = b"another".to_vec(),
        Kind::Large => draft.data = vec![b'x'; 100_000],
        _ => {}
    }
    let note = format!("{} at {number}", draft.id);
    match kind {
        Kind::Deferred => draft.retry(owner),
        _ => draft.writing(owner, Effects::none().write(&NOTE, [note.as_str().into()])),
    }
}

/// Catches: a verdict, a row or an effect that is the neighbour's.
#[tokio::test]
async fn a_run_is_answered_event_by_event() {
    let file = in_file().await;
    let member = Member::own(Arc::new(file.store().await), assignee()).await;
    let numbers = 0..4 * ROWS + 7;
    let is_there = |number: &usize| matches!(kind(*number), Kind::Known | Kind::Conflicting);
    for number in numbers.clone().filter(is_there) {
        member.settle_one(draft(number).handled(member.owner)).await;
    }
    let batch: Vec<Settlement> = numbers.clone().map(|number| settlement(number, member.owner)).collect();
    let verdicts = member.settle(batch).await;
    assert_eq!(verdicts.len(), numbers.len());
    let beside = file.beside();
    for (number, verdict) in numbers.zip(verdicts) {
        let kind = kind(number);
        let note = format!("{} at {number}", draft(number).id);
        let noted = beside.query_row("select count(*) from notes where note = ?1", [note], |row| row.get(0));
        let is_noted = matches!(kind, Kind::New | Kind::Large);
        assert_eq!(noted, Ok(i64::from(is_noted)), "{number}: {kind:?}");
        match kind {
            Kind::New | Kind::Deferred | Kind::Large => {
                let Verdict::Settled(RowId(row)) = verdict else { panic!("{number}: {verdict:?}") };
                let present =
                    beside.query_row("select id, offset from ledger where row = ?1", [row], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    });
                assert_eq!(present, Ok((draft(number).id, number as i64)));
            }
            Kind::Known | Kind::Twice => assert_eq!(verdict, Verdict::Known(Status::Handled), "{number}"),
            Kind::Conflicting => assert_eq!(verdict, Verdict::Conflict, "{number}"),
            Kind::Fenced => assert_eq!(verdict, Verdict::Fenced, "{number}"),
        }
    }
}

/// Catches: numbers taken from what was inserted last, where nothing was.
#[tokio::test]
async fn a_run_that_comes_again_is_known() {
    let file = in_file().await;
    let member = Member::own(Arc::new(file.store().await), assignee()).await;
    let batch: Arc<[Settlement]> = (0..ROWS).map(|number| settlement(number, member.owner)).collect();
    let first = member.settle(Arc::clone(&batch)).await;
    assert!(first.iter().all(|verdict| matches!(verdict, Verdict::Settled(_))));
    let known = vec![Verdict::Known(Status::Handled); ROWS];
    for _ in 0..2 {
        assert_eq!(member.settle(Arc::clone(&batch)).await, known);
    }
}
