//! Keys, ids and names as only somebody who means harm would choose them.

use std::collections::HashSet;

use super::{Bench, Draft, Member, assignee, event, settled};
use crate::store::{Assignee, Status, Verdict};

pub(crate) async fn an_empty_key_is_no_null_key(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let (empty, mut null) = (event("1").key(""), event("2").at(1));
    null.key = None;
    let odd = event("3").key("\0a\0").at(2);
    member.settle([empty, null, odd].map(|event| event.retry(member.owner))).await;
    let again = Member::own(member.store, Assignee { answers_from: Some(0), ..assignee() }).await;
    let keys: Vec<_> = again.assigned.deferred.iter().map(|row| row.key.clone()).collect();
    assert_eq!(keys, [Some(Vec::new()), None, Some(b"\0a\0".to_vec())]);
    let answered: HashSet<_> =
        again.assigned.answered.into_iter().map(|(key, up_to)| (key, up_to.offset)).collect();
    assert_eq!(answered, HashSet::from([(Some(Vec::new()), 0), (None, 1), (Some(b"\0a\0".to_vec()), 2)]));
}

/// Each is another event, whatever a database makes of UUIDs, numbers, case, blanks and NUL characters.
pub(crate) async fn ids_do_not_collide(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let ids = [
        "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
        "0192F3A4-5B6C-7D8E-9FA0-B1C2D3E4F506",
        "0192f3a45b6c7d8e9fa0b1c2d3e4f506",
        "{0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506}",
        "urn:uuid:0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
        "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 ",
        "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50",
        "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50g",
        "0192f3a4+5b6c-7d8e-9fa0-b1c2d3e4f506",
        "X'0192F3A45B6C7D8E9FA0B1C2D3E4F506'",
        "1",
        "01",
        "1.0",
        "1e0",
        " 1",
        "1 ",
        "a",
        "A",
        "a\0",
        "a\0b",
        "\0",
        "\0\0",
        "ä",
        "a\u{308}",
        "null",
        "'; drop table ledger; --",
        "0123456789abcdef",
        "\u{1}\u{92}",
    ];
    for (offset, id) in ids.iter().enumerate() {
        let verdict = member.settle_one(event(id).at(offset as i64).handled(member.owner)).await;
        assert!(matches!(verdict, Verdict::Settled(_)), "{id:?}: {verdict:?}");
    }
    let again: Vec<_> = ids.iter().map(|id| event(id).handled(member.owner)).collect();
    assert_eq!(member.settle(again).await, vec![Verdict::Known(Status::Handled); ids.len()]);
}

/// Catches: rows that are unique without their source.
pub(crate) async fn sources_and_ids_do_not_flow_into_each_other(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let pairs =
        [("a", "bc"), ("ab", "c"), ("abc", "1"), ("1", "abc"), ("1:a", "bc"), ("A", "bc"), ("a\0", "bc")];
    let events = pairs.map(|(source, id)| Draft { source: source.to_owned(), ..event(id) });
    for verdict in member.settle(events.clone().map(|event| event.handled(member.owner))).await {
        settled(&verdict);
    }
    let again = events.map(|event| event.handled(member.owner));
    assert_eq!(member.settle(again).await, [(); 7].map(|()| Verdict::Known(Status::Handled)));
}

/// What a letter or a reason says may hold anything, NUL characters too.
pub(crate) async fn odd_texts_come_back_as_they_were(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let step = crate::store::Step::Deferred {
        wait: crate::store::Wait::Behind,
        reason: Some("reason\0with ' and \u{1f980}".to_owned()),
    };
    let odd = Draft { ty: "type\0'".to_owned(), ..event("id\0'") };
    let row = settled(&member.settle_one(odd.settle(member.owner, step)).await);
    let loaded = member.store.load(vec![row]).await.expect("loaded");
    assert_eq!(loaded[0].packed, odd.arrived().record().pack());
    assert!(member.store.enqueue(vec![super::outgoing("t", "\0\u{1}")], None, 10).await.expect("added"));
    let number = member.store.outbox(1, usize::MAX, Vec::new()).await.expect("read")[0].number;
    member.store.refused(number, "no\0use".to_owned()).await.expect("noted");
    let rows = member.store.outbox(1, usize::MAX, Vec::new()).await.expect("read");
    assert_eq!(rows[0].packed, b"\0\x01");
    assert!(rows[0].refused.is_some());
}

pub(crate) async fn very_long_ids_work(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let long = "x".repeat(1 << 20);
    let other = format!("{long}y");
    let twice = || [&long, &other].map(|id| event(id).handled(member.owner));
    for verdict in member.settle(twice()).await {
        settled(&verdict);
    }
    assert_eq!(member.settle(twice()).await, [(); 2].map(|()| Verdict::Known(Status::Handled)));
    let by_source = Draft { source: long.clone(), ty: long.clone(), key: Some(long.into()), ..event("1") };
    settled(&member.settle_one(by_source.retry(member.owner)).await);
    let again = Draft { attempts: 7, ..by_source };
    assert_eq!(member.settle_one(again.handled(member.owner)).await, Verdict::Known(Status::Deferred));
}

/// A source and a type of its own for each event, more than any table of names should take.
pub(crate) async fn many_sources_and_types_work(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let one = |number: i64| Draft {
        source: format!("/source/{number}"),
        ty: format!("type.{number}"),
        ..event("the same id").at(number)
    };
    let batch = || (0..6_000).map(|number| one(number).handled(member.owner)).collect::<Vec<_>>();
    for verdict in member.settle(batch()).await {
        settled(&verdict);
    }
    assert_eq!(member.settle(batch()).await, vec![Verdict::Known(Status::Handled); 6_000]);
    let again = Member::join(bench).await;
    let batch = (0..6_000).map(|number| one(number).handled(again.owner)).collect::<Vec<_>>();
    assert_eq!(again.settle(batch).await, vec![Verdict::Known(Status::Handled); 6_000]);
}
