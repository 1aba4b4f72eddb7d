//! Records still to be published, positions of event sources, and the lease.

use std::time::Duration;

use super::{Bench, outgoing};
use crate::store::{Advance, OutboxRow, Remaining, SourcePosition, Store, StoreError};

fn position(at: i64) -> SourcePosition {
    SourcePosition { source: "file.jsonl".to_owned(), at, number: at / 10 }
}

fn read(from: i64, to: i64) -> Advance {
    Advance { from, to: position(to) }
}

async fn enqueue(store: &dyn Store, names: &[&str], bound: usize) -> bool {
    let records = names.iter().map(|name| outgoing("orders", name)).collect();
    store.enqueue(records, None, bound).await.expect("asked")
}

async fn outbox(store: &dyn Store, most: usize) -> Vec<OutboxRow> {
    store.outbox(most, usize::MAX, Vec::new()).await.expect("read")
}

fn names(rows: &[OutboxRow]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8_lossy(&row.packed).into_owned()).collect()
}

/// Catches: records stored without how far their source was read.
pub(crate) async fn records_are_added_with_the_position_of_their_source(bench: &dyn Bench) {
    let store = bench.open().await;
    assert_eq!(store.position("file.jsonl").await, Ok(None));
    let records = vec![outgoing("orders", "1"), outgoing("payments", "2")];
    assert_eq!(store.enqueue(records, Some(read(0, 100)), 10).await, Ok(true));
    assert_eq!(store.enqueue(Vec::new(), Some(read(100, 200)), 10).await, Ok(true));
    let other = bench.open().await;
    assert_eq!(other.position("file.jsonl").await, Ok(Some(position(200))));
    assert_eq!(other.position("another").await, Ok(None));
    assert_eq!(names(&outbox(&*other, 10).await), ["1", "2"]);
}

/// Catches: a position that moves without comparing where it stood.
pub(crate) async fn a_source_that_another_reads_too_is_not_read_twice(bench: &dyn Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let one = || vec![outgoing("orders", "1")];
    assert_eq!(store.enqueue(one(), Some(read(0, 100)), 10).await, Ok(true));
    for late in [read(0, 100), read(0, 50), read(200, 300)] {
        let answer = other.enqueue(one(), Some(late), 10).await;
        assert!(matches!(&answer, Err(StoreError::Unusable(_))), "{answer:?}");
    }
    assert_eq!(
        (outbox(&*store, 10).await.len(), store.position("file.jsonl").await),
        (1, Ok(Some(position(100))))
    );
    assert_eq!(other.enqueue(one(), Some(read(100, 200)), 10).await, Ok(true));
}

pub(crate) async fn the_outbox_is_bounded(bench: &dyn Bench) {
    let store = bench.open().await;
    assert!(enqueue(&*store, &["1", "2"], 2).await, "up to the bound");
    let full = store.enqueue(vec![outgoing("orders", "3")], Some(read(0, 100)), 2).await;
    assert_eq!(full, Ok(false));
    assert_eq!(store.position("file.jsonl").await, Ok(None), "nothing of it is there");
    let first = outbox(&*store, 1).await[0].number;
    store.relayed(vec![first]).await.expect("relayed");
    assert!(enqueue(&*store, &["3"], 2).await);
    assert_eq!(names(&outbox(&*store, 10).await), ["2", "3"]);
}

/// Catches: a look that does not begin at the lowest row.
pub(crate) async fn the_outbox_gives_its_lowest_rows(bench: &dyn Bench) {
    let store = bench.open().await;
    assert_eq!(outbox(&*store, 10).await, []);
    assert!(enqueue(&*store, &["1", "2", "3", "4"], 10).await);
    let rows = outbox(&*store, 3).await;
    assert_eq!(names(&rows), ["1", "2", "3"]);
    assert!(rows.is_sorted_by(|one, next| one.number < next.number));
    store.relayed(vec![rows[0].number, rows[2].number]).await.expect("relayed");
    store.relayed(vec![rows[0].number]).await.expect("once more is nothing");
    store.relayed(Vec::new()).await.expect("none");
    assert_eq!(names(&outbox(&*store, 3).await), ["2", "4"]);
}

pub(crate) async fn a_look_at_the_outbox_is_bounded_in_bytes(bench: &dyn Bench) {
    let store = bench.open().await;
    let names = ["a".repeat(100), "b".repeat(100), "c".repeat(100)];
    assert!(enqueue(&*store, &names.each_ref().map(String::as_str), 10).await);
    for (bytes, expected) in [(1, 1), (100, 1), (101, 2), (usize::MAX, 3)] {
        assert_eq!(store.outbox(10, bytes, Vec::new()).await.expect("read").len(), expected, "{bytes}");
    }
}

/// Catches: what a held topic keeps back read again at each look, or hiding what may go.
pub(crate) async fn what_is_held_is_not_read(bench: &dyn Bench) {
    let store = bench.open().await;
    assert!(enqueue(&*store, &["1", "2"], 10).await);
    let topic = store.outbox(1, usize::MAX, Vec::new()).await.expect("read")[0].topic.clone();
    let others = vec!["an'other".to_owned()];
    assert_eq!(store.outbox(10, usize::MAX, others).await.expect("read").len(), 2);
    assert_eq!(store.outbox(10, usize::MAX, vec![topic]).await.expect("read"), []);
}

pub(crate) async fn what_remains_is_counted(bench: &dyn Bench) {
    let store = bench.open().await;
    assert_eq!(store.remaining().await, Ok(Remaining::default()));
    assert!(enqueue(&*store, &["1", "2", "3"], 10).await);
    let first = outbox(&*store, 1).await[0].number;
    store.refused(first, "too large".to_owned()).await.expect("noted");
    assert_eq!(store.remaining().await, Ok(Remaining { rows: 3, refused: 1 }));
}

pub(crate) async fn a_refused_record_stays(bench: &dyn Bench) {
    let store = bench.open().await;
    assert!(enqueue(&*store, &["1", "2"], 10).await);
    let first = outbox(&*store, 1).await[0].number;
    store.refused(first, "too large".to_owned()).await.expect("noted");
    let rows = outbox(&*bench.open().await, 10).await;
    assert_eq!(names(&rows), ["1", "2"]);
    assert_eq!(rows[0].refused.as_deref(), Some("too large"));
    assert_eq!(rows[1].refused, None);
}

/// A relay that lost its lease may still say "relayed" of a number that it knows.
pub(crate) async fn a_number_of_the_outbox_is_never_used_again(bench: &dyn Bench) {
    let store = bench.open().await;
    assert!(enqueue(&*store, &["1"], 10).await);
    let old = outbox(&*store, 1).await[0].number;
    store.relayed(vec![old]).await.expect("relayed");
    let later = bench.open().await;
    assert!(enqueue(&*later, &["2"], 10).await);
    assert!(outbox(&*later, 1).await[0].number > old);
    store.relayed(vec![old]).await.expect("relayed");
    assert_eq!(names(&outbox(&*later, 10).await), ["2"]);
}

/// Catches: a lease that everybody is given.
pub(crate) async fn the_lease_has_one_holder(bench: &dyn Bench) {
    let (one, other) = (bench.open().await, bench.open().await);
    let term = Duration::from_secs(60);
    assert_eq!(one.lease("one", term).await, Ok(true));
    assert_eq!(other.lease("other", term).await, Ok(false));
    assert_eq!(one.lease("one", term).await, Ok(true), "renewed");
    assert_eq!(other.lease("other", term).await, Ok(false));
}

pub(crate) async fn the_lease_expires(bench: &dyn Bench) {
    let (one, other) = (bench.open().await, bench.open().await);
    let term = Duration::from_secs(60);
    assert_eq!(one.lease("one", Duration::ZERO).await, Ok(true));
    assert_eq!(other.lease("other", term).await, Ok(true));
    assert_eq!(one.lease("one", term).await, Ok(false), "another has it by now");
}
