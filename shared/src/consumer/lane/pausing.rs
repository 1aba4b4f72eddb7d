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
    /// Rows that are due, and may not start: they are read when something is resumed.
    rows: Vec<Next>,
    changed: watch::Receiver<()>,
}

impl Aside {
    pub(super) fn new(changed: watch::Receiver<()>) -> Self {
        Self { works: Vec::new(), rows: Vec::new(), changed }
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
        let Some((row, _)) = work.row.filter(|_| !work.may_go) else { return self.aside.works.push(work) };
        // It is safe in the ledger. Kept here, many of one handler would leave no room for those of the others.
        self.aside.rows.push(Next::Load(work.slot, work.key, row));
        self.slots.closed(work.slot, 1);
        if !self.blocked.is_head(work.key, row) {
            self.queues.done(work.key);
        }
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
