//! What operators have done to rows that wait here.

use super::deferring::{after, instant_of};
use super::{Changed, Lane, SlotId};
use crate::store::Waiting;

impl Lane {
    pub(super) fn take_kept_changes(&mut self) {
        for (slot, changes) in std::mem::take(&mut self.changed) {
            self.take_changes(slot, changes);
        }
    }

    pub(super) fn take_changes(&mut self, slot: SlotId, changes: Vec<Changed>) {
        if self.slots.owner(slot).is_none() {
            return;
        }
        for Changed { key, row, waiting } in changes {
            let next = match (waiting, key) {
                (None, Some(key)) => self.blocked.ended(key, row),
                (None, None) => self.blocked.ended_somewhere(row),
                (Some(Waiting::Retry(pause)), Some(key)) => {
                    self.blocked.due_at(key, row, after(pause));
                    continue;
                }
                // Given back to its handler. It holds its key, or waits for nobody and nobody for it.
                (Some(Waiting::Until(at)), Some(key)) => {
                    let Some(next) = self.blocked.redriven(key, row) else {
                        self.blocked.schedule(slot, key, row, instant_of(at));
                        continue;
                    };
                    next
                }
                (Some(_), _) => continue,
            };
            self.next(next);
        }
    }
}
