//! What stands still because an operator wants it to: put aside, so that everything else goes on.

use tokio::sync::watch;

use super::Lane;
use super::under_way::Work;
use crate::consumer::SlotId;
use crate::consumer::blocked_keys::Next;

/// Events that may not start before something is resumed. Each is the next of its key, whose later ones wait behind it in
/// their queue, and count in the window: when that is full, intake stops.
pub(super) struct Aside {
    works: Vec<Work>,
    /// How many of them have a row in the ledger: those are in no window.
    loaded: usize,
    /// Rows that are due, of topics that stand still: not even read.
    rows: Vec<Next>,
    changed: watch::Receiver<()>,
}

impl Aside {
    pub(super) fn new(changed: watch::Receiver<()>) -> Self {
        Self { works: Vec::new(), loaded: 0, rows: Vec::new(), changed }
    }

    /// How many events were read from the ledger and cannot start.
    pub(super) fn loaded(&self) -> usize {
        self.loaded
    }

    /// Waits until something was paused or resumed. Cancel safe.
    pub(super) async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes what is there of the slot, and forgets its rows, which stay in the ledger.
    fn take_of(&mut self, slot: SlotId) -> Vec<Work> {
        self.rows.retain(|next| !matches!(next, Next::Load(other, ..) if *other == slot));
        let (of_slot, rest) = std::mem::take(&mut self.works).into_iter().partition(|work| work.slot == slot);
        self.works = rest;
        self.loaded = self.works.iter().filter(|work| work.row.is_some()).count();
        of_slot
    }
}

impl Lane {
    pub(super) fn is_paused(&self, work: &Work) -> bool {
        let pauses = &self.common.pauses;
        pauses.is_any() && pauses.holds(work.arrived.record().origin().topic, work.handler)
    }

    /// The next of its key may not start; the key counts as under way.
    pub(super) fn put_aside(&mut self, work: Work) {
        self.aside.loaded += usize::from(work.row.is_some());
        self.aside.works.push(work);
    }

    /// Keeps a row that is due from being read; gives it back where its topic goes on.
    pub(super) fn hold_row(&mut self, next: Next) -> Option<Next> {
        let Next::Load(slot, ..) = next else { return Some(next) };
        let is_held = self.slots.place(slot).is_some_and(|(topic, _)| self.common.pauses.holds_topic(topic));
        if !is_held {
            return Some(next);
        }
        self.aside.rows.push(next);
        None
    }

    /// Something was paused or resumed: everything is looked at again.
    pub(super) fn take_back(&mut self) {
        self.aside.loaded = 0;
        for work in std::mem::take(&mut self.aside.works) {
            self.queues.again(work.key, work);
        }
        for next in std::mem::take(&mut self.aside.rows) {
            self.next(next);
        }
    }

    /// A stop does not wait for an operator: the next owner has what did not start.
    pub(super) fn drop_aside(&mut self, slot: SlotId) {
        for work in self.aside.take_of(slot) {
            self.drop_key(&work);
        }
    }

    pub(super) fn forget_aside(&mut self, slot: SlotId) {
        self.aside.take_of(slot);
    }
}
