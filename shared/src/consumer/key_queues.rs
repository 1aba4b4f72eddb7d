//! A queue per live key: each key's events one after the other, many keys at a time. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use super::{Key, SlotId};

/// The events of a lane that wait or are under way, by key. A key is live while it has any.
#[derive(Debug)]
pub(super) struct KeyQueues<W> {
    live: HashMap<Key, Queue<W>, BuildHasherDefault<AlreadyHashed>>,
    /// Keys whose first event may start, in the order in which they came to be so.
    ready: VecDeque<Key>,
    /// Keys that are ready, but of a slot that is halted. A slot is halted while it has an entry.
    halted: HashMap<SlotId, Vec<Key>>,
    /// How many events of one key, and how many bytes of them, may wait before it counts as full.
    bound: Load,
    size: fn(&W) -> usize,
}

/// Events, and their bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Load {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Queue<W> {
    slot: SlotId,
    waiting: VecDeque<W>,
    /// Of what waits.
    bytes: usize,
    full: bool,
}

/// How a key's bound is touched: full at the bound, open again at half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    BecameFull,
    BecameOpen,
    Unchanged,
}

impl<W> KeyQueues<W> {
    pub(super) fn new(bound: Load, size: fn(&W) -> usize) -> Self {
        Self { live: HashMap::default(), ready: VecDeque::new(), halted: HashMap::new(), bound, size }
    }

    pub(super) fn is_live(&self, key: Key) -> bool {
        !self.live.is_empty() && self.live.contains_key(&key)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many keys have an event that may start.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// An event arrived and has to wait.
    pub(super) fn wait(&mut self, key: Key, slot: SlotId, work: W) -> Room {
        let size = (self.size)(&work);
        if let Some(queue) = self.live.get_mut(&key) {
            queue.waiting.push_back(work);
            queue.bytes += size;
            return queue.fill(self.bound);
        }
        self.live.insert(key, Queue { waiting: VecDeque::from([work]), bytes: size, ..Queue::new(slot) });
        self.make_ready(key, slot);
        Room::Unchanged
    }

    /// An event of the key has started: later ones of its key wait behind it.
    pub(super) fn started(&mut self, key: Key, slot: SlotId) {
        self.live.entry(key).or_insert_with(|| Queue::new(slot));
    }

    /// The next event that may start; its key is under way until [`done`](Self::done) or
    /// [`again`](Self::again).
    pub(super) fn next(&mut self) -> Option<(W, Room)> {
        while let Some(key) = self.ready.pop_front() {
            if let Some(queue) = self.live.get_mut(&key)
                && let Some(work) = queue.waiting.pop_front()
            {
                queue.bytes -= (self.size)(&work);
                return Some((work, queue.empty(self.bound)));
            }
        }
        None
    }

    /// The key's event that was under way is settled: the next of the key may start.
    pub(super) fn done(&mut self, key: Key) {
        match self.live.get(&key) {
            Some(queue) if queue.waiting.is_empty() => drop(self.live.remove(&key)),
            Some(queue) => self.make_ready(key, queue.slot),
            None => {}
        }
    }

    /// The key's event that was under way starts again, before all others of its key.
    pub(super) fn again(&mut self, key: Key, work: W) {
        if let Some(queue) = self.live.get_mut(&key) {
            queue.bytes += (self.size)(&work);
            queue.waiting.push_front(work);
            let slot = queue.slot;
            self.make_ready(key, slot);
        }
    }

    /// The key counts as under way, whatever it was before: nothing of it starts until [`done`](Self::done).
    pub(super) fn hold(&mut self, key: Key, slot: SlotId) {
        self.live.entry(key).or_insert_with(|| Queue::new(slot));
        self.ready.retain(|other| *other != key);
        if let Some(halted) = self.halted.get_mut(&slot) {
            halted.retain(|other| *other != key);
        }
    }

    /// Whether events of the key wait here.
    pub(super) fn has_waiting(&self, key: Key) -> bool {
        self.live.get(&key).is_some_and(|queue| !queue.waiting.is_empty())
    }

    /// Takes away what waits behind the key's event that is under way, in order.
    pub(super) fn take_waiting(&mut self, key: Key) -> (Vec<W>, Room) {
        let Some(queue) = self.live.get_mut(&key) else { return (Vec::new(), Room::Unchanged) };
        let waiting = queue.waiting.drain(..).collect();
        queue.bytes = 0;
        (waiting, queue.empty(self.bound))
    }

    /// Events that were handled already have to be handled again, in this order and before all others of their key.
    /// `under_way` says that one of them was under way until now, so that nothing of the key is any more.
    pub(super) fn put_back(&mut self, key: Key, slot: SlotId, works: Vec<W>, under_way: bool) -> Room {
        if works.is_empty() {
            return Room::Unchanged;
        }
        let was_idle = under_way || !self.live.contains_key(&key);
        let queue = self.live.entry(key).or_insert_with(|| Queue::new(slot));
        for work in works.into_iter().rev() {
            queue.bytes += (self.size)(&work);
            queue.waiting.push_front(work);
        }
        let room = queue.fill(self.bound);
        if was_idle {
            self.make_ready(key, slot);
        }
        room
    }

    pub(super) fn is_halted(&self, slot: SlotId) -> bool {
        self.halted.contains_key(&slot)
    }

    /// Nothing of the slot starts until [`finish`](Self::finish).
    pub(super) fn halt(&mut self, slot: SlotId) {
        let of_slot = |key: &Key| self.live.get(key).is_some_and(|queue| queue.slot == slot);
        let (halted, ready) = self.ready.drain(..).partition::<Vec<_>, _>(of_slot);
        self.ready = ready.into();
        self.halted.entry(slot).or_default().extend(halted);
    }

    /// What of a halted slot is to be kept may start again; the rest is dropped. Says how many those were.
    pub(super) fn finish(&mut self, slot: SlotId, keep: impl Fn(&W) -> bool) -> usize {
        let mut dropped = 0;
        for queue in self.live.values_mut().filter(|queue| queue.slot == slot) {
            let before = queue.waiting.len();
            queue.waiting.retain(&keep);
            queue.bytes = queue.waiting.iter().map(self.size).sum();
            dropped += before - queue.waiting.len();
        }
        for key in self.halted.remove(&slot).unwrap_or_default() {
            self.done(key);
        }
        dropped
    }

    /// Everything of the slot is dropped, whatever it waits for.
    pub(super) fn forget(&mut self, slot: SlotId) {
        self.halted.remove(&slot);
        self.live.retain(|_, queue| queue.slot != slot);
        self.ready.retain(|key| self.live.contains_key(key));
    }

    fn make_ready(&mut self, key: Key, slot: SlotId) {
        match self.halted.get_mut(&slot) {
            Some(halted) => halted.push(key),
            None => self.ready.push_back(key),
        }
    }
}

impl<W> Queue<W> {
    fn new(slot: SlotId) -> Self {
        Self { slot, waiting: VecDeque::new(), bytes: 0, full: false }
    }

    fn fill(&mut self, bound: Load) -> Room {
        let becomes_full = !self.full && (self.waiting.len() >= bound.events || self.bytes >= bound.bytes);
        self.full |= becomes_full;
        if becomes_full { Room::BecameFull } else { Room::Unchanged }
    }

    fn empty(&mut self, bound: Load) -> Room {
        let is_low = self.waiting.len() <= bound.events / 2 && self.bytes <= bound.bytes / 2;
        let becomes_open = self.full && is_low;
        self.full &= !becomes_open;
        if becomes_open { Room::BecameOpen } else { Room::Unchanged }
    }
}

/// A [`Key`] is a hash with a random seed already; to hash it again would cost and gain nothing.
#[derive(Debug, Default)]
pub(super) struct AlreadyHashed(u64);

impl std::hash::Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const SLOT: SlotId = SlotId(1);

    #[derive(Debug, Clone)]
    enum Step {
        Arrive(u64),
        Start,
        Done(prop::sample::Index),
        Again(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0u64..4).prop_map(Step::Arrive),
            3 => Just(Step::Start),
            2 => any::<prop::sample::Index>().prop_map(Step::Done),
            1 => any::<prop::sample::Index>().prop_map(Step::Again),
        ];
        vec(step, 0..200)
    }

    proptest! {
        /// Catches: two of a key under way at once, a later one before an earlier one, one that never starts.
        #[test]
        fn each_key_goes_one_after_the_other_and_in_order(steps in steps()) {
            let mut queues = KeyQueues::new(Load { events: 8, bytes: usize::MAX }, |_| 1);
            let mut under_way: Vec<(u64, i64)> = Vec::new();
            let mut finished: HashMap<u64, i64> = HashMap::new();
            let mut arrived = 0;
            for step in steps {
                match step {
                    Step::Arrive(key) => {
                        queues.wait(Key(key), SLOT, (key, arrived));
                        arrived += 1;
                    }
                    Step::Start => {
                        if let Some(((key, offset), _)) = queues.next() {
                            prop_assert!(under_way.iter().all(|(other, _)| *other != key));
                            prop_assert!(finished.get(&key).is_none_or(|last| *last < offset));
                            under_way.push((key, offset));
                        }
                    }
                    Step::Done(index) if !under_way.is_empty() => {
                        let (key, offset) = under_way.swap_remove(index.index(under_way.len()));
                        finished.insert(key, offset);
                        queues.done(Key(key));
                    }
                    Step::Again(index) if !under_way.is_empty() => {
                        let (key, offset) = under_way.swap_remove(index.index(under_way.len()));
                        queues.again(Key(key), (key, offset));
                    }
                    Step::Done(_) | Step::Again(_) => {}
                }
            }
            // Nothing is left behind: everything that arrived can still be brought to its end.
            let mut ended = finished.len();
            for (key, _) in under_way.drain(..) {
                queues.done(Key(key));
            }
            while let Some(((key, _), _)) = queues.next() {
                queues.done(Key(key));
                ended += 1;
            }
            prop_assert!(ended <= arrived as usize);
            prop_assert!(queues.live.is_empty() && !queues.has_ready());
        }
    }

    #[test]
    fn a_halted_slot_starts_nothing_and_finishes_up_to_the_limit() {
        let mut queues = KeyQueues::new(Load { events: 8, bytes: usize::MAX }, |_| 1);
        let other = SlotId(2);
        queues.wait(Key(1), SLOT, "a");
        queues.wait(Key(1), SLOT, "b");
        queues.wait(Key(2), other, "c");
        queues.started(Key(3), SLOT);
        queues.wait(Key(3), SLOT, "d");
        queues.halt(SLOT);
        assert_eq!(queues.next(), Some(("c", Room::Unchanged)));
        queues.done(Key(3));
        assert_eq!(queues.next(), None, "nothing of the halted slot starts");
        assert_eq!(queues.finish(SLOT, |work| *work != "b"), 1);
        assert_eq!(queues.next(), Some(("a", Room::Unchanged)), "what is above the limit is gone");
        assert_eq!(queues.next(), Some(("d", Room::Unchanged)));
        queues.forget(SLOT);
        assert!(!queues.is_live(Key(1)) && !queues.is_live(Key(3)) && queues.is_live(Key(2)));
    }

    /// Catches: a key that is held and still starts what was ready, or starts two at once afterwards.
    #[test]
    fn a_held_key_starts_nothing_until_it_is_done() {
        let mut queues = KeyQueues::new(Load { events: 8, bytes: usize::MAX }, |_| 1);
        queues.wait(Key(1), SLOT, "a");
        queues.wait(Key(1), SLOT, "b");
        queues.hold(Key(1), SLOT);
        assert_eq!(queues.next(), None);
        queues.done(Key(1));
        assert_eq!((queues.next().map(|(work, _)| work), queues.next()), (Some("a"), None));
    }

    #[test]
    fn a_key_is_full_of_bytes_too_and_open_again_at_half() {
        let mut queues = KeyQueues::new(Load { events: 100, bytes: 10 }, |work: &usize| *work);
        queues.started(Key(1), SLOT);
        assert_eq!(queues.wait(Key(1), SLOT, 6), Room::Unchanged);
        assert_eq!(queues.wait(Key(1), SLOT, 5), Room::BecameFull);
        queues.done(Key(1));
        assert_eq!(queues.next(), Some((6, Room::BecameOpen)));
    }
}
