//! What must be true at the end. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;

/// What is true at the end.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Numbers in the topic, with the id of each record, in order of partition and offset.
    pub(crate) published: Vec<(u64, String)>,
    /// Numbers whose effects were applied, in that order.
    pub(crate) applied: Vec<u64>,
    /// How many rows of the ledger have which status.
    pub(crate) ledger: BTreeMap<String, u64>,
    /// Numbers in the dead-letter topic.
    pub(crate) letters: Vec<u64>,
}

/// Every promise that did not hold, in words.
pub(crate) fn compare(plan: &Plan, facts: &Facts, exit_codes: &[Option<i32>]) -> Vec<String> {
    let mut violations = Vec::new();
    let all: BTreeSet<u64> = (0..plan.events).collect();
    let bad: BTreeSet<u64> = all.iter().copied().filter(|number| Plan::is_bad(*number)).collect();
    let good: BTreeSet<u64> = all.difference(&bad).copied().collect();
    let mut differ = |what: &str, expected: &BTreeSet<u64>, found: &BTreeSet<u64>| {
        violations.extend(expected.difference(found).map(|number| format!("{what}: {number} is missing")));
        violations
            .extend(found.difference(expected).map(|number| format!("{what}: {number} should not be there")));
    };
    differ("published", &all, &facts.published.iter().map(|(number, _)| *number).collect());
    differ("effects", &good, &facts.applied.iter().copied().collect());
    differ("dead letters", &bad, &facts.letters.iter().copied().collect());
    violations.extend(ids(facts));
    violations.extend(repeated(&facts.applied).map(|number| format!("effects: {number} was applied twice")));
    violations.extend(order(plan, &facts.applied));
    let rows = |status: &str| facts.ledger.get(status).copied().unwrap_or(0);
    for (status, expected) in [("handled", good.len()), ("dead", bad.len()), ("deferred", 0)] {
        if rows(status) != expected as u64 {
            violations.push(format!("ledger: {} rows are {status}, not {expected}", rows(status)));
        }
    }
    violations.extend(
        exit_codes
            .iter()
            .filter(|code| **code != Some(0))
            .map(|code| format!("a service ended with {code:?}")),
    );
    violations
}

/// A line has one id, however often it was sent, and no two lines have the same.
fn ids(facts: &Facts) -> Vec<String> {
    let pairs: BTreeSet<(u64, &str)> =
        facts.published.iter().map(|(number, id)| (*number, id.as_str())).collect();
    let numbers: Vec<u64> = pairs.iter().map(|(number, _)| *number).collect();
    let mut violations: Vec<String> =
        repeated(&numbers).map(|number| format!("published: {number} has several ids")).collect();
    let ids: BTreeSet<&str> = pairs.iter().map(|(_, id)| *id).collect();
    if ids.len() < pairs.len() {
        violations.push("published: an id belongs to several lines".to_owned());
    }
    violations
}

fn repeated(numbers: &[u64]) -> impl Iterator<Item = u64> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<u64> = numbers.iter().copied().filter(|number| !seen.insert(*number)).collect();
    twice.into_iter()
}

/// The first application of each, by key.
fn order(plan: &Plan, applied: &[u64]) -> Vec<String> {
    let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let mut violations = Vec::new();
    for number in applied.iter().copied().filter(|number| seen.insert(*number)) {
        if let Some(before) = last.insert(plan.key(number), number)
            && before > number
        {
            violations.push(format!("order: {number} came after {before} of its key"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { events: 300, keys: 7 };

    fn right() -> Facts {
        let (bad, good): (Vec<u64>, Vec<u64>) = (0..300).partition(|number| Plan::is_bad(*number));
        let ledger = [("handled".to_owned(), good.len() as u64), ("dead".to_owned(), bad.len() as u64)];
        Facts {
            published: (0..300).map(|number| (number, format!("id{number}"))).collect(),
            applied: good,
            ledger: ledger.into(),
            letters: bad,
        }
    }

    fn found(change: impl Fn(&mut Facts), codes: &[Option<i32>]) -> String {
        let mut facts = right();
        change(&mut facts);
        compare(&PLAN, &facts, codes).join("\n")
    }

    type Plant = fn(&mut Facts);

    /// An oracle that cannot fail proves nothing: each kind of violation is planted and has to be seen.
    #[test]
    fn every_violation_is_seen() {
        assert_eq!(found(|_| {}, &[Some(0)]), "");
        // Sent twice under one id is allowed, and so is a letter that came twice.
        assert_eq!(found(|facts| facts.published.push((3, "id3".to_owned())), &[]), "");
        assert_eq!(found(|facts| facts.letters.push(37), &[]), "");
        let plants: [(Plant, &str); 9] = [
            (|facts| facts.published.retain(|(number, _)| *number != 5), "published: 5 is missing"),
            (|facts| facts.published.push((3, "other".to_owned())), "3 has several ids"),
            (|facts| facts.published[4].1 = "id3".to_owned(), "belongs to several lines"),
            (|facts| facts.applied.retain(|number| *number != 5), "effects: 5 is missing"),
            (|facts| facts.applied.push(5), "5 was applied twice"),
            (|facts| facts.applied.reverse(), "came after"),
            (|facts| facts.applied.push(37), "37 should not be there"),
            (|facts| facts.letters.retain(|number| *number != 237), "dead letters: 237 is missing"),
            (|facts| facts.ledger.extend([("deferred".to_owned(), 1)]), "1 rows are deferred, not 0"),
        ];
        for (plant, says) in plants {
            let said = found(plant, &[]);
            assert!(said.contains(says), "{says:?} is not in {said}");
        }
        assert!(found(|_| {}, &[Some(0), Some(1)]).contains("ended with Some(1)"));
    }
}
