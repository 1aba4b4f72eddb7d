//! The partitions that this member has, and what is under way of each.

use std::collections::{BTreeMap, HashMap};

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::SlotId;
use super::recent::{Recent, Seen};
use super::tracker::{Freed, Received, Tracker};
use super::window::Window;
use crate::store::Ownership;

/// A partition that is assigned.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) topic: &'static str,
    pub(super) partition: i32,
    owner: Ownership,
    tracker: Tracker,
    recent: Recent,
    /// Where the next record is: at first where this member started.
    next: Offset,
    /// What was last given to librdkafka to commit; never goes back.
    stored: Option<i64>,
    /// Where the group stands as far as is known; at first, where this member started.
    committed: Option<i64>,
    /// How many of its keys have as many events waiting as a key may have.
    full_keys: usize,
    pub(super) paused: bool,
    /// An operator has paused its topic. What is under way of it counts in no window meanwhile: it would hold the others.
    stands_still: bool,
    /// Where the partition ended when it was assigned, for who stops there.
    pub(super) target: Option<i64>,
}

/// How far settled records may run ahead of one that is not, in windows: bounds memory, and repeats after a crash.
const SPAN_IN_WINDOWS: usize = 10;

/// All slots, and the window that they share.
#[derive(Debug)]
pub(super) struct Assignment {
    slots: BTreeMap<SlotId, Slot>,
    places: HashMap<(&'static str, i32), SlotId>,
    /// Topic names live as long as the process: there are as many as were subscribed to.
    topics: Vec<&'static str>,
    last: Option<(&'static str, i32, SlotId)>,
    next: u32,
    window: Window,
    longest_span: usize,
    /// How often records were fetched.
    batch: u64,
    /// Goes with every offset that is committed.
    store_id: String,
}

impl Assignment {
    pub(super) fn new(events: usize, bytes: usize, store_id: &str) -> Self {
        Self {
            slots: BTreeMap::new(),
            places: HashMap::new(),
            topics: Vec::new(),
            last: None,
            next: 0,
            window: Window::new(events, bytes),
            longest_span: events.saturating_mul(SPAN_IN_WINDOWS),
            batch: 0,
            store_id: store_id.to_owned(),
        }
    }

    /// What is received from now on comes with another batch.
    pub(super) fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// A partition is ours from now on; `start` is where the group stands, `first` where this member starts.
    pub(super) fn assign(
        &mut self,
        (topic, partition): (&'static str, i32),
        owner: Ownership,
        start: Option<i64>,
        first: Offset,
        target: Option<i64>,
    ) -> SlotId {
        let id = SlotId(self.next);
        self.next += 1;
        let slot = Slot {
            topic,
            partition,
            owner,
            tracker: Tracker::default(),
            recent: Recent::default(),
            next: first,
            stored: None,
            committed: start,
            full_keys: 0,
            paused: false,
            stands_still: false,
            target,
        };
        self.slots.insert(id, slot);
        self.places.insert((topic, partition), id);
        id
    }

    pub(super) fn remove(&mut self, id: SlotId) -> Option<Slot> {
        let mut slot = self.slots.remove(&id)?;
        slot.free(&mut self.window, |tracker| tracker.truncate(-1));
        self.places.remove(&(slot.topic, slot.partition));
        self.last = None;
        Some(slot)
    }

    /// The slot of a record's place. Records come in runs of one partition.
    pub(super) fn slot_of(&mut self, topic: &str, partition: i32) -> Option<(&'static str, SlotId)> {
        if let Some((last_topic, last_partition, id)) = self.last
            && last_partition == partition
            && last_topic == topic
        {
            return Some((last_topic, id));
        }
        let topic = self.intern(topic);
        let id = *self.places.get(&(topic, partition))?;
        self.last = Some((topic, partition, id));
        Some((topic, id))
    }

    /// Takes a record into the window, if it is new.
    pub(super) fn received(&mut self, id: SlotId, seen: Seen) -> Received {
        let Some(slot) = self.slots.get_mut(&id) else { return Received::Again };
        let received = slot.tracker.received(seen.offset, u32::try_from(seen.size).unwrap_or(u32::MAX));
        match received {
            Received::New => {
                slot.committed.get_or_insert(seen.offset);
                slot.recent.note(self.batch, seen);
                slot.next = Offset::Offset(seen.offset + 1);
                if !slot.stands_still {
                    self.window.take(Freed { events: 1, bytes: seen.size });
                }
            }
            Received::Behind if slot.recent.has(seen) => return Received::Again,
            Received::Again | Received::Behind => {}
        }
        received
    }

    /// Where the partition's next record is.
    pub(super) fn next(&mut self, topic: &str, partition: i32) -> Option<Offset> {
        let (_, id) = self.slot_of(topic, partition)?;
        self.slots.get(&id).map(|slot| slot.next)
    }

    /// A record is settled. Late results of a slot that was let go match nothing.
    pub(super) fn settled(&mut self, id: SlotId, offset: i64) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.free(&mut self.window, |tracker| tracker.settled(offset).unwrap_or_default());
        }
    }

    pub(super) fn committed(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some((_, id)) = self.slot_of(topic, partition)
            && let Some(slot) = self.slots.get_mut(&id)
        {
            slot.committed = slot.committed.max(Some(offset));
        }
    }

    pub(super) fn key_full(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.full_keys += 1;
        }
    }

    pub(super) fn key_open(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.full_keys = slot.full_keys.saturating_sub(1);
        }
    }

    /// Forgets what of the slot was not started; see [`Tracker::truncate`].
    pub(super) fn truncate(&mut self, id: SlotId, limit: i64) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.free(&mut self.window, |tracker| tracker.truncate(limit));
        }
    }

    pub(super) fn has(&self, id: SlotId) -> bool {
        self.slots.contains_key(&id)
    }

    pub(super) fn ids(&self) -> Vec<SlotId> {
        self.slots.keys().copied().collect()
    }

    pub(super) fn ids_of(&self, partitions: &TopicPartitionList) -> Vec<SlotId> {
        let id = |topic: &str, partition| {
            self.slots.iter().find(|(_, slot)| slot.topic == topic && slot.partition == partition)
        };
        let elements = partitions.elements();
        elements.iter().filter_map(|element| Some(*id(element.topic(), element.partition())?.0)).collect()
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// The positions that moved since the last time.
    pub(super) fn take_moved(&mut self) -> TopicPartitionList {
        let mut moved = TopicPartitionList::new();
        for slot in self.slots.values_mut().filter(|slot| slot.tracker.position() > slot.stored) {
            slot.add_position(&mut moved, &self.store_id);
            slot.stored = slot.tracker.position();
        }
        moved
    }

    /// Where these slots stand; those of which nothing is settled yet are left out.
    pub(super) fn positions(&self, slots: &[SlotId]) -> TopicPartitionList {
        let mut positions = TopicPartitionList::new();
        let slots = slots.iter().filter_map(|id| self.slots.get(id));
        slots.for_each(|slot| slot.add_position(&mut positions, &self.store_id));
        positions
    }

    /// Hears which topics an operator has paused.
    pub(super) fn stand_still(&mut self, is_paused: impl Fn(&str) -> bool) {
        for slot in self.slots.values_mut() {
            let stands_still = is_paused(slot.topic);
            if stands_still != slot.stands_still {
                slot.stands_still = stands_still;
                let load = slot.tracker.load();
                if stands_still { self.window.free(load) } else { self.window.take(load) }
            }
        }
    }

    /// Which partitions have to be paused now, and which resumed; `all` where nothing is to come at all.
    pub(super) fn take_pauses(&mut self, all: bool) -> (TopicPartitionList, TopicPartitionList) {
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for slot in self.slots.values_mut() {
            let longest = if slot.paused { self.longest_span / 2 } else { self.longest_span };
            let wanted = all || slot.full_keys > 0 || slot.tracker.span() > longest || slot.stands_still;
            if wanted != slot.paused {
                slot.paused = wanted;
                let list = if wanted { &mut pause } else { &mut resume };
                list.add_partition(slot.topic, slot.partition);
            }
        }
        (pause, resume)
    }

    /// Where pruning may go to: what the group has committed.
    pub(super) fn prunable(&self) -> Vec<(Ownership, i64)> {
        self.slots.values().filter_map(|slot| Some((slot.owner, slot.committed?))).collect()
    }

    pub(super) fn intern(&mut self, topic: &str) -> &'static str {
        if let Some(known) = self.topics.iter().find(|known| **known == topic) {
            return known;
        }
        let leaked: &'static str = Box::leak(topic.to_owned().into_boxed_str());
        self.topics.push(leaked);
        leaked
    }
}

impl Slot {
    fn free(&mut self, window: &mut Window, of: impl FnOnce(&mut Tracker) -> Freed) {
        let freed = of(&mut self.tracker);
        if !self.stands_still {
            window.free(freed);
        }
    }

    /// The position, with the id of the store that answers for everything before it.
    fn add_position(&self, list: &mut TopicPartitionList, store_id: &str) {
        let Some(position) = self.tracker.position() else { return };
        let mut element = list.add_partition(self.topic, self.partition);
        element.set_metadata(store_id);
        if let Err(error) = element.set_offset(Offset::Offset(position)) {
            tracing::error!("{}/{} cannot be committed at {position}: {error}", self.topic, self.partition);
        }
    }

    /// How many settled events the next owner handles again, at most: those behind one that is not settled,
    /// and those that no commit has reached. Counted by offsets, gaps included.
    pub(super) fn repeats(&self) -> u64 {
        let uncommitted = self
            .tracker
            .position()
            .zip(self.committed)
            .map_or(0, |(position, committed)| position.saturating_sub(committed));
        self.tracker.ahead() as u64 + uncommitted.unsigned_abs()
    }

    /// Whether everything that was there when it was assigned is settled.
    pub(super) fn is_caught_up(&self) -> bool {
        self.target.is_none_or(|target| self.tracker.position() >= Some(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a paused topic that is fetched, one whose events hold the window for the others, a window that is larger
    /// after a pause than before it.
    #[test]
    fn a_topic_that_stands_still_is_not_fetched_and_holds_no_other() {
        let mut assignment = Assignment::new(10, 10_000, "store");
        let mut assign = |topic, partition| {
            let owner = Ownership { partition, epoch: 1 };
            assignment.assign((topic, 0), owner, Some(0), Offset::Offset(0), None)
        };
        let (still, other) = (assign("still", 1), assign("other", 2));
        let seen = |offset| Seen { offset, timestamp: None, size: 10 };
        assert!((0..10).all(|offset| assignment.received(still, seen(offset)) == Received::New));
        assert!(assignment.window().is_full());
        assignment.stand_still(|topic| topic == "still");
        assert_eq!(assignment.window().room(), 10);
        let names = |list: &TopicPartitionList| {
            list.elements().iter().map(|element| element.topic().to_owned()).collect::<Vec<_>>()
        };
        let (pause, _) = assignment.take_pauses(false);
        assert_eq!(names(&pause), ["still"]);

        assert!((0..10).all(|offset| assignment.received(other, seen(offset)) == Received::New));
        let (pause, resume) = assignment.take_pauses(true);
        assert_eq!((names(&pause), names(&resume)), (vec!["other".to_owned()], Vec::new()));
        // What was under way is finished, and frees what it does not hold.
        assignment.settled(still, 0);
        assert_eq!(assignment.window().events(), 10);
        (0..5).for_each(|offset| assignment.settled(other, offset));
        let (_, resume) = assignment.take_pauses(false);
        assert_eq!(names(&resume), ["other"], "all may come again, and the topic stands still");

        assignment.stand_still(|_| false);
        assert_eq!((assignment.window().events(), assignment.window().is_full()), (14, true));
        (1..10).for_each(|offset| assignment.settled(still, offset));
        let (_, resume) = assignment.take_pauses(false);
        assert_eq!((names(&resume), assignment.window().events()), (vec!["still".to_owned()], 5));
        assignment.stand_still(|topic| topic == "other");
        assignment.remove(other);
        assert_eq!(assignment.window().events(), 0);
    }

    /// Catches: a member that ends, healthy, because librdkafka went back to the beginning of a batch in a rebalance.
    #[test]
    fn what_the_last_batch_brought_may_come_again_settled_or_not() {
        let mut assignment = Assignment::new(100, 10_000, "store");
        let id = assignment.assign(
            ("t", 0),
            Ownership { partition: 1, epoch: 1 },
            Some(0),
            Offset::Offset(0),
            None,
        );
        let seen = |offset| Seen { offset, timestamp: Some(7), size: 10 };
        for offset in 0..6 {
            // Three a batch.
            if offset % 3 == 0 {
                assignment.next_batch();
            }
            assert_eq!(assignment.received(id, seen(offset)), Received::New);
        }
        (0..6).for_each(|offset| assignment.settled(id, offset));
        assignment.next_batch();
        assert!((3..6).all(|offset| assignment.received(id, seen(offset)) == Received::Again));
        assert_eq!(assignment.received(id, seen(2)), Received::Behind, "librdkafka knew that it was taken");
        assert_eq!(assignment.received(id, Seen { timestamp: Some(8), ..seen(5) }), Received::Behind);
        assert_eq!(assignment.window().events(), 0);
        assert_eq!(assignment.next("t", 0), Some(Offset::Offset(6)));
    }
}
