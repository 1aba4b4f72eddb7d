//! The partitions of a lane: whose they are, and what of them is under way here.

use std::collections::HashMap;

use super::under_way::Work;
use crate::consumer::messages::Taken;
use crate::consumer::{Key, SlotId};
use crate::store::{Ownership, UpTo};

/// All slots of a lane, in the order of their ids. Events come in runs of one partition, so that the last slot asked
/// for is mostly the next one, too.
#[derive(Debug, Default)]
pub(super) struct Slots {
    all: Vec<(SlotId, Slot)>,
    last: usize,
    /// How many of them are finishing.
    finishing: usize,
    /// Whether rows of any answer for records that are still to come.
    has_answers: bool,
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
    /// How far a row answers for the key's earlier records.
    answered: HashMap<Key, UpTo>,
}

impl Slots {
    pub(super) fn take_over(&mut self, slot: SlotId, taken: &Taken) {
        let Taken { topic, partition, owner, .. } = *taken;
        let answered: HashMap<_, _> = taken.answered.iter().copied().collect();
        self.has_answers |= !answered.is_empty();
        let new = Slot { owner, topic, partition, started: None, open: 0, finishing: false, answered };
        let at = self.all.partition_point(|(id, _)| *id < slot);
        self.all.insert(at, (slot, new));
    }

    fn get(&self, slot: SlotId) -> Option<&Slot> {
        let at = self.all.binary_search_by_key(&slot, |(id, _)| *id).ok()?;
        self.all.get(at).map(|(_, slot)| slot)
    }

    fn get_mut(&mut self, slot: SlotId) -> Option<&mut Slot> {
        if self.all.get(self.last).is_none_or(|(id, _)| *id != slot) {
            self.last = self.all.binary_search_by_key(&slot, |(id, _)| *id).ok()?;
        }
        self.all.get_mut(self.last).map(|(_, slot)| slot)
    }

    pub(super) fn owner(&self, slot: SlotId) -> Option<Ownership> {
        self.get(slot).map(|slot| slot.owner)
    }

    /// Topic and partition.
    pub(super) fn place(&self, slot: SlotId) -> Option<(&'static str, i32)> {
        self.get(slot).map(|slot| (slot.topic, slot.partition))
    }

    /// So many events came in. `false` for a slot that is not here any more.
    pub(super) fn opened(&mut self, slot: SlotId, events: usize) -> bool {
        let Some(slot) = self.get_mut(slot) else { return false };
        slot.open += events;
        true
    }

    /// So many events are none of this lane's any more.
    pub(super) fn closed(&mut self, slot: SlotId, events: usize) {
        if let Some(slot) = self.get_mut(slot) {
            slot.open = slot.open.saturating_sub(events);
        }
    }

    pub(super) fn started(&mut self, slot: SlotId, offset: i64) {
        if let Some(slot) = self.get_mut(slot) {
            slot.started = slot.started.max(Some(offset));
        }
    }

    pub(super) fn highest_started(&self, slot: SlotId) -> Option<i64> {
        self.get(slot)?.started
    }

    /// Whether the ledger answers for the event: a later one of its key has a row.
    pub(super) fn is_answered(&mut self, work: &Work) -> bool {
        if !self.has_answers {
            return false;
        }
        let Some(slot) = self.get_mut(work.slot) else { return false };
        match slot.answered.get(&work.key) {
            Some(up_to) if up_to.covers(work.arrived.record().origin()) => true,
            Some(_) => {
                slot.answered.remove(&work.key);
                false
            }
            None => false,
        }
    }

    /// `false` for a slot that is not here any more.
    pub(super) fn finish(&mut self, slot: SlotId) -> bool {
        let Some(slot) = self.get_mut(slot) else { return false };
        slot.finishing = true;
        self.finishing += 1;
        true
    }

    pub(super) fn is_finishing(&self, slot: SlotId) -> bool {
        self.get(slot).is_some_and(|slot| slot.finishing)
    }

    /// Slots of which nothing is open any more; each is named once.
    pub(super) fn take_finished(&mut self) -> Vec<SlotId> {
        let mut finished = Vec::new();
        if self.finishing == 0 {
            return finished;
        }
        for (id, slot) in &mut self.all {
            if slot.finishing && slot.open == 0 {
                slot.finishing = false;
                self.finishing -= 1;
                finished.push(*id);
            }
        }
        finished
    }

    pub(super) fn forget(&mut self, slot: SlotId) {
        if let Ok(at) = self.all.binary_search_by_key(&slot, |(id, _)| *id) {
            let (_, slot) = self.all.remove(at);
            self.finishing -= usize::from(slot.finishing);
        }
    }
}
