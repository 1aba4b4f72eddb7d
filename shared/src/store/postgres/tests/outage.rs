//! A server that is stopped at once, in the middle of work, and started again.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::bench::Database;
use crate::store::suite::{Bench, Member, NOTE, event};
use crate::store::{Effects, Settlement, StoreError};

/// A server of the test's own.
struct Server(String);

impl Server {
    fn control(&self, command: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/postgres");
        let output =
            Command::new(script).args(["--name", &self.0]).args(command).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control(&["clean"]);
    }
}

/// Catches: a batch that is lost or applied twice, a call that hangs, a store that does not come back, connections
/// that are left over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the binaries of PostgreSQL"]
async fn an_outage_loses_and_repeats_nothing() {
    let server = Server(format!("outage-{}", std::process::id()));
    let database = Database::make(&server.control(&["start", "0"])).await;
    let member = Arc::new(Member::join(&database).await);
    let settled = Arc::new(AtomicI64::new(0));
    let working = tokio::spawn(work(Arc::clone(&member), Arc::clone(&settled)));
    for _ in 0..2 {
        while settled.load(Ordering::Acquire) % 1_000 < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = settled.load(Ordering::Acquire);
        server.control(&["stop"]);
        let begun = Instant::now();
        let asked = tokio::join!(
            member.store.outbox(1, usize::MAX, Vec::new()),
            member.store.position("f"),
            member.store.outbox(1, usize::MAX, Vec::new())
        );
        assert!(matches!(asked.0, Err(StoreError::Unavailable(_))), "{asked:?}");
        assert!(matches!(asked.1, Err(StoreError::Unavailable(_))), "{asked:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        server.control(&["start"]);
        while settled.load(Ordering::Acquire) < before + 500 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    working.abort();
    let _ = working.await;
    // What was dropped just now may still be committed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (notes, rows) =
        (database.sql("select count(*) from notes").await, database.sql("select count(*) from ledger").await);
    assert_eq!(notes, rows);
    assert!(rows >= settled.load(Ordering::Acquire), "{rows}");
    let connections = "select count(*) from pg_stat_activity \
        where datname = current_database() and application_name = 'event_store'";
    assert!(database.sql(connections).await <= 3);
}

/// Settles batches of ten, each as often as it takes.
async fn work(member: Arc<Member>, settled: Arc<AtomicI64>) {
    for first in (0..).step_by(10) {
        let one = |number: i64| {
            let effects = Effects::none().write(&NOTE, [number.to_string().as_str().into()]);
            event(&number.to_string()).at(number).writing(member.owner, effects)
        };
        let batch: Arc<[Settlement]> = (first..first + 10).map(one).collect();
        loop {
            match member.store.settle(Arc::clone(&batch)).await {
                Ok(_) => break,
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
        settled.fetch_add(10, Ordering::AcqRel);
    }
}
