//! How fast a ledger of ten million rows answers: figures, not a scenario.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Bench, Member, event, outgoing, settled};
use crate::desk::{Desk, Filter, Status};

/// How many rows the ledger has, 1 % of them dead, 1 ‰ deferred.
pub(crate) const MANY: i64 = 10_000_000;
/// First seen a hundredth of a second apart, from here on.
pub(crate) const FROM: i64 = 1_700_000_000_000;

/// A row of each kind to copy: handled, dead, deferred.
pub(crate) async fn templates(bench: &dyn Bench) -> [i64; 3] {
    let member = Member::join(bench).await;
    let batch = [
        event("0").at(1).handled(member.owner),
        event("1").at(2).dead(member.owner, outgoing("dlq", "letter")),
        event("2").at(3).retry(member.owner),
    ];
    let rows = member.settle(batch).await;
    let rows = [0, 1, 2].map(|at: usize| settled(&rows[at]).0);
    for row in rows {
        bench.seen_at(row, FROM).await;
    }
    rows
}

pub(crate) fn id(number: i64) -> String {
    format!("0192f3a4-{:04x}-{:04x}-8000-000000000000", number >> 16, number & 0xffff)
}

/// Prints how long each question takes, the slowest of five.
pub(crate) async fn time_questions(bench: &dyn Bench) {
    let opening = Instant::now();
    let desk = Desk::open(&bench.url(), "service-b").await.expect("a desk");
    println!("opening: {:?}", opening.elapsed());
    let at = |number: i64| Timestamp::from_millisecond(FROM + 10 * number).ok();
    let of = |status: &[Status]| Filter::default().with_status(status.iter().copied());
    let middle = Filter { since: at(MANY / 2), until: at(MANY / 2 + 60_000), ..Filter::default() };
    let key = |key: &str| Some(key.to_owned());
    for (what, filter) in [
        ("no filter", Filter::default()),
        ("dead", of(&[Status::Dead])),
        ("deferred, dead", of(&[Status::Deferred, Status::Dead])),
        ("parked, of which there is none", of(&[Status::Parked])),
        ("dead, of a key that has none", Filter { key: key("none"), ..of(&[Status::Dead]) }),
        ("ten minutes in the middle", middle.clone()),
        ("dead ones of them", middle.clone().with_status([Status::Dead])),
        ("handled ones of them", middle.with_status([Status::Handled])),
        ("since the last minute", Filter { since: at(MANY - 6_000), ..Filter::default() }),
        ("before the first row", Filter { until: at(-1), ..Filter::default() }),
    ] {
        let (mut slowest, mut rows) = (Duration::ZERO, 0);
        for _ in 0..5 {
            let started = Instant::now();
            rows = desk.list(&filter, None, 50).await.expect("listed").rows.len();
            slowest = slowest.max(started.elapsed());
        }
        println!("{slowest:>12.1?}  first page: {what} ({rows} rows)");
    }
    let mut slowest = Duration::ZERO;
    for number in 0..200 {
        let started = Instant::now();
        let found = desk.find(&id(1 + number * (MANY / 200)), None).await.expect("asked");
        assert_eq!(found.len(), 1);
        slowest = slowest.max(started.elapsed());
    }
    println!("{slowest:>12.1?}  one event by its id, of 200");
    for _ in 0..3 {
        let started = Instant::now();
        let rows = desk.reasons(&of(&[Status::Dead])).await.expect("counted");
        let events: u64 = rows.iter().map(|row| row.count).sum();
        println!("{:>12.1?}  reasons of {events} dead events: {}", started.elapsed(), rows.len());
    }
    let started = Instant::now();
    let mut export = desk.export(&of(&[Status::Dead])).await.expect("begun");
    let mut events = 0;
    while let Some(some) = export.next().await.expect("read") {
        events += some.len();
    }
    println!("{:>12.1?}  export of {events} dead events", started.elapsed());
    let started = Instant::now();
    let rows =
        desk.list(&Filter { key: key("none"), ..Filter::default() }, None, 50).await.expect("listed").rows;
    println!("{:>12.1?}  a key without rows, through all ({} rows)", started.elapsed(), rows.len());
}
