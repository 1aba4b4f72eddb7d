//! What can be asked of a store, also while services work with it: nothing is written, nothing is made.
//!
//! Rows are numbered in the order in which they were made, so that a page is what lies below a row, and a time window
//! is found by [bisecting](Bisection) the numbers, without an index that every row would pay for. What is looked at is
//! bounded in each transaction ([`LOOKED_AT`]): an SQLite that is read for long cannot shorten its write-ahead log.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Answer, Filter, Identity, Known, OutboxRow, Remaining, SourcePosition, Status};

/// How many rows a transaction looks at, at most.
pub(crate) const LOOKED_AT: usize = 10_000;

/// Questions to a store that is there.
pub(crate) trait Query: fmt::Debug + Send + Sync {
    /// The groups that the store knows, with their numbers.
    fn groups(&self) -> Answer<'_, Vec<(i64, String)>>;

    /// Numbers between which all rows lie that were first seen within the window. What else lies there has to be told
    /// apart by its time.
    fn range(&self, window: Window) -> Answer<'_, Range<i64>>;

    /// The newest rows of those asked for: one transaction.
    fn look(&self, question: Question) -> Answer<'_, Look>;

    /// The rows of an id, with their records where they are kept; one at most where the source is given.
    fn find(&self, group: i64, id: &str, source: Option<&str>) -> Answer<'_, Vec<Entry>>;

    /// What operators did to a row, in the order in which they did it.
    fn operations(&self, row: i64) -> Answer<'_, Vec<OperationRow>>;

    /// What is known of events: one answer for each, in order. `None` is unknown.
    fn known(&self, group: &str, events: Arc<[Identity<'static>]>) -> Answer<'_, Vec<Option<Known>>>;

    /// The topics that the group has ever had partitions of, by name.
    fn topics(&self, group: i64) -> Answer<'_, Vec<String>>;

    /// What the absence of a row means for the events of a topic.
    fn recorded(&self, group: i64, topic: &str) -> Answer<'_, Recorded>;

    /// The outbox's rows above that one, in order: so many at most, and none after those that hold so many bytes together,
    /// but at least one.
    fn outbox_above(&self, row: i64, most: usize, bytes: usize) -> Answer<'_, Vec<OutboxRow>>;

    /// As of the [store](super::Store::remaining).
    fn remaining(&self) -> Answer<'_, Remaining>;

    /// How far event sources have been read, by name; so many at most.
    fn sources(&self, most: usize) -> Answer<'_, Vec<SourcePosition>>;
}

/// What the absence of a row means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Whether every event of the group gets a row; `None` where nobody has said so yet.
    pub(crate) every_event: Option<bool>,
    /// The partitions that a member has ever taken over, each with the offset below which rows may be gone.
    pub(crate) pruned_below: BTreeMap<i32, i64>,
}

/// From one moment to before another, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

impl Window {
    pub(crate) fn of(filter: &Filter) -> Self {
        Self {
            since: filter.since.map(Timestamp::as_millisecond),
            until: filter.until.map(Timestamp::as_millisecond),
        }
    }

    pub(crate) fn contains(self, seen: i64) -> bool {
        self.since.is_none_or(|since| since <= seen) && self.until.is_none_or(|until| seen < until)
    }

    /// As wide as the clocks of those who write may differ, and as a transaction may take: their rows are not numbered
    /// in the order of their times.
    pub(crate) fn widened(self) -> Self {
        const DISORDER: i64 = 60_000;
        Self {
            since: self.since.map(|since| since.saturating_sub(DISORDER)),
            until: self.until.map(|until| until.saturating_add(DISORDER)),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) group: i64,
    pub(crate) filter: Arc<Filter>,
    pub(crate) rows: Range<i64>,
    pub(crate) limit: usize,
    /// How many rows may be looked at to find them.
    pub(crate) look_at: usize,
    pub(crate) with_records: bool,
}

/// What was found, newest first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) entries: Vec<Entry>,
    /// Rows below are still to be looked at; `None` where all were.
    pub(crate) below: Option<i64>,
}

/// A row of the ledger as it was when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) row: i64,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) ty: Option<String>,
    pub(crate) status: Status,
    /// What a deferred row waits for: 1 its next attempt, 2 another event of its key, 3 the moment that it is due.
    pub(crate) waits: Option<i64>,
    pub(crate) attempts: i64,
    pub(crate) redrives: i64,
    pub(crate) reason: Option<String>,
    /// Milliseconds since 1970, like those that follow.
    pub(crate) time: Option<i64>,
    pub(crate) due: Option<i64>,
    pub(crate) seen: i64,
    /// Only of what is settled.
    pub(crate) settled: Option<i64>,
    /// See [`Record::pack`](crate::record::Record::pack).
    pub(crate) packed: Option<Vec<u8>>,
}

/// What an operator did, and what the row said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperationRow {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// 1 cancelled, 2 tried again, 3 redriven, 4 parked, 5 deleted, 6 replayed.
    pub(crate) what: i64,
    pub(crate) status: Status,
    pub(crate) attempts: i64,
    pub(crate) reason: Option<String>,
}

/// Finds the lowest row that was first seen at a moment or later, in about thirty steps.
///
/// A clock that was set back makes rows of one time twice, with other rows between: some row of that time is found, and
/// what lies on its other side is missed. Disorder below the [widening](Window::widened) does no harm.
#[derive(Debug)]
pub(crate) struct Bisection {
    /// All rows below are too early.
    low: i64,
    /// No row from here on is.
    high: i64,
    moment: i64,
}

impl Bisection {
    pub(crate) fn new(rows: Range<i64>, moment: i64) -> Self {
        Self { low: rows.start, high: rows.end.max(rows.start), moment }
    }

    /// The next question: which is the first row from this number on, and when was it first seen?
    pub(crate) fn asks(&self) -> Option<i64> {
        (self.low < self.high).then(|| self.low + (self.high - self.low) / 2)
    }

    /// The answer: numbers have gaps, and there may be no row left.
    pub(crate) fn answer(&mut self, asked: i64, found: Option<(i64, i64)>) {
        match found {
            Some((row, seen)) if row < self.high && seen < self.moment => self.low = row + 1,
            _ => self.high = asked,
        }
    }

    pub(crate) fn found(&self) -> i64 {
        self.low
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    fn bisect(rows: &BTreeMap<i64, i64>, range: Range<i64>, moment: i64) -> (i64, usize) {
        let (mut bisection, mut steps) = (Bisection::new(range, moment), 0);
        while let Some(asked) = bisection.asks() {
            bisection.answer(asked, rows.range(asked..).next().map(|(row, seen)| (*row, *seen)));
            steps += 1;
        }
        (bisection.found(), steps)
    }

    proptest! {
        /// Catches: a boundary that is one off, a gap taken for the end.
        #[test]
        fn what_is_found_parts_the_early_rows_from_the_others(
            gaps in btree_map(0_i64..1_000_000, 0_i64..50, 0..60),
            moment in 0_i64..3_000,
        ) {
            // Times that grow with the numbers.
            let mut seen = 0;
            let rows: BTreeMap<i64, i64> =
                gaps.into_iter().map(|(row, later)| { seen += later; (row, seen) }).collect();
            let (found, steps) = bisect(&rows, 0..1_000_000, moment);
            prop_assert!(rows.iter().all(|(row, seen)| (*row < found) == (*seen < moment)));
            prop_assert!(steps <= 21, "{}", steps);
        }

        /// A clock that jumps about.
        #[test]
        fn it_ends_whatever_the_times_are(
            rows in btree_map(0_i64..1_000, any::<i64>(), 0..60),
            start in 0_i64..1_000, end in 0_i64..1_000, moment in any::<i64>(),
        ) {
            let (found, _) = bisect(&rows, start..end, moment);
            prop_assert!(found >= start && found <= end.max(start));
        }
    }

    #[test]
    fn a_window_is_from_its_beginning_to_before_its_end() {
        let window = Window { since: Some(10), until: Some(20) };
        assert_eq!([9, 10, 19, 20].map(|seen| window.contains(seen)), [false, true, true, false]);
        let always = Window { since: None, until: None };
        assert!(always.widened().contains(i64::MIN) && window.widened().contains(60_019));
    }
}
