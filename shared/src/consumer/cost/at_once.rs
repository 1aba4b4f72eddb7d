//! A store that takes everything, at once and for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use crate::store::{
    Advance, Answer, Assigned, Assignee, Change, Identity, Known, Loaded, OutboxRecord, OutboxRow, Ownership,
    Remaining, RowId, Settlement, SourcePosition, Store, StoreError, Verdict,
};

#[derive(Debug, Default)]
pub(super) struct AtOnce {
    rows: AtomicI64,
}

fn answer<T: Send + 'static>(answer: T) -> Answer<'static, T> {
    std::future::ready(Ok(answer)).boxed()
}

/// What nobody asks while nothing fails.
fn never<T: Send + 'static>() -> Answer<'static, T> {
    std::future::ready(Err(StoreError::Unusable("this is only asked when something fails".to_owned())))
        .boxed()
}

impl Store for AtOnce {
    fn id(&self) -> &'static str {
        "at once"
    }

    fn assign(&self, partitions: Vec<Assignee>) -> Answer<'_, Vec<Assigned>> {
        let one = |number| Assigned {
            owner: Ownership { partition: number as i64, epoch: 1 },
            pruned_below: 0,
            deferred: Vec::new(),
            answered: Vec::new(),
            changed: 0,
        };
        answer((0..partitions.len()).map(one).collect())
    }

    fn look_up(&self, _: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>> {
        answer(vec![None; events.len()])
    }

    fn settle(&self, batch: Arc<[Settlement]>) -> Answer<'_, Vec<Verdict>> {
        let first = self.rows.fetch_add(batch.len() as i64, Ordering::Relaxed);
        answer((first..).take(batch.len()).map(|row| Verdict::Settled(RowId(row))).collect())
    }

    fn load(&self, _: Vec<RowId>) -> Answer<'_, Vec<Loaded>> {
        never()
    }

    fn changes(&self, _: Vec<(i64, i64)>) -> Answer<'_, Vec<Change>> {
        answer(Vec::new())
    }

    fn prune(&self, _: Vec<(Ownership, i64)>, _: Duration) -> Answer<'_, usize> {
        never()
    }

    fn enqueue(&self, _: Vec<OutboxRecord>, _: Option<Advance>, _: usize) -> Answer<'_, bool> {
        never()
    }

    fn position(&self, _: &str) -> Answer<'_, Option<SourcePosition>> {
        never()
    }

    fn outbox(&self, _: usize, _: usize, _: Vec<String>) -> Answer<'_, Vec<OutboxRow>> {
        never()
    }

    fn remaining(&self) -> Answer<'_, Remaining> {
        never()
    }

    fn relayed(&self, _: Vec<i64>) -> Answer<'_, ()> {
        never()
    }

    fn refused(&self, _: i64, _: String) -> Answer<'_, ()> {
        never()
    }

    fn lease(&self, _: &str, _: Duration) -> Answer<'_, bool> {
        never()
    }
}
