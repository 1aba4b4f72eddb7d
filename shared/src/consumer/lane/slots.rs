//! The partitions of a lane: whose they are, and what of them is under way here.

use std::collections::HashMap;

use super::Taken;
use crate::consumer::{Key, SlotId};
use crate::store::Ownership;

/// All slots of a lane.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: HashMap<SlotId, Slot>,
    /// How many of them are finishing.
    finishing: usize,
    /// What this lane last added to the count of blocked keys.
    pub(super) blocked_keys: usize,
}

#[derive(Debug)]
struct Slot {
    owner: Ownership,
    topic: &'static str,
    partition: i32,
    /// The highest offset started: what a revocation has to bring to its end.
    started: Option<i64>,
    /// How many events are anywhere in this lane.
    open: usize,
    /// It is about to be let go, and the poll thread waits to hear that nothing is open.
    finishing: bool,
    /// Up to where a row answers for the key's earlier records.
    answered: HashMap<Key, i64>,
}

impl Slots {
    pub(super) fn take_over(&mut self, slot: SlotId, taken: &Taken) {
        let Taken { topic, partition, owner, .. } = *taken;
        let answered = taken.answered.iter().copied().collect();
        self.slots.insert(
            slot,
            Slot { owner, topic, partition, started: None, open: 0, finishing: false, answered },
        );
    }

    pub(super) fn owner(&self, slot: SlotId) -> Option<Ownership> {
        self.slots.get(&slot).map(|slot| slot.owner)
    }

    /// Topic and partition.
    pub(super) fn place(&self, slot: SlotId) -> Option<(&'static str, i32)> {
        self.slots.get(&slot).map(|slot| (slot.topic, slot.partition))
    }

    /// So many events came in.
    pub(super) fn opened(&mut self, slot: SlotId, events: usize) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.open += events;
        }
    }

    /// So many events are none of this lane's any more.
    pub(super) fn closed(&mut self, slot: SlotId, events: usize) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.open = slot.open.saturating_sub(events);
        }
    }

    pub(super) fn started(&mut self, slot: SlotId, offset: i64) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.started = slot.started.max(Some(offset));
        }
    }

    pub(super) fn highest_started(&self, slot: SlotId) -> Option<i64> {
        self.slots.get(&slot)?.started
    }

    /// Whether the ledger answers for the record: a later one of its key has a row.
    pub(super) fn is_answered(&mut self, slot: SlotId, key: Key, offset: i64) -> bool {
        let Some(slot) = self.slots.get_mut(&slot).filter(|slot| !slot.answered.is_empty()) else {
            return false;
        };
        match slot.answered.get(&key) {
            Some(last) if *last >= offset => true,
            Some(_) => {
                slot.answered.remove(&key);
                false
            }
            None => false,
        }
    }

    /// `false` for a slot that is not here any more.
    pub(super) fn finish(&mut self, slot: SlotId) -> bool {
        let Some(slot) = self.slots.get_mut(&slot) else { return false };
        slot.finishing = true;
        self.finishing += 1;
        true
    }

    pub(super) fn is_finishing(&self, slot: SlotId) -> bool {
        self.slots.get(&slot).is_some_and(|slot| slot.finishing)
    }

    /// Slots of which nothing is open any more; each is named once.
    pub(super) fn take_finished(&mut self) -> Vec<SlotId> {
        let mut finished = Vec::new();
        if self.finishing == 0 {
            return finished;
        }
        for (id, slot) in &mut self.slots {
            if slot.finishing && slot.open == 0 {
                slot.finishing = false;
                self.finishing -= 1;
                finished.push(*id);
            }
        }
        finished
    }

    /// `false` for a slot that is not here any more.
    pub(super) fn forget(&mut self, slot: SlotId) -> bool {
        let Some(slot) = self.slots.remove(&slot) else { return false };
        self.finishing -= usize::from(slot.finishing);
        true
    }
}
