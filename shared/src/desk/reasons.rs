//! Why events are dead, counted.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use serde::Serialize;

use crate::listing::Row;

/// How many different reasons are counted apart. Who puts something new into each reason fills no memory.
const MOST: usize = 1_000;
/// How much of a reason tells it from others, in bytes.
const LONGEST: usize = 200;
/// The reasons beyond.
const OTHERS: &str = "(other reasons)";

/// A reason, and how often it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonRow {
    /// Its [`essence`].
    pub reason: String,
    /// How many events.
    pub count: u64,
    /// When the first of them was settled.
    pub first: Option<Timestamp>,
    /// When the last one was.
    pub last: Option<Timestamp>,
}

impl Row for ReasonRow {
    const COLUMNS: &'static [&'static str] = &["count", "first", "last", "reason"];

    fn cells(&self) -> Vec<String> {
        let shown = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"));
        vec![self.count.to_string(), shown(self.first), shown(self.last), self.reason.clone()]
    }
}

/// What many reasons have in common: the first line, of that the first 200 bytes, and `#` for each word with four digits
/// or more: ids, moments, amounts. A word is letters, digits, `-` and `_`; so `HTTP 503` stays apart from `HTTP 404`.
pub fn essence(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let line = &line[..line.floor_char_boundary(LONGEST)];
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut essence = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        essence.push_str(if digits >= 4 { "#" } else { word });
        let (between, next) = behind.split_at(behind.find(is_word).unwrap_or(behind.len()));
        essence.push_str(between);
        rest = next;
    }
    essence
}

#[derive(Debug, Default)]
pub(super) struct Reasons(HashMap<String, Count, RandomState>);

#[derive(Debug, Clone, Copy)]
struct Count {
    events: u64,
    first: i64,
    last: i64,
}

impl Reasons {
    pub(super) fn add(&mut self, reason: &str, at: i64) {
        let essence = essence(reason);
        let is_known = self.0.len() < MOST || self.0.contains_key(&essence);
        let reason = if is_known { essence } else { OTHERS.to_owned() };
        let counted = self.0.entry(reason).or_insert(Count { events: 0, first: at, last: at });
        let Count { events, first, last } = *counted;
        *counted = Count { events: events + 1, first: first.min(at), last: last.max(at) };
    }

    /// The most frequent first.
    pub(super) fn rows(self) -> Vec<ReasonRow> {
        let at = |millis| Timestamp::from_millisecond(millis).ok();
        let row = |(reason, Count { events: count, first, last })| ReasonRow {
            reason,
            count,
            first: at(first),
            last: at(last),
        };
        let mut rows: Vec<ReasonRow> = self.0.into_iter().map(row).collect();
        rows.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.reason.cmp(&other.reason)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_tells_events_apart_is_no_reason() {
        for (reason, expected) in [
            ("order 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 is closed", "order # is closed"),
            ("shop 12: HTTP 503 at 2026-01-31T12:00:00.123Z", "shop 12: HTTP 503 at #:00:00.123Z"),
            ("no handler for the type \"com.example.a.v1\"", "no handler for the type \"com.example.a.v1\""),
            ("customer_10023: 10.0.0.1:15432 is away\nsecond line", "#: 10.0.0.1:# is away"),
            ("", ""),
        ] {
            assert_eq!(essence(reason), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_essence(reason in any::<String>()) {
            let once = essence(&reason);
            prop_assert!(once.len() <= LONGEST);
            prop_assert_eq!(essence(&once), once.clone());
        }
    }

    #[test]
    fn reasons_are_counted_with_their_times() {
        let mut reasons = Reasons::default();
        for (reason, at) in [("order 4711 is closed", 5), ("away", 7), ("order 4712 is closed", 3)] {
            reasons.add(reason, at);
        }
        let at = |millis| Timestamp::from_millisecond(millis).ok();
        let row = |reason: &str, count, first, last| ReasonRow {
            reason: reason.to_owned(),
            count,
            first: at(first),
            last: at(last),
        };
        assert_eq!(reasons.rows(), [row("order # is closed", 2, 3, 5), row("away", 1, 7, 7)]);
    }

    /// Catches: a table that grows with what others write into reasons.
    #[test]
    fn only_so_many_are_counted_apart() {
        let mut reasons = Reasons::default();
        for number in 0..3 * MOST {
            let letters: String =
                number.to_string().chars().map(|digit| (b'a' + (digit as u8 - b'0')) as char).collect();
            reasons.add(&letters, 0);
        }
        let rows = reasons.rows();
        assert_eq!((rows.len(), rows[0].reason.as_str()), (MOST + 1, OTHERS));
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 3 * MOST as u64);
    }
}
