//! Outcomes on their way into the ledger: one batch at a time, the next one collected meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Lane;
use super::under_way::Work;
use crate::consumer::{Key, SlotId};
use crate::store::{Settlement, Step, Store, StoreError, Verdict, until_available};

/// How many outcomes go into the ledger at once. More would save little, and with slow effects might never end in time.
const MOST: usize = 2_000;

/// An outcome that the ledger has not confirmed.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) work: Work,
    pub(super) then: Then,
    /// Whether the key's next event waits for it.
    pub(super) holds_key: bool,
    /// Whether it brings the relay something to publish.
    pub(super) publishes: bool,
    /// Whether its handler counts as having succeeded only once the database has taken what it writes.
    pub(super) proves: bool,
}

/// What follows when it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Handled,
    Dead,
    Expired,
    /// Its next attempt, then.
    Retry(Instant),
    /// Its turn behind an earlier event of its key.
    Behind,
    /// Its own time, in milliseconds since 1970.
    Until(i64),
}

impl Then {
    /// Whether the event blocks its key.
    pub(super) fn blocks(self) -> bool {
        matches!(self, Self::Retry(_) | Self::Behind)
    }
}

type Verdicts = BoxFuture<'static, Result<Vec<Verdict>, StoreError>>;

/// What goes into the ledger at once.
type Batch = (Vec<Unsettled>, Vec<Settlement>);

pub(super) struct Settling {
    store: Arc<dyn Store>,
    /// Filled one after the other, so that none has to be taken apart.
    next: VecDeque<Batch>,
    under_way: Option<(Vec<Unsettled>, Verdicts)>,
}

impl Settling {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, next: VecDeque::new(), under_way: None }
    }

    pub(super) fn add(&mut self, unsettled: Unsettled, settlement: Settlement) {
        if self.next.back().is_none_or(|(last, _)| last.len() == MOST) {
            self.next.push_back(Batch::default());
        }
        if let Some((last, settlements)) = self.next.back_mut() {
            last.push(unsettled);
            settlements.push(settlement);
        }
    }

    /// Sends the next batch, if the last one is settled.
    pub(super) fn start(&mut self) {
        if self.under_way.is_some() {
            return;
        }
        let Some((unsettled, settlements)) = self.next.pop_front() else { return };
        let batch: Arc<[Settlement]> = settlements.into();
        let store = Arc::clone(&self.store);
        let verdicts = async move { until_available("settle", || store.settle(Arc::clone(&batch))).await };
        self.under_way = Some((unsettled, Box::pin(verdicts)));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the batch that is under way: a verdict for each. Cancel safe.
    pub(super) async fn answered(&mut self) -> Result<(Vec<Unsettled>, Vec<Verdict>), StoreError> {
        let Some((_, verdicts)) = &mut self.under_way else { return std::future::pending().await };
        let verdicts = verdicts.await;
        let unsettled = self.under_way.take().map(|(unsettled, _)| unsettled).unwrap_or_default();
        Ok((unsettled, verdicts?))
    }

    /// Takes back what of the key is not sent yet, in order.
    pub(super) fn take_back(&mut self, key: Key) -> Vec<Unsettled> {
        let mut taken = Vec::new();
        for (unsettled, settlement) in self.take_next() {
            if unsettled.work.key == key {
                taken.push(unsettled);
            } else {
                self.add(unsettled, settlement);
            }
        }
        taken
    }

    /// Drops what of the slot is not sent yet.
    pub(super) fn forget(&mut self, slot: SlotId) {
        for (unsettled, settlement) in self.take_next() {
            if unsettled.work.slot != slot {
                self.add(unsettled, settlement);
            }
        }
    }

    /// What is not sent yet, in order.
    fn take_next(&mut self) -> impl Iterator<Item = (Unsettled, Settlement)> + use<> {
        let batches = std::mem::take(&mut self.next);
        batches.into_iter().flat_map(|(unsettled, settlements)| unsettled.into_iter().zip(settlements))
    }
}

impl Lane {
    pub(super) fn settle(&mut self, work: Work, step: Step, then: Then, holds_key: bool) {
        let settlement = self.settlement(&work, step);
        self.unsettled(work, settlement, then, holds_key);
    }

    pub(super) fn settlement(&self, work: &Work, step: Step) -> Option<Settlement> {
        Some(Settlement {
            reply: if self.common.answers_as.is_some() { self.reply(work, &step) } else { None },
            owner: self.slots.owner(work.slot)?,
            arrived: work.arrived.clone(),
            conflicting: work.is_conflicting,
            row: work.row.or(work.new_row.map(|row| (row, 0))),
            attempts: work.attempts,
            step,
        })
    }

    /// `None` for a slot that was let go meanwhile: its next owner sees to the event.
    pub(super) fn unsettled(
        &mut self,
        work: Work,
        settlement: Option<Settlement>,
        then: Then,
        holds_key: bool,
    ) {
        let Some(settlement) = settlement else { return };
        if holds_key {
            self.queues.started(work.key, work.slot);
        }
        let publishes = match &settlement.step {
            Step::Handled { events, .. } => !events.is_empty(),
            Step::Dead { .. } => true,
            Step::Handling | Step::Deferred { .. } | Step::Expired => false,
        } || settlement.reply.is_some();
        let proves = matches!(&settlement.step, Step::Handled { effects, .. } if !effects.is_empty());
        self.settling.add(Unsettled { work, then, holds_key, publishes, proves }, settlement);
    }
}
