//! Keys whose events wait in the ledger, and what is due when. Pure.
//!
//! A key is blocked while one of its events waits for its next attempt, or behind one that does. Its rows are handled
//! one after the other, in order; what arrives meanwhile goes behind them. An event that says itself when it is due
//! blocks nobody: it is only remembered here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use tokio::time::Instant;

use super::brake::Streak;
use super::{Key, SlotId};
use crate::store::RowId;

#[derive(Debug)]
pub(super) struct BlockedKeys {
    keys: HashMap<Key, Blocked>,
    due: BinaryHeap<Reverse<(Instant, Alarm)>>,
    halted: HashSet<SlotId>,
    /// How many rows of one key there may be before what arrives waits elsewhere.
    most: usize,
}

#[derive(Debug)]
struct Blocked {
    slot: SlotId,
    /// The key's rows, in order.
    rows: VecDeque<RowId>,
    /// Its events that are on their way into the ledger.
    unsettled: usize,
    head: Head,
    /// Dead ones before them, about which an operator has to decide.
    held_by: Vec<RowId>,
    /// In which streak of its handler's failures the first row failed first.
    streak: Option<Streak>,
}

/// What the first row of a key waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// That moment.
    Due(Instant),
    /// To be handled, or for what becomes of it.
    UnderWay,
    /// To be there: the key's events are all still on their way into the ledger.
    Unsettled,
    /// An operator, who decides about a dead one before it.
    Operator,
}

/// What an alarm is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Key(u64),
    Row(SlotId, u64, RowId),
}

/// What is to be done about a key now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This row is to be loaded and handled.
    Load(SlotId, Key, RowId),
    /// Nothing of it is in the ledger any more: what waits behind it may start.
    Unblocked(Key),
    /// Nothing.
    Wait,
}

impl BlockedKeys {
    pub(super) fn new(most: usize) -> Self {
        Self { keys: HashMap::new(), due: BinaryHeap::new(), halted: HashSet::new(), most }
    }

    /// How many keys are blocked.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_blocked(&self, key: Key) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(&key)
    }

    /// A blocked key's row as the ledger has it at an assignment; in order. `due` is `None` for one that waits behind.
    pub(super) fn restore(&mut self, slot: SlotId, key: Key, row: RowId, due: Option<Instant>) {
        let first = !self.keys.contains_key(&key);
        self.blocked(key, slot).rows.push_back(row);
        if first {
            // The first of a key cannot wait behind another: if its row says so, the other is settled.
            self.wait_until(key, due.unwrap_or_else(Instant::now));
        }
    }

    /// The key is held by a dead event, until an operator has seen to it.
    pub(super) fn hold(&mut self, slot: SlotId, key: Key, row: RowId) {
        let blocked = self.blocked(key, slot);
        blocked.rows.pop_front_if(|first| *first == row);
        blocked.held_by.push(row);
        blocked.head = Head::Operator;
    }

    /// An operator has given a dead event back to its handler. `None` where it holds nothing here.
    pub(super) fn redriven(&mut self, key: Key, row: RowId) -> Option<Next> {
        let blocked = self.keys.get_mut(&key)?;
        blocked.held_by.remove(blocked.held_by.iter().position(|dead| *dead == row)?);
        let first = usize::from(blocked.head == Head::UnderWay);
        let at = blocked.rows.partition_point(|other| *other < row).max(first);
        blocked.rows.insert(at.min(blocked.rows.len()), row);
        if blocked.head == Head::Operator {
            blocked.head = Head::Unsettled;
        }
        Some(self.advance(key))
    }

    /// An operator has seen to a row: it waits for nothing any more. One that is under way learns of it from the ledger.
    pub(super) fn ended(&mut self, key: Key, row: RowId) -> Next {
        let Some(blocked) = self.keys.get_mut(&key) else { return Next::Wait };
        if let Some(at) = blocked.held_by.iter().position(|dead| *dead == row) {
            blocked.held_by.remove(at);
            if blocked.held_by.is_empty() && blocked.head == Head::Operator {
                blocked.head = Head::Unsettled;
            }
            return self.advance(key);
        }
        match blocked.head {
            Head::Due(_) if blocked.rows.front() == Some(&row) => self.finished(key, row),
            _ => Next::Wait,
        }
    }

    /// The same, where nobody knows the row's key any more.
    pub(super) fn ended_somewhere(&mut self, row: RowId) -> Next {
        let has = |blocked: &Blocked| blocked.rows.front() == Some(&row) || blocked.held_by.contains(&row);
        let key = self.keys.iter().find(|(_, blocked)| has(blocked)).map(|(key, _)| *key);
        key.map_or(Next::Wait, |key| self.ended(key, row))
    }

    /// The next attempt of the key's first row is due then, if it waits for that.
    pub(super) fn due_at(&mut self, key: Key, row: RowId, due: Instant) {
        if self.is_head(key, row) && matches!(self.keys.get(&key), Some(Blocked { head: Head::Due(_), .. })) {
            self.wait_until(key, due);
        }
    }

    /// An event of the key is on its way into the ledger, to wait there.
    pub(super) fn defer(&mut self, slot: SlotId, key: Key) {
        self.blocked(key, slot).unsettled += 1;
    }

    /// Remembers of the key's first row in which streak it failed first.
    pub(super) fn failed_in(&mut self, key: Key, streak: Option<Streak>) {
        if let Some(blocked) = self.keys.get_mut(&key) {
            blocked.streak = streak;
        }
    }

    /// In which streak the key's first row failed first, if it has failed here.
    pub(super) fn streak(&self, key: Key) -> Option<Streak> {
        self.keys.get(&key)?.streak
    }

    /// Whether another event of that blocked key may go into the ledger.
    pub(super) fn has_room(&self, key: Key) -> bool {
        self.keys.get(&key).is_some_and(|blocked| blocked.rows.len() + blocked.unsettled < self.most)
    }

    /// The deferred event has its row. `due` is `None` for one that waits behind.
    pub(super) fn settled(&mut self, key: Key, row: RowId, due: Option<Instant>) -> Next {
        let Some(blocked) = self.keys.get_mut(&key) else { return Next::Wait };
        blocked.unsettled -= 1;
        if blocked.rows.front() != Some(&row) {
            blocked.rows.push_back(row);
        }
        match due {
            Some(due) if blocked.rows.front() == Some(&row) => {
                self.wait_until(key, due);
                Next::Wait
            }
            _ => self.advance(key),
        }
    }

    /// The deferred event needs no row after all: it was known already.
    pub(super) fn superfluous(&mut self, key: Key) -> Next {
        let Some(blocked) = self.keys.get_mut(&key) else { return Next::Wait };
        blocked.unsettled -= 1;
        self.advance(key)
    }

    /// The deferred event comes back from its way into the ledger. Says whether the key is blocked no more.
    pub(super) fn take_back(&mut self, key: Key) -> bool {
        let Some(blocked) = self.keys.get_mut(&key) else { return false };
        blocked.unsettled -= 1;
        let is_empty = blocked.unsettled == 0 && blocked.rows.is_empty();
        if is_empty {
            self.keys.remove(&key);
        }
        is_empty
    }

    /// Whether that row is the key's first.
    pub(super) fn is_head(&self, key: Key, row: RowId) -> bool {
        self.keys.get(&key).is_some_and(|blocked| blocked.rows.front() == Some(&row))
    }

    /// The key's first row is settled for good.
    pub(super) fn finished(&mut self, key: Key, row: RowId) -> Next {
        let Some(blocked) = self.keys.get_mut(&key) else { return Next::Wait };
        if blocked.rows.front() == Some(&row) {
            blocked.rows.pop_front();
            blocked.head = if blocked.held_by.is_empty() { Head::Unsettled } else { Head::Operator };
            blocked.streak = None;
        }
        self.advance(key)
    }

    /// An event that says itself when it is due.
    pub(super) fn schedule(&mut self, slot: SlotId, key: Key, row: RowId, due: Instant) {
        self.due.push(Reverse((due, Alarm::Row(slot, key.0, row))));
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// What is due now, one at a time.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Next> {
        while self.next_due().is_some_and(|due| due <= now) {
            let Some(Reverse((due, alarm))) = self.due.pop() else { break };
            match alarm {
                Alarm::Row(slot, key, row) if !self.halted.contains(&slot) => {
                    return Some(Next::Load(slot, Key(key), row));
                }
                Alarm::Key(key) => {
                    let Some(blocked) = self.keys.get_mut(&Key(key)) else { continue };
                    if blocked.head == Head::Due(due) && !self.halted.contains(&blocked.slot) {
                        blocked.head = Head::Unsettled;
                        return Some(self.advance(Key(key)));
                    }
                }
                Alarm::Row(..) => {}
            }
        }
        None
    }

    /// Nothing of the slot becomes due any more.
    pub(super) fn halt(&mut self, slot: SlotId) {
        self.halted.insert(slot);
    }

    pub(super) fn is_halted(&self, slot: SlotId) -> bool {
        self.halted.contains(&slot)
    }

    pub(super) fn keys_of(&self, slot: SlotId) -> Vec<Key> {
        self.keys.iter().filter(|(_, blocked)| blocked.slot == slot).map(|(key, _)| *key).collect()
    }

    pub(super) fn forget(&mut self, slot: SlotId) {
        self.halted.remove(&slot);
        self.keys.retain(|_, blocked| blocked.slot != slot);
        self.due.retain(|Reverse((_, alarm))| match alarm {
            Alarm::Row(other, ..) => *other != slot,
            Alarm::Key(key) => self.keys.contains_key(&Key(*key)),
        });
    }

    /// What the key needs, where nothing of it is waited for.
    fn advance(&mut self, key: Key) -> Next {
        let Some(blocked) = self.keys.get_mut(&key) else { return Next::Wait };
        if blocked.head != Head::Unsettled || self.halted.contains(&blocked.slot) {
            return Next::Wait;
        }
        if let Some(row) = blocked.rows.front() {
            blocked.head = Head::UnderWay;
            return Next::Load(blocked.slot, key, *row);
        }
        if blocked.unsettled > 0 {
            return Next::Wait;
        }
        self.keys.remove(&key);
        Next::Unblocked(key)
    }

    fn wait_until(&mut self, key: Key, due: Instant) {
        if let Some(blocked) = self.keys.get_mut(&key) {
            blocked.head = Head::Due(due);
            self.due.push(Reverse((due, Alarm::Key(key.0))));
        }
    }

    fn blocked(&mut self, key: Key, slot: SlotId) -> &mut Blocked {
        let new = || Blocked {
            slot,
            rows: VecDeque::new(),
            unsettled: 0,
            head: Head::Unsettled,
            held_by: Vec::new(),
            streak: None,
        };
        self.keys.entry(key).or_insert_with(new)
    }
}
