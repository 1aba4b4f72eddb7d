//! Whether the promises were kept: what is found at the end, compared event by event. Pure.

use std::collections::HashMap;
use std::fmt;

use super::facts::{Bytes, Facts};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// service-a says that it is published, and the topic does not hold it.
    NotPublished(u64),
    /// Published under several ids: the effects of the second are another event's.
    SeveralIds(u64),
    /// On the topic after a later one of its key.
    PublishedOutOfOrder { key: u32, number: u64, after: u64 },
    /// On the topic, and neither handled nor dead.
    Lost { number: u64, status: Option<String> },
    /// Its effects were applied more than once.
    EffectTwice { number: u64, times: usize },
    /// Its effects were applied after those of a later one of its key.
    OutOfOrder { key: u32, number: u64, after: u64 },
    /// Its handler never succeeds, and yet there are effects.
    HopelessWithEffect(u64),
    /// Dead, and its handler would have succeeded some time.
    DeadInVain(u64),
    /// There are effects, and the ledger says otherwise.
    EffectOf { number: u64, status: Option<String> },
    /// Several rows of the ledger.
    SeveralRows { number: u64, rows: usize },
    /// Dead, and not in the dead-letter topic.
    NoLetter(u64),
    /// In the dead-letter topic with other bytes.
    LetterChanged(u64),
    /// In the dead-letter topic, and not dead.
    LetterOfLiving(u64),
    /// In the ledger, the effects or the dead letters, and never published.
    Unknown { place: &'static str, what: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |status: &Option<String>| {
            status
                .as_ref()
                .map_or("no row in the ledger".to_owned(), |status| format!("{status} in the ledger"))
        };
        match self {
            Self::NotPublished(number) => write!(f, "lost before the topic: event {number}"),
            Self::SeveralIds(number) => write!(f, "published under several ids: event {number}"),
            Self::PublishedOutOfOrder { key, number, after } => {
                write!(f, "published out of order: event {number} of key {key} after {after}")
            }
            Self::Lost { number, status } => write!(f, "lost: event {number}, {}", said(status)),
            Self::EffectTwice { number, times } => write!(f, "effects {times} times: event {number}"),
            Self::OutOfOrder { key, number, after } => {
                write!(f, "effects out of order: event {number} of key {key} after {after}")
            }
            Self::HopelessWithEffect(number) => write!(f, "effects of a hopeless event: {number}"),
            Self::DeadInVain(number) => write!(f, "dead without need: event {number}"),
            Self::EffectOf { number, status } => write!(f, "effects of event {number}, {}", said(status)),
            Self::SeveralRows { number, rows } => write!(f, "{rows} rows in the ledger: event {number}"),
            Self::NoLetter(number) => write!(f, "dead and not in the dead-letter topic: event {number}"),
            Self::LetterChanged(number) => write!(f, "dead letter with other bytes: event {number}"),
            Self::LetterOfLiving(number) => write!(f, "dead letter of an event that is not dead: {number}"),
            Self::Unknown { place, what } => write!(f, "{what} in {place}, and never published"),
        }
    }
}

/// What is known of one event, gathered from everywhere.
#[derive(Debug, Default, Clone)]
struct Found<'a> {
    id: Option<&'a str>,
    bytes: Option<&'a Bytes>,
    effects: usize,
    statuses: Vec<&'a str>,
    letters: Vec<&'a Bytes>,
}

/// All violations, those of the whole first, then event by event.
pub(crate) fn judge(facts: &Facts) -> Vec<Violation> {
    let mut violations = Vec::new();
    let found = gather(facts, &mut violations);
    order(facts, &mut violations);
    for (number, (expected, found)) in (0u64..).zip(facts.expected.iter().zip(&found)) {
        judge_one(number, expected.hopeless, found, facts.every_event_has_a_row, &mut violations);
    }
    violations
}

fn gather<'a>(facts: &'a Facts, violations: &mut Vec<Violation>) -> Vec<Found<'a>> {
    let mut found = vec![Found::default(); facts.expected.len()];
    let mut by_id = HashMap::new();
    let unknown = |place, what| Violation::Unknown { place, what };
    for record in &facts.records {
        let Some(event) = found.get_mut(record.number as usize) else {
            violations.push(unknown("the topic", format!("event {}", record.number)));
            continue;
        };
        if *event.id.get_or_insert(&record.id) != record.id {
            violations.push(Violation::SeveralIds(record.number));
        }
        event.bytes = event.bytes.or(record.bytes.as_ref());
        by_id.insert(record.id.as_str(), record.number as usize);
    }
    for effect in &facts.effects {
        match found.get_mut(effect.number as usize) {
            Some(event) => event.effects += 1,
            None => violations.push(unknown("the effects", format!("event {}", effect.number))),
        }
    }
    for row in &facts.rows {
        match by_id.get(row.id.as_str()).and_then(|number| found.get_mut(*number)) {
            Some(event) => event.statuses.push(&row.status),
            None => violations.push(unknown("the ledger", format!("id {}", row.id))),
        }
    }
    for letter in &facts.letters {
        match by_id.get(letter.id.as_str()).and_then(|number| found.get_mut(*number)) {
            Some(event) => event.letters.push(&letter.bytes),
            None => violations.push(unknown("the dead letters", format!("id {}", letter.id))),
        }
    }
    found
}

/// On the topic and in the effects, the events of a key follow each other by their numbers. Only the first time
/// counts: what comes again comes later.
fn order(facts: &Facts, violations: &mut Vec<Violation>) {
    let numbers = facts.records.iter().map(|record| record.number);
    disorder(facts, numbers, |key, number, after| {
        violations.push(Violation::PublishedOutOfOrder { key, number, after });
    });
    let numbers = facts.effects.iter().map(|effect| effect.number);
    disorder(facts, numbers, |key, number, after| {
        violations.push(Violation::OutOfOrder { key, number, after });
    });
}

fn disorder(facts: &Facts, numbers: impl Iterator<Item = u64>, mut found: impl FnMut(u32, u64, u64)) {
    let mut is_seen = vec![false; facts.expected.len()];
    let mut last: HashMap<u32, u64> = HashMap::new();
    for number in numbers {
        let (Some(expected), Some(is_seen)) =
            (facts.expected.get(number as usize), is_seen.get_mut(number as usize))
        else {
            continue;
        };
        let is_again = std::mem::replace(is_seen, true);
        let Some(key) = expected.key.filter(|_| !is_again) else { continue };
        let last = last.entry(key).or_insert(number);
        if *last > number {
            found(key, number, *last);
        }
        *last = number.max(*last);
    }
}

fn judge_one(
    number: u64,
    is_hopeless: bool,
    found: &Found<'_>,
    every_event_has_a_row: bool,
    violations: &mut Vec<Violation>,
) {
    if found.id.is_none() {
        violations.push(Violation::NotPublished(number));
    }
    if found.statuses.len() > 1 {
        violations.push(Violation::SeveralRows { number, rows: found.statuses.len() });
    }
    let status = found.statuses.first().map(|status| (*status).to_owned());
    let is_dead = found.statuses.contains(&"dead");
    if found.effects > 1 {
        violations.push(Violation::EffectTwice { number, times: found.effects });
    }
    if found.effects == 0 && !is_dead && found.id.is_some() {
        violations.push(Violation::Lost { number, status: status.clone() });
    }
    if found.effects > 0 && is_hopeless {
        violations.push(Violation::HopelessWithEffect(number));
    }
    let agrees = match status.as_deref() {
        Some(status) => status == "handled",
        // Without a row for every event, one that is settled and committed may be forgotten.
        None => !every_event_has_a_row,
    };
    if found.effects > 0 && !agrees {
        violations.push(Violation::EffectOf { number, status });
    }
    if is_dead && !is_hopeless {
        violations.push(Violation::DeadInVain(number));
    }
    if is_dead && found.letters.is_empty() {
        violations.push(Violation::NoLetter(number));
    }
    if !is_dead && !found.letters.is_empty() {
        violations.push(Violation::LetterOfLiving(number));
    }
    // The bytes of others are not kept.
    if is_hopeless && found.letters.iter().any(|letter| Some(*letter) != found.bytes) {
        violations.push(Violation::LetterChanged(number));
    }
}

#[cfg(test)]
mod tests;
