//! Up to where everything of a partition is settled. Pure.

use std::collections::VecDeque;

/// The records of one partition that are under way, in order of their offsets.
///
/// Offsets have gaps (compaction, transaction markers), so that "the next one" is the next one received.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    entries: VecDeque<Entry>,
    position: Option<i64>,
    ahead: usize,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    size: u32,
    settled: bool,
}

/// What a record is for the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// It is tracked from now on.
    New,
    /// It is tracked already.
    Again,
    /// Everything up to there is settled: the partition is not what it was.
    Behind,
}

/// What leaves the window.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freed {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Tracker {
    /// A record was received. Offsets only grow; one that does not is not tracked.
    pub(super) fn received(&mut self, offset: i64, size: u32) -> Received {
        let last = self.entries.back().map(|entry| entry.offset + 1).or(self.position);
        if last.is_none_or(|next| offset >= next) {
            self.entries.push_back(Entry { offset, size, settled: false });
            return Received::New;
        }
        if self.entries.front().is_some_and(|first| first.offset <= offset) {
            Received::Again
        } else {
            Received::Behind
        }
    }

    /// A record is settled; the first time, says what that frees.
    pub(super) fn settled(&mut self, offset: i64) -> Option<Freed> {
        let index = self.index_of(offset)?;
        let entry = self.entries.get_mut(index).filter(|entry| !entry.settled)?;
        entry.settled = true;
        let freed = Freed { events: 1, bytes: entry.size as usize };
        self.ahead += 1;
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.settled) {
            self.position = Some(entry.offset + 1);
            self.ahead -= 1;
        }
        Some(freed)
    }

    /// The offset to commit: everything before it is settled. `None` until the first record is.
    pub(super) fn position(&self) -> Option<i64> {
        self.position
    }

    /// From the first record that is not settled to the last received: what a crash would repeat at most.
    pub(super) fn span(&self) -> usize {
        self.entries.len()
    }

    /// How many records are settled behind one that is not: they would be handled again.
    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }

    /// What is under way and not settled.
    pub(super) fn load(&self) -> Freed {
        let open = self.entries.iter().filter(|entry| !entry.settled);
        open.fold(Freed::default(), |load, entry| Freed {
            events: load.events + 1,
            bytes: load.bytes + entry.size as usize,
        })
    }

    /// Forgets what lies above the limit and was not settled: it will be received again by whoever comes next.
    pub(super) fn truncate(&mut self, limit: i64) -> Freed {
        let mut freed = Freed::default();
        while let Some(entry) = self.entries.pop_back_if(|entry| entry.offset > limit) {
            if entry.settled {
                self.ahead -= 1;
            } else {
                freed.events += 1;
                freed.bytes += entry.size as usize;
            }
        }
        freed
    }

    /// Offsets are mostly dense, so the first guess is mostly right.
    fn index_of(&self, offset: i64) -> Option<usize> {
        let first = self.entries.front()?.offset;
        let guess = usize::try_from(offset - first).ok()?;
        if self.entries.get(guess).is_some_and(|entry| entry.offset == offset) {
            return Some(guess);
        }
        self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// Catches: a position beyond an unsettled record, one that goes back, one that stays behind.
        #[test]
        fn the_position_is_behind_the_first_unsettled_record(
            gaps in vec(1i64..4, 1..60),
            order in vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(-1, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut tracker = Tracker::default();
            for offset in &offsets {
                prop_assert_eq!(tracker.received(*offset, 1), Received::New);
            }
            let mut open = offsets.clone();
            let mut last = None;
            for index in order {
                let offset = offsets[index.index(offsets.len())];
                let was_open = open.contains(&offset);
                open.retain(|other| *other != offset);
                prop_assert_eq!(tracker.settled(offset).is_some(), was_open);
                let before = offsets.iter().take_while(|o| !open.contains(o)).last();
                prop_assert_eq!(tracker.position(), before.map(|offset| offset + 1));
                prop_assert!(tracker.position() >= last);
                last = tracker.position();
                let unsettled_span = offsets.iter().skip_while(|o| !open.contains(o)).count();
                prop_assert_eq!(tracker.span(), unsettled_span);
                prop_assert_eq!(tracker.ahead(), unsettled_span - open.len());
            }
        }
    }

    #[test]
    fn what_was_not_settled_above_the_limit_is_given_back() {
        let mut tracker = Tracker::default();
        for offset in 0..6 {
            tracker.received(offset, 10);
        }
        tracker.settled(1);
        tracker.settled(4);
        assert_eq!(tracker.truncate(3), Freed { events: 1, bytes: 10 });
        assert_eq!((tracker.span(), tracker.ahead(), tracker.position()), (4, 1, None));
    }

    #[test]
    fn an_offset_that_does_not_grow_is_not_tracked() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.received(5, 1), Received::New);
        assert_eq!(tracker.received(5, 1), Received::Again);
        tracker.settled(5);
        assert_eq!(tracker.received(4, 1), Received::Behind);
        assert_eq!(tracker.received(6, 1), Received::New);
    }
}
