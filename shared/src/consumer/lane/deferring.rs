//! Events that wait in the ledger: how they get there, and how they come back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Lane;
use super::settling::Then;
use super::under_way::Work;
use crate::consumer::blocked_keys::Next;
use crate::consumer::key_queues::Room;
use crate::consumer::messages::{FromLane, Taken};
use crate::consumer::{Key, SlotId};
use crate::record::Record;
use crate::store::{DeferredRow, Loaded, RowId, Step, Store, StoreError, Wait, Waiting, until_available};

/// How many rows are read at once.
const MOST: usize = 256;
/// While so many events could start, no further rows are read: after an outage more may be due than fits into memory.
const ENOUGH: usize = 1024;

/// A row that is due.
type Due = (SlotId, Key, RowId);

/// What the ledger answers.
type Read = BoxFuture<'static, Result<Vec<Loaded>, StoreError>>;

/// Rows that are due, on their way out of the ledger.
pub(super) struct Loading {
    store: Arc<dyn Store>,
    /// Rows for which their key waits.
    heads: VecDeque<Due>,
    /// Rows that nobody waits for: their time has come.
    scheduled: VecDeque<Due>,
    /// Goes with each scheduled event that is in memory.
    token: Arc<()>,
    under_way: Option<(Vec<Due>, Read)>,
}

impl Loading {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let (heads, scheduled) = (VecDeque::new(), VecDeque::new());
        Self { store, heads, scheduled, token: Arc::default(), under_way: None }
    }

    /// Reads the next rows, if the last ones are here and not too much else is. `ready` events could start.
    pub(super) fn start(&mut self, ready: usize) {
        if self.under_way.is_some() || ready >= ENOUGH {
            return;
        }
        // Many may be of one key: they are not ready, and yet here.
        let room = ENOUGH.saturating_sub(Arc::strong_count(&self.token));
        let (heads, scheduled) = (self.heads.len().min(MOST), self.scheduled.len().min(MOST).min(room));
        let due: Vec<Due> = self.heads.drain(..heads).chain(self.scheduled.drain(..scheduled)).collect();
        if due.is_empty() {
            return;
        }
        let (store, rows) = (Arc::clone(&self.store), due.iter().map(|(.., row)| *row).collect::<Vec<_>>());
        let loaded = async move { until_available("read what is due", || store.load(rows.clone())).await };
        self.under_way = Some((due, Box::pin(loaded)));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the rows that are under way; those that are not deferred any more come without their record. Cancel safe.
    pub(super) async fn answered(&mut self) -> Result<Vec<(Due, Option<Loaded>)>, StoreError> {
        let Some((_, loaded)) = &mut self.under_way else { return std::future::pending().await };
        let loaded = loaded.await;
        let due = self.under_way.take().map(|(due, _)| due).unwrap_or_default();
        let mut loaded = loaded?;
        let mut find =
            |row| loaded.iter().position(|found| found.row == row).map(|at| loaded.swap_remove(at));
        Ok(due.into_iter().map(|due| (due, find(due.2))).collect())
    }
}

impl Lane {
    pub(super) fn take_over(&mut self, slot: SlotId, taken: Taken) {
        self.slots.take_over(slot, &taken);
        for (key, DeferredRow { row, waiting, .. }) in taken.deferred {
            match waiting {
                Waiting::Until(at) => {
                    self.blocked.schedule(slot, key, row, instant_of(at));
                    continue;
                }
                Waiting::Retry(remaining) => {
                    self.blocked.restore(slot, key, row, Some(after(remaining)));
                }
                Waiting::Behind => self.blocked.restore(slot, key, row, None),
                Waiting::Operator => self.blocked.hold(slot, key, row),
            }
            // What arrives of the key waits.
            self.queues.started(key, slot);
        }
    }

    /// What waits in memory behind a blocked event goes into the ledger, as far as there may be.
    pub(super) fn defer_waiting(&mut self, slot: SlotId, key: Key) {
        let (waiting, emptied) = self.queues.take_waiting(key);
        let mut rest = Vec::new();
        for work in waiting {
            if rest.is_empty() && (self.blocked.has_room(key) || self.slots.is_finishing(slot)) {
                self.defer_behind(work);
            } else {
                rest.push(work);
            }
        }
        match (emptied, self.queues.put_back(key, slot, rest, false)) {
            (Room::Unchanged, Room::BecameFull) => self.report(FromLane::KeyFull(slot)),
            (Room::BecameOpen, Room::Unchanged) => self.report(FromLane::KeyOpen(slot)),
            _ => {}
        }
    }

    pub(super) fn defer_behind(&mut self, work: Work) {
        self.blocked.defer(work.slot, work.key);
        self.settle(work, Step::Deferred { wait: Wait::Behind, reason: None }, Then::Behind, false);
    }

    /// Everything that is due now is read, unless it could not start.
    pub(super) fn take_due(&mut self) {
        if !self.common.brake.intake_flows() {
            self.is_braked = true;
            return;
        }
        let now = Instant::now();
        while let Some(next) = self.blocked.take_due(now) {
            self.next(next);
        }
    }

    pub(super) fn next(&mut self, next: Next) {
        let Some(next) = self.hold_row(next) else { return };
        match next {
            Next::Load(slot, key, row) if self.blocked.is_head(key, row) => {
                self.loading.heads.push_back((slot, key, row));
            }
            Next::Load(slot, key, row) => self.loading.scheduled.push_back((slot, key, row)),
            Next::Unblocked(key) => self.queues.done(key),
            Next::Wait => {}
        }
    }

    pub(super) fn take_loaded(&mut self, loaded: Vec<(Due, Option<Loaded>)>) {
        for ((slot, key, row), loaded) in loaded {
            let Some((topic, partition)) = self.slots.place(slot) else { continue };
            if self.blocked.is_halted(slot) {
                continue;
            }
            let work = loaded.and_then(|loaded| self.work(slot, key, (topic, partition), &loaded));
            let is_head = self.blocked.is_head(key, row);
            match work {
                Some(mut work) => {
                    self.slots.opened(slot, 1);
                    if is_head {
                        work.streak = self.blocked.streak(key);
                        self.queues.again(key, work);
                    } else {
                        work.token = Some(Arc::clone(&self.loading.token));
                        self.arrive(work);
                    }
                }
                // It was cancelled, or an operator saw to it.
                None if is_head => {
                    let next = self.blocked.finished(key, row);
                    self.next(next);
                }
                None => {}
            }
        }
    }

    pub(super) fn finish(&mut self, slot: SlotId, limit: i64) {
        // What the brake does not let start is dropped now.
        self.is_braked = false;
        if !self.slots.finish(slot) {
            return self.report(FromLane::Finished(slot));
        }
        // What has a row is safe where it is.
        let dropped = self.queues.finish(slot, |work| work.row.is_none() && work.offset <= limit);
        self.slots.closed(slot, dropped);
        for key in self.blocked.keys_of(slot) {
            self.defer_waiting(slot, key);
        }
        self.drop_aside(slot);
    }

    /// The member has lost the slot: what it still did for it must not go on beside its next owner. A slot that the ledger
    /// has fenced is forgotten at once, and again when the group takes it away: until then it may be halted.
    pub(super) fn forget(&mut self, slot: SlotId) {
        self.slots.forget(slot);
        self.beginning.forget(slot);
        self.queues.forget(slot);
        self.blocked.forget(slot);
        self.forget_aside(slot);
        self.loading.heads.retain(|(other, ..)| *other != slot);
        self.loading.scheduled.retain(|(other, ..)| *other != slot);
        let under_way = std::mem::take(&mut self.under_way);
        self.under_way = under_way.into_iter().filter(|under_way| under_way.slot != slot).collect();
        self.settling.forget(slot);
        self.settled.retain(|(other, _)| *other != slot);
    }

    fn work(
        &self,
        slot: SlotId,
        key: Key,
        (topic, partition): (&'static str, i32),
        loaded: &Loaded,
    ) -> Option<Work> {
        let Some(record) = Record::unpack(&loaded.packed, topic, partition, loaded.offset) else {
            tracing::error!("row {} of the ledger holds no record: it is left where it is", loaded.row.0);
            return None;
        };
        let read = self.read(record);
        let now = Instant::now();
        Some(Work {
            attempts: loaded.attempts,
            failing_since: (loaded.attempts > 0).then(|| now.checked_sub(loaded.failing_for).unwrap_or(now)),
            row: Some((loaded.row, loaded.attempts)),
            ..Work::new(slot, key, read)
        })
    }
}

/// The moment on the monotonic clock: from here on a step of the wall clock changes nothing.
pub(super) fn instant_of(millisecond: i64) -> Instant {
    let ahead = millisecond.saturating_sub(Timestamp::now().as_millisecond());
    after(Duration::from_millis(u64::try_from(ahead).unwrap_or(0)))
}

/// So long from now; what lies further ahead than the clock reaches is due in a year.
pub(super) fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now + Duration::from_secs(365 * 86400))
}
