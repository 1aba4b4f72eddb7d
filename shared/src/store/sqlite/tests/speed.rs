//! How fast: `cargo test --release -p shared --lib sqlite::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::event::{Arrived, NewEvent};
use crate::store::suite::{Member, assignee};
use crate::store::{Effects, Settlement, Step};

const BATCHES: usize = 250;
const EACH: usize = 2_000;

/// Batches of pure events that are handled, against a bare loop that inserts the same columns in the same batches.
#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn settling_against_a_bare_loop() {
    for _ in 0..3 {
        let (store, bare) = (settling().await, bare_loop());
        println!("settle {store:.0} rows/s, bare loop {bare:.0} rows/s: {:.0} %", 100.0 * store / bare);
    }
}

async fn settling() -> f64 {
    let file = in_file().await;
    let member = Member::own(Arc::new(file.store().await), assignee()).await;
    let batches: Vec<Arc<[Settlement]>> = (0..BATCHES).map(|_| batch(&member)).collect();
    let start = Instant::now();
    for batch in batches {
        assert_eq!(member.settle(batch).await.len(), EACH);
    }
    let rate = (BATCHES * EACH) as f64 / start.elapsed().as_secs_f64();
    assert_eq!(file.sql("select count(*) from ledger").await, (BATCHES * EACH) as i64);
    rate
}

fn batch(member: &Member) -> Arc<[Settlement]> {
    let one = |number: usize| {
        let event = NewEvent::new("/bench", "com.example.noted.v1")
            .key(format!("key-{}", number % 1024))
            .data("text/plain", vec![b'x'; 100]);
        Settlement {
            owner: member.owner,
            arrived: Arrived::Event(Arc::new(event.arrived().expect("an event"))),
            conflicting: false,
            row: None,
            attempts: 1,
            step: Step::Handled { effects: Effects::none(), events: Vec::new() },
            reply: None,
        }
    };
    (0..EACH).map(one).collect()
}

fn bare_loop() -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("bare.db")).expect("opened");
    connection
        .execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full;
             create table ledger (row integer primary key, partition integer, offset integer, scope, id,
                hash integer, key blob, type, time integer, status integer, attempts integer, seen integer,
                settled integer, wait integer, due integer, pause integer, failing_for integer, reason text,
                packed blob);
             create unique index ledger_identity on ledger (scope, id);",
        )
        .expect("made");
    let rows = |_| (0..EACH).map(|_| uuid::Uuid::now_v7()).collect::<Vec<_>>();
    let batches: Vec<Vec<uuid::Uuid>> = (0..BATCHES).map(rows).collect();
    let start = Instant::now();
    for batch in batches {
        connection.execute_batch("begin immediate").expect("begun");
        let mut insert = connection
            .prepare_cached(
                "insert into ledger (partition, offset, scope, id, hash, key, type, time, status, attempts, seen, settled)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) on conflict do nothing",
            )
            .expect("prepared");
        for (number, id) in batch.iter().enumerate() {
            let key = format!("key-{}", number % 1024);
            let (time, hash) = (1_790_000_000_000_i64, (number as i64) << 50);
            let inserted = insert.execute(rusqlite::params![
                1,
                number as i64,
                1,
                id.as_bytes(),
                hash,
                key.as_bytes(),
                2,
                time,
                2,
                1,
                time,
                time
            ]);
            assert_eq!(inserted, Ok(1));
        }
        drop(insert);
        connection.execute_batch("commit").expect("committed");
    }
    (BATCHES * EACH) as f64 / start.elapsed().as_secs_f64()
}
