//! What an operator asks, at the [`Desk`].

use jiff::Timestamp;

use super::{Bench, Draft, Member, TOPIC, assignee, event, outgoing, settled};
use crate::desk::{Desk, EventRow, Filter, OperationKind, Status, Waits};
use crate::event::Arrived;
use crate::store::query::LOOKED_AT;
use crate::store::{Assignee, Settlement, Step, Wait};

async fn desk(bench: &dyn Bench) -> Desk {
    Desk::open(&bench.url(), "service-b").await.expect("a desk")
}

/// The ids of all that the filter leaves, in pages of that size.
async fn paged(desk: &Desk, filter: &Filter, size: usize) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = desk.list(filter, after, size).await.expect("listed");
        assert!(page.rows.len() <= size, "{}", page.rows.len());
        ids.extend(page.rows.into_iter().map(|row| row.id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

async fn ids(desk: &Desk, filter: &Filter) -> Vec<String> {
    paged(desk, filter, 100).await
}

fn any() -> Filter {
    Filter::default()
}

fn of(status: &[Status]) -> Filter {
    any().with_status(status.iter().copied())
}

/// Catches: a column taken for another, an old status beside a new one.
pub(crate) async fn a_row_is_shown_as_it_is(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let owner = member.owner;
    let before = Timestamp::now();
    let moment = 4_000_000_000_000;
    let batch = [
        event("handled").at(1).handled(owner),
        event("retry").at(2).retry(owner),
        event("behind").at(3).waiting(owner, Wait::Behind),
        event("until").at(4).waiting(owner, Wait::Until(moment)),
        event("dead").at(5).dead(owner, outgoing("dlq", "letter")),
        event("expired").at(6).settle(owner, Step::Expired),
    ];
    let rows: Vec<i64> = member.settle(batch).await.iter().map(|verdict| settled(verdict).0).collect();
    let page = desk(bench).await.list(&any(), None, 100).await.expect("listed");
    assert_eq!(page.next, None);
    let found: Vec<&EventRow> = page.rows.iter().rev().collect();
    assert_eq!(found.iter().map(|row| row.row).collect::<Vec<_>>(), rows, "newest first");
    for (row, (id, status, waits, reason)) in found.iter().zip([
        ("handled", Status::Handled, None, None),
        ("retry", Status::Deferred, Some(Waits::Retry), Some("did not work")),
        ("behind", Status::Deferred, Some(Waits::Behind), None),
        ("until", Status::Deferred, Some(Waits::Until), None),
        ("dead", Status::Dead, None, Some("no use")),
        ("expired", Status::Expired, None, None),
    ]) {
        assert_eq!((row.id.as_str(), row.status, row.waits), (id, status, waits));
        assert_eq!(row.reason.as_deref(), reason, "{id}");
        assert_eq!(
            (row.source.as_str(), row.ty.as_deref()),
            ("/suite", Some("com.example.noted.v1")),
            "{id}"
        );
        assert_eq!((row.topic.as_str(), row.partition, row.attempts, row.redrives), (TOPIC, 0, 1, 0), "{id}");
        assert_eq!(row.key.as_ref().and_then(|key| key.text()), Some("k"), "{id}");
        assert_eq!(row.time, Timestamp::from_millisecond(1_000).ok(), "{id}");
        assert_eq!(row.settled.is_some(), status != Status::Deferred, "{id}");
        let seen = row.first_seen.expect("first seen").duration_since(before).as_secs();
        assert!((-60..60).contains(&seen), "{id}: {seen}");
    }
    assert_eq!(found.iter().map(|row| row.offset).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let due = found[1].due.expect("due").duration_since(before).as_secs();
    assert!((0..=120).contains(&due), "{due}");
    assert_eq!(found[3].due, Timestamp::from_millisecond(moment).ok());
}

/// Catches: a part of a filter that is forgotten, or that another way of reading takes for something else.
pub(crate) async fn each_part_of_a_filter_is_kept_to(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let other = Member::own(bench.open().await, Assignee { topic: "returns".to_owned(), ..assignee() }).await;
    let owner = member.owner;
    let long = format!("/{}", "x".repeat(500));
    let of_type = |ty: &str, draft: Draft| Draft { ty: ty.to_owned(), ..draft };
    let from = |source: &str, draft: Draft| Draft { source: source.to_owned(), ..draft };
    let mut null_key = event("null key");
    null_key.key = None;
    let mut undecodable = event("not an event");
    undecodable.ty = String::new();
    let undecodable = undecodable.at(40);
    assert!(matches!(undecodable.arrived(), Arrived::Undecodable(_)));
    member
        .settle([
            event("plain").handled(owner),
            of_type("com.example.orders.v1", event("order")).handled(owner),
            of_type("com.examples", event("near")).retry(owner),
            event("keyed").key("other").dead(owner, outgoing("dlq", "letter")),
            event("empty key").key("").retry(owner),
            null_key.retry(owner),
            from("/elsewhere", event("sent")).retry(owner),
            from(&long, event("far")).handled(owner),
            undecodable.settle(
                owner,
                Step::Dead { reason: "100% of \"it\"".to_owned(), letter: outgoing("dlq", "2") },
            ),
        ])
        .await;
    let mut returned = event("returned").retry(other.owner);
    returned.step = Step::Deferred { wait: Wait::Behind, reason: Some("did not work\0either".to_owned()) };
    other.settle([returned]).await;

    let desk = desk(bench).await;
    let text = |text: &str| Some(text.to_owned());
    let ty = |text: &str| Filter { ty: Some(text.parse().expect("a pattern")), ..any() };
    let place = format!("{TOPIC}/0/40@1000");
    let deferred: &[&str] = &["returned", "sent", "null key", "empty key", "near"];
    let cases: Vec<(Filter, Vec<&str>)> = vec![
        (of(&[Status::Deferred]), deferred.to_vec()),
        (of(&[Status::Dead]), vec![&place, "keyed"]),
        (
            of(&[Status::Dead, Status::Deferred]),
            vec!["returned", &place, "sent", "null key", "empty key", "keyed", "near"],
        ),
        (of(&[Status::Handled]), vec!["far", "order", "plain"]),
        (of(&[Status::Handled, Status::Dead]), vec![&place, "far", "keyed", "order", "plain"]),
        (of(&[Status::Parked]), vec![]),
        (ty("com.example.orders.v1"), vec!["order"]),
        (ty("com.example.orders.*"), vec!["order"]),
        (ty("com.example.*").with_status([Status::Handled]), vec!["far", "order", "plain"]),
        (ty("com.example.orders.v1.*"), vec![]),
        (ty("com.examples").with_status([Status::Deferred]), vec!["near"]),
        (ty("com.nobody.*"), vec![]),
        (Filter { key: text("other"), ..any() }, vec!["keyed"]),
        (Filter { key: text(""), ..any() }, vec!["empty key"]),
        (Filter { key: text("oth"), ..any() }, vec![]),
        (Filter { source: text("/elsewhere"), ..any() }, vec!["sent"]),
        (Filter { source: text(&long), ..any() }, vec!["far"]),
        (Filter { source: text("/nowhere"), ..any() }, vec![]),
        (Filter { topic: text("returns"), ..any() }, vec!["returned"]),
        (Filter { topic: text("return"), ..any() }, vec![]),
        (Filter { reason: text("100% of \""), ..any() }, vec![&place]),
        (Filter { reason: text("work\0e"), ..of(&[Status::Deferred]) }, vec!["returned"]),
        (Filter { reason: text("%"), ..of(&[Status::Deferred]) }, vec![]),
        (Filter { reason: text("did not"), topic: text(TOPIC), key: text(""), ..any() }, vec!["empty key"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&desk, &filter).await, expected, "{filter}");
    }
    // Every type, and what has none.
    assert_eq!(ids(&desk, &ty("*")).await.len(), 10);
    let long = desk.list(&Filter { source: text(&long), ..any() }, None, 1).await.expect("listed");
    assert_eq!(long.rows[0].source.len(), 501);
}

/// Catches: a row at the boundary of two pages that is on none of them, or on both.
pub(crate) async fn pages_go_on_where_they_ended(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let batch: Vec<Settlement> = (0..25)
        .map(|number| {
            let draft = event(&number.to_string()).at(number);
            if number % 3 == 0 { draft.handled(member.owner) } else { draft.retry(member.owner) }
        })
        .collect();
    member.settle(batch).await;
    let desk = desk(bench).await;
    let newest = |keep: fn(i64) -> bool| -> Vec<String> {
        (0..25).rev().filter(|number| keep(*number)).map(|number| number.to_string()).collect()
    };
    for size in [1, 7, 25, 26] {
        assert_eq!(paged(&desk, &any(), size).await, newest(|_| true), "{size}");
        assert_eq!(
            paged(&desk, &of(&[Status::Deferred]), size).await,
            newest(|number| number % 3 > 0),
            "{size}"
        );
    }
    let first = desk.list(&any(), None, 5).await.expect("listed");
    member.settle_one(event("new").at(25).handled(member.owner)).await;
    let second = desk.list(&any(), first.next, 5).await.expect("listed");
    assert_eq!(second.rows[0].id, "19", "what comes meanwhile moves no page");
    assert!(desk.list(&any(), None, 0).await.expect("listed").rows.is_empty());
}

/// Further down than one transaction looks.
/// Catches: a listing that ends where a transaction did.
pub(crate) async fn what_is_asked_for_may_lie_far_down(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    member.settle_one(event("first").key("first").handled(member.owner)).await;
    let many = LOOKED_AT as i64 + 50;
    for start in (1..many).step_by(2_000) {
        let one = |number: i64| event(&number.to_string()).at(number).handled(member.owner);
        member.settle((start..many.min(start + 2_000)).map(one).collect::<Vec<_>>()).await;
    }
    let filter = Filter { key: Some("first".to_owned()), ..any() };
    assert_eq!(ids(&desk(bench).await, &filter).await, ["first"]);
}

/// Rows ten minutes apart, of which one was made by a clock half an hour behind.
/// Catches: a boundary of the window that is off, rows left out that a minute's disorder put beside it.
pub(crate) async fn a_window_of_time_is_kept_to(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let minute = 60_000;
    for number in 0..30 {
        let settlement = event(&number.to_string()).at(number);
        let settlement =
            if number % 2 == 0 { settlement.handled(member.owner) } else { settlement.retry(member.owner) };
        let row = settled(&member.settle_one(settlement).await);
        // Numbers 10 and 11 in the wrong order, by less than a minute.
        let seen = match number {
            10 => 100 * minute + 30_000,
            11 => 100 * minute,
            number => 10 * minute * number,
        };
        bench.seen_at(row.0, seen).await;
    }
    let desk = desk(bench).await;
    let window = |since: Option<i64>, until: Option<i64>| {
        let at = |millis: Option<i64>| millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        Filter { since: at(since), until: at(until), ..any() }
    };
    let numbers = |numbers: &[i64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>();
    let both = window(Some(90 * minute), Some(120 * minute));
    assert_eq!(ids(&desk, &both).await, numbers(&[11, 10, 9]));
    assert_eq!(ids(&desk, &both.with_status([Status::Deferred])).await, numbers(&[11, 9]));
    assert_eq!(ids(&desk, &window(Some(100 * minute + 1), Some(120 * minute))).await, numbers(&[10]));
    assert_eq!(ids(&desk, &window(Some(280 * minute), None)).await, numbers(&[29, 28]));
    assert_eq!(ids(&desk, &window(None, Some(10 * minute))).await, numbers(&[0]));
    assert_eq!(ids(&desk, &window(Some(291 * minute), None)).await, numbers(&[]));
    assert_eq!(ids(&desk, &window(None, Some(0))).await, numbers(&[]));
    assert_eq!(paged(&desk, &window(Some(50 * minute), Some(80 * minute)), 2).await, numbers(&[7, 6, 5]));
}

/// Catches: an id looked for under one source alone, a UUID taken for text.
pub(crate) async fn an_event_is_found_by_its_id(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let uuid = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
    let from = |source: &str, id: &str| Draft { source: source.to_owned(), ..event(id) };
    let long = format!("/{}", "x".repeat(500));
    let other = Member::own(bench.open().await, Assignee { group: "other".to_owned(), ..assignee() }).await;
    for (source, id) in [("/a", uuid), ("/b", uuid), (&long, uuid), ("/a", "1"), ("/a", "a\0b")] {
        settled(&member.settle_one(from(source, id).retry(member.owner)).await);
        settled(&other.settle_one(from(source, id).retry(other.owner)).await);
    }
    let desk = desk(bench).await;
    let found = |id: &'static str, source: Option<&'static str>| {
        let desk = &desk;
        async move {
            let mut sources: Vec<String> = desk
                .find(id, source)
                .await
                .expect("asked")
                .into_iter()
                .map(|found| {
                    assert_eq!(found.event.id, id);
                    found.event.source
                })
                .collect();
            sources.sort();
            sources
        }
    };
    assert_eq!(found(uuid, None).await, ["/a", "/b", long.as_str()]);
    assert_eq!(found(uuid, Some("/b")).await, ["/b"]);
    assert_eq!(found(uuid, Some("/c")).await, [""; 0]);
    assert_eq!(found("a\0b", None).await, ["/a"]);
    for unknown in ["", "2", "0192F3A4-5B6C-7D8E-9FA0-B1C2D3E4F506"] {
        assert_eq!(found(unknown, None).await, [""; 0], "{unknown:?}");
    }
}

/// Catches: a record shown of what needs none any more, operations of another row.
pub(crate) async fn an_event_has_its_record_and_its_operations(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let retried = settled(&member.settle_one(event("1").retry(member.owner)).await);
    let handled = settled(&member.settle_one(event("2").handled(member.owner)).await);
    bench.operated(retried.0, 2).await;
    bench.operated(handled.0, 1).await;
    bench.operated(retried.0, 4).await;
    let desk = desk(bench).await;
    let found = desk.find("1", None).await.expect("asked").remove(0);
    let record = found.record.expect("a record");
    assert_eq!(record.content().and_then(|data| data.text()), Some("data"));
    let names: Vec<_> = record.headers.iter().filter_map(|header| header.name.text()).collect();
    assert_eq!(names, ["ce_specversion", "ce_id", "ce_source", "ce_type"]);
    assert_eq!(record.timestamp, Timestamp::from_millisecond(1_000).ok());
    let done: Vec<_> = found.operations.iter().map(|operation| (operation.what, operation.status)).collect();
    assert_eq!(done, [(OperationKind::Retried, Status::Dead), (OperationKind::Parked, Status::Dead)]);
    assert_eq!((found.operations[0].attempts, found.operations[0].reason.as_deref()), (3, Some("before")));
    assert_eq!(found.operations[0].at, Timestamp::from_millisecond(5_000).ok());
    let found = desk.find("2", None).await.expect("asked").remove(0);
    assert!(found.record.is_none() && found.operations.len() == 1, "{found:?}");
}

pub(crate) async fn a_group_is_asked_for_itself(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let other = Member::own(bench.open().await, Assignee { group: "other".to_owned(), ..assignee() }).await;
    for (number, who) in [&member, &other, &member, &other].into_iter().enumerate() {
        settled(&who.settle_one(event(&number.to_string()).at(number as i64).retry(who.owner)).await);
    }
    let own = desk(bench).await;
    assert_eq!(ids(&own, &any()).await, ["2", "0"]);
    assert_eq!(ids(&own, &of(&[Status::Deferred])).await, ["2", "0"]);
    assert!(own.find("1", None).await.expect("asked").is_empty());
    assert_eq!(own.reasons(&any()).await.expect("counted")[0].count, 2);
    let error = Desk::open(&bench.url(), "sevice-b").await.expect_err("unknown").to_string();
    assert!(error.contains("\"sevice-b\"") && error.contains("(\"other\", \"service-b\")"), "{error}");
}

pub(crate) async fn reasons_are_counted_over_all_rows(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    for number in 0..30 {
        let reason = if number % 3 == 0 { "is away".to_owned() } else { format!("order {}", 1_000 + number) };
        let draft = event(&number.to_string()).at(number);
        settled(
            &member
                .settle_one(draft.settle(member.owner, Step::Dead { reason, letter: outgoing("dlq", "x") }))
                .await,
        );
    }
    settled(&member.settle_one(event("deferred").retry(member.owner)).await);
    let rows = desk(bench).await.reasons(&of(&[Status::Dead])).await.expect("counted");
    let counts: Vec<_> = rows.iter().map(|row| (row.reason.as_str(), row.count)).collect();
    assert_eq!(counts, [("order #", 20), ("is away", 10)]);
    assert!(rows.iter().all(|row| row.first.is_some() && row.first <= row.last));
}

/// More than there are in memory at a time.
/// Catches: an export that ends with its first records, or leaves some out.
pub(crate) async fn an_export_has_every_record(bench: &dyn Bench) {
    let member = Member::join(bench).await;
    let batch: Vec<Settlement> = (0..150)
        .map(|number| {
            let draft = Draft { data: vec![0xff, number as u8], ..event(&number.to_string()).at(number) };
            draft.dead(member.owner, outgoing("dlq", "letter"))
        })
        .collect();
    member.settle(batch).await;
    let mut export = desk(bench).await.export(&of(&[Status::Dead])).await.expect("begun");
    let mut number = 150;
    while let Some(events) = export.next().await.expect("read") {
        for event in events {
            number -= 1;
            assert_eq!(event.event.id, number.to_string());
            let value = event.record.expect("a record").value.expect("a value");
            assert_eq!(value.0, [0xff, number as u8]);
        }
    }
    assert_eq!(number, 0);
}
