//! What is remembered of a handler. Pure.

use std::time::Instant;

use super::LONG_ENOUGH;

/// Counts a handler's streaks of failures: each ends with a success.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::consumer) struct Streak(u64);

#[derive(Debug, Default, Clone)]
pub(super) struct Record {
    /// The streak that goes on, or the one that would begin with the next failure.
    streak: Streak,
    /// When it began.
    began: Option<Instant>,
    /// The keys that have failed in it; as few as open the brake, so that a list will do.
    failing: Vec<u64>,
    /// How often the brake was opened because of it since it last succeeded while all was well.
    pub(super) openings: u32,
}

impl Record {
    pub(super) fn streak(&self) -> Streak {
        self.streak
    }

    pub(super) fn has_failed(&self, key: u64) -> bool {
        self.failing.contains(&key)
    }

    /// An event failed, for the first time in the streak `first`. Says in which it did, if it was now.
    pub(super) fn failed(&mut self, key: u64, first: Option<Streak>, now: Instant, most: usize) -> Streak {
        let first = first.unwrap_or(self.streak);
        if first == self.streak {
            self.note(key, now, most);
        }
        first
    }

    /// Remembers the key, and no more than `most` of them.
    pub(super) fn note(&mut self, key: u64, now: Instant, most: usize) {
        self.began.get_or_insert(now);
        if !self.has_failed(key) {
            if self.failing.len() >= most {
                self.failing.remove(0);
            }
            self.failing.push(key);
        }
    }

    pub(super) fn end_streak(&mut self) {
        // Without a failure there is no streak that could end: events keep comparing with the same number.
        if self.began.take().is_some() {
            self.streak.0 += 1;
            self.failing.clear();
        }
    }

    pub(super) fn is_outage(&self, keys: usize, now: Instant) -> bool {
        let Some(lasted) = self.began.map(|began| now.saturating_duration_since(began)) else { return false };
        let enough = if lasted >= LONG_ENOUGH { keys } else { keys * super::AT_ONCE };
        lasted >= super::AT_LEAST && self.failing.len() >= enough
    }

    /// Says how often that is in a row.
    pub(super) fn opened(&mut self) -> u32 {
        self.openings = self.openings.saturating_add(1);
        self.openings
    }

    pub(super) fn is_calm(&self) -> bool {
        self.began.is_none() && self.openings == 0
    }
}
