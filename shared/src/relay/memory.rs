//! An outbox in memory, for the relay's tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::store::{
    Advance, Answer, Assigned, Assignee, Change, Identity, Known, Loaded, OutboxRecord, OutboxRow, Ownership,
    Remaining, RowId, Settlement, SourcePosition, Store, StoreError, Verdict,
};

/// A store that has an outbox and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rows: Mutex<BTreeMap<i64, OutboxRow>>,
    numbers: Mutex<i64>,
    positions: Mutex<HashMap<String, SourcePosition>>,
    lease: Mutex<Option<(String, Instant)>>,
    /// Answers nothing but that it is away.
    pub(crate) is_down: AtomicBool,
    /// How often something was asked for.
    pub(crate) questions: AtomicUsize,
    /// Does not answer.
    pub(crate) hangs: AtomicBool,
    /// Adds once more, and the answer is lost.
    pub(crate) loses_answer: AtomicBool,
}

impl Memory {
    pub(crate) fn rows(&self) -> Vec<OutboxRow> {
        self.rows.lock().expect("rows").values().cloned().collect()
    }

    /// When the lease that somebody has ends.
    pub(crate) fn lease_ends(&self) -> Option<Instant> {
        self.lease.lock().expect("lease").as_ref().map(|(_, until)| *until)
    }

    fn now<T: Send + 'static>(&self, answer: impl FnOnce() -> T) -> Answer<'_, T> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            return std::future::pending().boxed();
        }
        let down = Err(StoreError::Unavailable("down".to_owned()));
        let answer = if self.is_down.load(Ordering::Relaxed) { down } else { Ok(answer()) };
        std::future::ready(answer).boxed()
    }
}

impl Store for Memory {
    fn id(&self) -> &'static str {
        "memory"
    }

    fn assign(&self, _: Vec<Assignee>) -> Answer<'_, Vec<Assigned>> {
        unimplemented!()
    }

    fn look_up(&self, _: &str, _: std::sync::Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        unimplemented!()
    }

    fn settle(&self, _: std::sync::Arc<[Settlement]>) -> Answer<'_, Vec<Verdict>> {
        unimplemented!()
    }

    fn load(&self, _: Vec<RowId>) -> Answer<'_, Vec<Loaded>> {
        unimplemented!()
    }

    fn changes(&self, _: Vec<(i64, i64)>) -> Answer<'_, Vec<Change>> {
        unimplemented!()
    }

    fn prune(&self, _: Vec<(Ownership, i64)>, _: Duration) -> Answer<'_, usize> {
        unimplemented!()
    }

    fn enqueue(&self, records: Vec<OutboxRecord>, read: Option<Advance>, bound: usize) -> Answer<'_, bool> {
        let added = self.now(|| {
            let (mut rows, mut number) =
                (self.rows.lock().expect("rows"), self.numbers.lock().expect("numbers"));
            if rows.len() >= bound {
                return false;
            }
            for OutboxRecord { topic, packed } in records {
                *number += 1;
                rows.insert(*number, OutboxRow { number: *number, topic, packed, refused: None });
            }
            if let Some(Advance { to, .. }) = read {
                self.positions.lock().expect("positions").insert(to.source.clone(), to);
            }
            true
        });
        if self.loses_answer.swap(false, Ordering::Relaxed) {
            let lost = Err(StoreError::Unavailable("the answer is lost".to_owned()));
            return std::future::ready(lost).boxed();
        }
        added
    }

    fn position(&self, source: &str) -> Answer<'_, Option<SourcePosition>> {
        self.now(|| self.positions.lock().expect("positions").get(source).cloned())
    }

    fn outbox(&self, most: usize, bytes: usize, held: Vec<String>) -> Answer<'_, Vec<OutboxRow>> {
        self.now(|| {
            let mut total = 0;
            let is_room = |row: &OutboxRow| {
                let before = total;
                total += row.packed.len();
                before < bytes
            };
            let rows = self.rows().into_iter().filter(|row| !held.contains(&row.topic));
            rows.take(most).take_while(is_room).collect()
        })
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        self.now(|| {
            let rows = self.rows();
            let refused = rows.iter().filter(|row| row.refused.is_some()).count();
            Remaining { rows: rows.len() as u64, refused: refused as u64 }
        })
    }

    fn relayed(&self, numbers: Vec<i64>) -> Answer<'_, ()> {
        self.now(|| self.rows.lock().expect("rows").retain(|number, _| !numbers.contains(number)))
    }

    fn refused(&self, number: i64, reason: String) -> Answer<'_, ()> {
        self.now(|| {
            if let Some(row) = self.rows.lock().expect("rows").get_mut(&number) {
                row.refused = Some(reason);
            }
        })
    }

    fn lease(&self, holder: &str, term: Duration) -> Answer<'_, bool> {
        self.now(|| {
            let mut lease = self.lease.lock().expect("lease");
            let is_free =
                lease.as_ref().is_none_or(|(other, until)| other == holder || *until <= Instant::now());
            if is_free {
                *lease = Some((holder.to_owned(), Instant::now() + term));
            }
            is_free
        })
    }
}
