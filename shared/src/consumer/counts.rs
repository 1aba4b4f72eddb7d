//! What is counted while the runtime works, and what it came to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events whose handler succeeded.
    pub handled: u64,
    /// Records that became dead letters, each acknowledged by the broker.
    pub dead_letters: u64,
    /// Events that the ledger knew already: they had arrived before.
    pub duplicates: u64,
    /// Attempts that failed transiently.
    pub retries: u64,
    /// Events settled without their offset committed, at most: their next owner handles them again.
    pub duplicates_possible: u64,
}

/// Counted while the runtime works.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) handled: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) duplicates_possible: AtomicU64,
    /// Keys of which events wait in the ledger.
    blocked_keys: AtomicU64,
    /// Rows that wait and of which no lane knows yet.
    untold: AtomicUsize,
}

impl Counts {
    /// The counts so far.
    pub fn summary(&self) -> Summary {
        Summary {
            handled: self.handled.load(Ordering::Relaxed),
            dead_letters: self.dead_letters.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            duplicates_possible: self.duplicates_possible.load(Ordering::Relaxed),
        }
    }

    pub(super) fn duplicate(&self) {
        self.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dead_letter(&self) {
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    /// A lane has so many blocked keys now; `before` is what it said last.
    pub(super) fn blocked(&self, before: &mut usize, now: usize) {
        if *before != now {
            // Modulo 2^64, as the sum is.
            self.blocked_keys.fetch_add((now as u64).wrapping_sub(*before as u64), Ordering::Release);
            *before = now;
        }
    }

    /// A lane is about to hear of so many rows that wait.
    pub(super) fn waiting_told(&self, rows: usize) {
        self.untold.fetch_add(rows, Ordering::AcqRel);
    }

    /// It has heard of them, and counts their keys itself.
    pub(super) fn waiting_heard(&self, rows: usize) {
        let less = |untold: usize| Some(untold.saturating_sub(rows));
        // It cannot fail: there is always a number to put in its place.
        let _ = self.untold.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    pub(super) fn has_blocked_keys(&self) -> bool {
        // In this order: a lane counts its keys before it says that it has heard.
        self.untold.load(Ordering::Acquire) > 0 || self.blocked_keys.load(Ordering::Acquire) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a backlog whose end is reached before a lane has counted what waits in the ledger.
    #[test]
    fn rows_count_from_when_they_are_announced() {
        let (counts, mut of_lane) = (Counts::default(), 0);
        assert!(!counts.has_blocked_keys());
        counts.waiting_told(3);
        assert!(counts.has_blocked_keys(), "the lane has not looked yet");
        counts.blocked(&mut of_lane, 2);
        counts.waiting_heard(3);
        assert!(counts.has_blocked_keys(), "now they are the lane's own");
        counts.blocked(&mut of_lane, 0);
        assert!(!counts.has_blocked_keys());
    }
}
