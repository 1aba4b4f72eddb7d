//! What an operator asks of the outbox, at the [`OutboxDesk`].

use super::{Bench, outgoing};
use crate::desk::{OutboxDesk, Unpublished};
use crate::event::NewEvent;
use crate::store::{Advance, OutboxRecord, SourcePosition};
use crate::topic::Topic;

/// Catches: an event beyond the first page that is called published, a page that repeats a row, a refusal without its
/// reason.
pub(crate) async fn what_waits_in_the_outbox_is_found_page_by_page(bench: &dyn Bench) {
    let store = bench.open().await;
    let topic: Topic = "orders".parse().expect("a topic");
    let of = |number: usize| NewEvent {
        id: format!("id-{number}"),
        ..NewEvent::new("/shop", "com.example.ordered.v1")
            .key("k\u{1b}")
            .data("text/plain", "x".repeat(2_000))
    };
    // More than a look has, in rows and in bytes.
    let mut records: Vec<_> = (0..1_100).map(|number| OutboxRecord::of(&of(number), &topic)).collect();
    records.push(outgoing("orders", "no record"));
    assert_eq!(store.enqueue(records, None, 2_000).await, Ok(true));
    let rows = store.outbox(1, usize::MAX, Vec::new()).await.expect("read");
    store.refused(rows[0].number, "too large".to_owned()).await.expect("noted");

    let desk = OutboxDesk::open(&bench.url()).await.expect("a desk");
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let (rows, next) = desk.list(after, 70).await.expect("a page");
        ids.extend(rows.into_iter().map(|row| row.id));
        after = next;
        if after.is_none() {
            break;
        }
    }
    let mut expected: Vec<_> = (0..1_100).map(|number| Some(format!("id-{number}"))).collect();
    expected.push(None);
    assert_eq!(ids, expected);

    let first = desk.find("id-0").await.expect("asked").expect("it waits");
    assert_eq!((first.status, first.reason.as_deref()), (Unpublished::Refused, Some("too large")));
    let last = desk.find("id-1099").await.expect("asked").expect("it waits");
    assert_eq!((last.status, last.reason, last.topic.as_str()), (Unpublished::Waiting, None, "orders"));
    assert_eq!((last.ty.as_deref(), last.source.as_deref()), (Some("com.example.ordered.v1"), Some("/shop")));
    assert_eq!(last.key.as_ref().and_then(|key| key.text()), Some("k\u{1b}"));
    assert!(desk.find("id-1100").await.expect("asked").is_none());
    store.relayed(vec![last.row]).await.expect("relayed");
    assert!(desk.find("id-1099").await.expect("asked").is_none());
    assert_eq!(desk.counts().await, Ok((1_100, 1)));
}

pub(crate) async fn event_sources_are_listed_with_how_far_they_are(bench: &dyn Bench) {
    let store = bench.open().await;
    let desk = OutboxDesk::open(&bench.url()).await.expect("a desk");
    assert_eq!(desk.sources().await.expect("asked"), []);
    for (source, at, number) in [("/b.jsonl", 70, 3), ("/a\u{1b}.jsonl", 9, 1)] {
        let to = SourcePosition { source: source.to_owned(), at, number };
        assert_eq!(store.enqueue(Vec::new(), Some(Advance { from: 0, to }), 10).await, Ok(true));
    }
    let rows: Vec<_> = desk
        .sources()
        .await
        .expect("asked")
        .into_iter()
        .map(|row| (row.source, row.at, row.number))
        .collect();
    assert_eq!(rows, [("/a\u{1b}.jsonl".to_owned(), 9, 1), ("/b.jsonl".to_owned(), 70, 3)]);
}
