//! What handlers write becomes true with the row or not at all.

use super::{Bench, Member, NOTE, NUMBER, STRANGER, event, outgoing, settled, statuses};
use crate::store::{Effects, Refusal, Status, Step, Value, Verdict};

fn note(text: &str) -> Effects {
    Effects::none().write(&NOTE, [text.into()])
}

pub(crate) fn refusal(verdict: &Verdict) -> &Refusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        other => panic!("not refused but {other:?}"),
    }
}

/// Catches: a row that commits before its effects.
pub(crate) async fn effects_and_their_row_come_together(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    settled(&member.settle_one(event("1").writing(owner, note("a").write(&NOTE, ["b".into()]))).await);
    assert_eq!(bench.sql("select count(*) from notes").await, 2);

    let half = event("2").at(1).writing(owner, note("c").write(&NOTE, ["b".into()]));
    let verdict = member.settle_one(half).await;
    let refusal = refusal(&verdict);
    assert!(refusal.permanent && refusal.reason.contains("note"), "{refusal:?}");
    assert_eq!(bench.sql("select count(*) from notes").await, 2);
    assert_eq!(statuses(&*member.store, "service-b", &["1", "2"]).await, [Some(Status::Handled), None]);
}

/// Catches: follow-up events that are not stored with the row.
pub(crate) async fn follow_up_events_go_to_the_outbox(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let step = |text: &str| Step::Handled {
        effects: note(text),
        events: vec![outgoing("payments", &format!("{text}-1")), outgoing("mails", &format!("{text}-2"))],
    };
    let owner = member.owner;
    let verdicts = member
        .settle([
            event("1").settle(owner, step("a")),
            event("2").key("other").at(1).settle(owner, step("a")),
            event("3").key("third").at(2).settle(owner, step("b")),
        ])
        .await;
    assert!(refusal(&verdicts[1]).permanent);
    let rows = member.store.outbox(10, usize::MAX, Vec::new()).await.expect("read");
    let rows: Vec<_> = rows.iter().map(|row| (row.topic.as_str(), row.packed.as_slice())).collect();
    let expected: [(&str, &[u8]); 4] =
        [("payments", b"a-1"), ("mails", b"a-2"), ("payments", b"b-1"), ("mails", b"b-2")];
    assert_eq!(rows, expected);
}

/// Catches: effects that are applied whether or not the row is new.
pub(crate) async fn effects_of_known_events_are_not_applied(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    settled(&member.settle_one(event("1").handled(member.owner)).await);
    let again = event("1").writing(member.owner, note("a"));
    assert_eq!(member.settle_one(again).await, Verdict::Known(Status::Handled));
    assert_eq!(bench.sql("select count(*) from notes").await, 0);
}

/// Interleaving 2.
pub(crate) async fn of_a_large_batch_only_the_refused_one_and_its_key_are_left(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    settled(&member.settle_one(event("0").writing(owner, note("taken"))).await);
    let batch: Vec<_> = (0..2000)
        .map(|number: i64| match number {
            700 => event("e1").key("its key").at(number).writing(owner, note("taken")),
            1300 => event("e2").key("its key").at(number).writing(owner, note("e2")),
            _ => {
                let text = number.to_string();
                event(&text).key(&text).at(number).writing(owner, note(&text))
            }
        })
        .skip(1)
        .collect();
    let verdicts = member.settle(batch).await;
    assert_eq!(verdicts.len(), 1999);
    for (at, verdict) in verdicts.iter().enumerate() {
        match at + 1 {
            700 => assert!(refusal(verdict).permanent),
            1300 => assert_eq!(verdict, &Verdict::Behind),
            _ => assert!(settled(verdict).0 > 0),
        }
    }
    assert_eq!(bench.sql("select count(*) from notes").await, 1998);
    assert_eq!(bench.sql("select count(*) from ledger").await, 1998);
    assert_eq!(statuses(&*member.store, "service-b", &["e1", "e2"]).await, [None, None]);
}

pub(crate) async fn a_refused_event_leaves_the_row_it_had(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    settled(&member.settle_one(event("0").writing(owner, note("taken"))).await);
    let row = settled(&member.settle_one(event("1").at(1).retry(owner)).await);
    let verdict = member.settle_one(event("1").at(1).row(row, 1).writing(owner, note("taken"))).await;
    assert!(refusal(&verdict).permanent);
    let loaded = member.store.load(vec![row]).await.expect("loaded");
    assert_eq!((loaded[0].row, loaded[0].attempts), (row, 1));
}

pub(crate) async fn statements_that_nobody_registered_are_refused(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    settled(&member.settle_one(event("0").writing(member.owner, note("stays"))).await);
    let strange = event("1").at(1).writing(member.owner, Effects::none().write(&STRANGER, []));
    let verdict = member.settle_one(strange).await;
    let refusal = refusal(&verdict);
    assert!(refusal.permanent && refusal.reason.contains("stranger"), "{refusal:?}");
    assert_eq!(bench.sql("select count(*) from notes").await, 1);
}

pub(crate) async fn parameters_keep_their_types(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let values = ["ünï".into(), i64::MIN.into(), 0.5.into(), Value::Bytes(vec![0, 255])];
    let nulls = ["nulls".into(), Value::Null, Value::Null, Value::Null];
    let effects = Effects::none().write(&NUMBER, values).write(&NUMBER, nulls);
    settled(&member.settle_one(event("1").writing(member.owner, effects)).await);
    let kept = "select count(*) from notes where note = 'ünï' and number < -9223372036854775807
                and ratio = 0.5 and length(bytes) = 2";
    assert_eq!(bench.sql(kept).await, 1);
    let nulls = "select count(*) from notes where number is null and ratio is null and bytes is null";
    assert_eq!(bench.sql(nulls).await, 1);
}

/// Too few, too many, and what is no number: an answer that says so, never a null or a zero in its place.
pub(crate) async fn odd_parameters_are_refused(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let few = Effects::none().write(&NOTE, []);
    let many = Effects::none().write(&NOTE, ["a".into(), "b".into()]);
    let no_number =
        Effects::none().write(&NUMBER, ["nan".into(), Value::Null, Value::Real(f64::NAN), Value::Null]);
    for (at, effects) in [few, many, no_number].into_iter().enumerate() {
        let odd = event(&at.to_string()).at(at as i64).writing(member.owner, effects);
        let verdict = member.settle_one(odd).await;
        assert!(refusal(&verdict).permanent, "{at}: {verdict:?}");
    }
    assert_eq!(bench.sql("select count(*) from notes").await, 0);
    assert_eq!(bench.sql("select count(*) from ledger").await, 0);
}
