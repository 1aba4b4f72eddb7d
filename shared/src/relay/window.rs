//! Which rows may be sent now. Pure.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::record::Record;
use crate::store::OutboxRow;

/// How many rows may be in flight at once: enough for full batches, few enough to be read again each round.
const MOST_ROWS: usize = 4_000;
/// How many bytes. One row alone may be larger.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How many keys are remembered as proven.
const MOST_PROVEN: usize = 100_000;

/// What is in flight, and what is known of rows that came back.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Sent and unanswered.
    in_flight: HashMap<i64, Flying>,
    bytes: usize,
    /// Topics and keys, hashed, of which a row is in flight that has none before it.
    unproven: HashSet<u64>,
    /// Topics and keys, hashed, of which this producer has had a row acknowledged. The broker accepts the first batch of a
    /// producer whatever its number: were the first row of a key refused, one behind it could pass. Once it has taken one,
    /// it takes no batch after a gap.
    proven: HashSet<u64>,
    hasher: RandomState,
    /// Failed together with others: the next time each goes alone, so that the guilty one is found.
    suspects: HashSet<i64>,
    /// The row in flight is a suspect: nothing goes with it.
    is_alone: bool,
    /// Rows of the last look that nothing can be done about now. They are read again each round, beside the others.
    stuck: Stuck,
}

#[derive(Debug, Clone, Copy)]
struct Flying {
    size: usize,
    /// Topic and key, hashed; `None` for a null key.
    key: Option<u64>,
}

/// Rows that the broker has refused, and those behind them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// Of the rows, those refused themselves.
    pub(super) refused: usize,
}

impl Window {
    /// How many rows and bytes to read: what may be in flight, and what is stuck below.
    pub(super) fn limits(&self) -> (usize, usize) {
        (MOST_ROWS + self.stuck.rows, MOST_BYTES.saturating_add(self.stuck.bytes))
    }

    /// Whether another look at the outbox is worth it: a look reads what is in flight again.
    pub(super) fn has_room(&self) -> bool {
        !self.is_alone && self.in_flight.len() <= MOST_ROWS / 2 && self.bytes <= MOST_BYTES / 2
    }

    /// Of the lowest rows, in order, the indices of those to send now, in that order. Later rows of a topic and key wait
    /// behind one that may not go; a null key holds nothing.
    pub(super) fn choose(&mut self, rows: &[OutboxRow]) -> Vec<usize> {
        let (mut chosen, mut behind, mut first) = (Vec::new(), HashSet::new(), HashSet::new());
        let (mut count, mut bytes) = (self.in_flight.len(), self.bytes);
        self.stuck = Stuck::default();
        let mut is_full = self.is_alone;
        for (index, row) in rows.iter().enumerate() {
            if self.in_flight.contains_key(&row.number) {
                continue;
            }
            let key = Record::packed_key(&row.packed).map(|key| (row.topic.as_str(), key));
            if row.refused.is_some() || key.is_some_and(|key| behind.contains(&key)) {
                self.stuck.add(row);
                behind.extend(key);
                continue;
            }
            let size = row.packed.len();
            is_full |= count > 0 && (count >= MOST_ROWS || bytes + size > MOST_BYTES);
            let key = self.hash(row);
            let is_first = key.is_some_and(|key| !self.proven.contains(&key));
            if is_first && key.is_some_and(|key| self.unproven.contains(&key) || !first.insert(key)) {
                continue;
            }
            // What is above a suspect waits until it has gone, so that it has its turn.
            let is_suspect = self.suspects.contains(&row.number);
            is_full |= is_suspect && count > 0;
            if is_full {
                continue;
            }
            chosen.push(index);
            (count, bytes, is_full) = (count + 1, bytes + size, is_suspect);
        }
        chosen
    }

    /// The row has been handed to the producer.
    pub(super) fn sent(&mut self, row: &OutboxRow) {
        let flying = Flying { size: row.packed.len(), key: self.hash(row) };
        if self.in_flight.insert(row.number, flying).is_none() {
            self.bytes += flying.size;
        }
        self.unproven.extend(flying.key.filter(|key| !self.proven.contains(key)));
        self.is_alone = self.suspects.contains(&row.number);
    }

    /// The row has been answered: it is in Kafka, or not. Whether it was in flight.
    pub(super) fn answered(&mut self, number: i64, is_taken: bool) -> bool {
        let Some(Flying { size, key }) = self.in_flight.remove(&number) else { return false };
        self.bytes -= size;
        self.is_alone = false;
        if let Some(key) = key {
            self.unproven.remove(&key);
            if is_taken {
                // Forgotten, each key is proven again: a round trip.
                if self.proven.len() >= MOST_PROVEN {
                    self.proven.clear();
                }
                self.proven.insert(key);
            }
        }
        true
    }

    /// The row is gone or refused for good.
    pub(super) fn forget(&mut self, number: i64) {
        self.suspects.remove(&number);
    }

    /// These failed together: next time each alone.
    pub(super) fn suspect(&mut self, numbers: impl IntoIterator<Item = i64>) {
        self.suspects.extend(numbers);
    }

    /// Nothing is in flight any more: the producer was given up, and the broker does not know the next one.
    pub(super) fn clear(&mut self) {
        self.in_flight.clear();
        self.unproven.clear();
        self.proven.clear();
        (self.bytes, self.is_alone) = (0, false);
    }

    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    fn hash(&self, row: &OutboxRow) -> Option<u64> {
        let key = Record::packed_key(&row.packed)?;
        Some(self.hasher.hash_one((row.topic.as_str(), key)))
    }

    pub(super) fn stuck(&self) -> Stuck {
        self.stuck
    }
}

impl Stuck {
    fn add(&mut self, row: &OutboxRow) {
        self.rows += 1;
        self.bytes += row.packed.len();
        self.refused += usize::from(row.refused.is_some());
    }
}

#[cfg(test)]
mod tests;
