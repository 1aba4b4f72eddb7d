//! What a run came to: for people, or as one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::facts::Facts;
use super::fleet::{Fleet, Injected};
use super::oracle::Violation;
use super::samples::{Held, Samples};
use super::schedule::{Fault, Target};

/// How many violations are named.
const NAMED: usize = 20;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    run: String,
    seed: u64,
    /// How often each fault was injected, by kind and target.
    faults: BTreeMap<String, usize>,
    events: usize,
    handled: usize,
    dead: usize,
    /// Attempts that failed transiently.
    retries: u64,
    /// Records that service-a published again, dead letters that service-b did.
    published_again: usize,
    letters_again: usize,
    /// Events that the ledger knew already when they arrived, those that were published again left out.
    redelivered: u64,
    redelivered_per_kill: f64,
    /// Milliseconds from a kill until the next event is handled, and until one of every partition is.
    recovery_next: Option<Spread>,
    recovery_all_partitions: Option<Spread>,
    memory_kib_per_minute: Option<f64>,
    at_start: Option<Held>,
    at_end: Held,
    violations: usize,
    /// The first of them.
    named: Vec<String>,
}

/// Of several figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Spread {
    median: i64,
    max: i64,
}

impl Spread {
    fn of(mut figures: Vec<i64>) -> Option<Self> {
        figures.sort_unstable();
        Some(Self { median: *figures.get(figures.len() / 2)?, max: *figures.last()? })
    }
}

impl Report {
    pub(crate) fn new(
        run: &str,
        seed: u64,
        facts: &Facts,
        fleet: &Fleet,
        samples: &Samples,
        violations: &[Violation],
    ) -> Self {
        let is_kill = |injected: &&Injected| injected.fault == Fault::Kill;
        let kills: Vec<i64> = fleet.injected.iter().filter(is_kill).map(|injected| injected.at).collect();
        let distinct = |mut ids: Vec<&str>| {
            ids.sort_unstable();
            ids.dedup();
            ids.len()
        };
        let published_again =
            facts.records.len() - distinct(facts.records.iter().map(|record| record.id.as_str()).collect());
        let letters_again =
            facts.letters.len() - distinct(facts.letters.iter().map(|letter| letter.id.as_str()).collect());
        let redelivered = fleet.duplicates.saturating_sub(published_again as u64);
        let mut faults = BTreeMap::new();
        for injected in &fleet.injected {
            *faults.entry(name(injected)).or_default() += 1;
        }
        // Who ended unasked has broken a promise, too.
        let surprises = fleet.surprises.iter().cloned();
        let named: Vec<String> =
            surprises.chain(violations.iter().map(ToString::to_string)).take(NAMED).collect();
        let [recovery_next, recovery_all_partitions] = recovery(facts, &kills);
        Self {
            run: run.to_owned(),
            seed,
            faults,
            events: facts.expected.len(),
            handled: facts.effects.len(),
            dead: facts.rows.iter().filter(|row| row.status == "dead").count(),
            retries: fleet.retries,
            published_again,
            letters_again,
            redelivered,
            redelivered_per_kill: redelivered as f64 / kills.len().max(1) as f64,
            recovery_next,
            recovery_all_partitions,
            memory_kib_per_minute: samples.slope(),
            at_start: samples.first,
            at_end: samples.last,
            violations: violations.len() + fleet.surprises.len(),
            named,
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.violations == 0
    }

    #[allow(clippy::print_stdout, reason = "the report is the result")]
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", serde_json::json!(self));
        } else {
            println!("{}", self.text().unwrap_or_default());
        }
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let faults: Vec<String> = self.faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let spread = |spread: Option<Spread>| {
            spread.map_or("-".to_owned(), |spread| {
                let seconds = |figure: i64| figure as f64 / 1000.0;
                format!("median {:.2} s, max {:.2} s", seconds(spread.median), seconds(spread.max))
            })
        };
        let start = self.at_start.unwrap_or_default();
        let slope = self.memory_kib_per_minute.map_or("-".to_owned(), |slope| format!("{slope:+.0}"));
        writeln!(text, "run {}, seed {}", self.run, self.seed)?;
        writeln!(text, "faults           {}", faults.join(", "))?;
        writeln!(text, "events           {}: handled {}, dead {}", self.events, self.handled, self.dead)?;
        writeln!(text, "failed attempts  {}", self.retries)?;
        let (again, letters) = (self.published_again, self.letters_again);
        writeln!(text, "published again  {again} records, {letters} dead letters")?;
        let per_kill = self.redelivered_per_kill;
        writeln!(text, "redelivered      {}, {per_kill:.1} a kill", self.redelivered)?;
        writeln!(text, "recovery         next event: {}", spread(self.recovery_next))?;
        writeln!(text, "                 every partition: {}", spread(self.recovery_all_partitions))?;
        writeln!(text, "memory           {slope} KiB a minute, {} KiB at the end", self.at_end.resident_kib)?;
        writeln!(
            text,
            "threads          {} at the start, {} at the end",
            start.threads, self.at_end.threads
        )?;
        writeln!(text, "file descriptors {} at the start, {} at the end", start.files, self.at_end.files)?;
        write!(text, "violations       {}", self.violations)?;
        for named in &self.named {
            write!(text, "\n  {named}")?;
        }
        Ok(text)
    }
}

fn name(injected: &Injected) -> String {
    let who = match injected.target {
        Target::Publisher => "service-a",
        Target::Member(_) => "service-b",
        Target::Broker => "broker",
    };
    let what = match injected.fault {
        Fault::Kill => "kill -9",
        Fault::Term => "SIGTERM",
        Fault::Leave => "leave and join",
        Fault::Freeze => "SIGSTOP",
    };
    format!("{who} {what}")
}

/// From each kill until the next application of effects, and until one in every partition that still has any.
fn recovery(facts: &Facts, kills: &[i64]) -> [Option<Spread>; 2] {
    let mut partition_of = vec![None; facts.expected.len()];
    for record in &facts.records {
        if let Some(partition) = partition_of.get_mut(record.number as usize) {
            *partition = Some(record.partition);
        }
    }
    let mut by_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for effect in &facts.effects {
        if let Some(Some(partition)) = partition_of.get(effect.number as usize) {
            by_partition.entry(*partition).or_default().push(effect.at);
        }
    }
    for times in by_partition.values_mut() {
        times.sort_unstable();
    }
    let (mut next, mut all) = (Vec::new(), Vec::new());
    for kill in kills {
        let first = |times: &Vec<i64>| times.get(times.partition_point(|at| at <= kill)).map(|at| at - kill);
        let firsts: Vec<i64> = by_partition.values().filter_map(first).collect();
        next.extend(firsts.iter().min());
        all.extend(firsts.iter().max());
    }
    [Spread::of(next), Spread::of(all)]
}

#[cfg(test)]
mod tests {
    use super::super::events::Expected;
    use super::super::facts::{Effect, Record};
    use super::*;

    #[test]
    fn recovery_is_the_next_event_and_that_of_the_slowest_partition() {
        let mut facts = Facts::default();
        for (number, (partition, at)) in (0u64..).zip([(0, 100), (1, 110), (0, 250), (1, 900)]) {
            facts.expected.push(Expected { key: None, hopeless: false });
            facts.records.push(Record { number, id: number.to_string(), partition, bytes: None });
            facts.effects.push(Effect { number, at });
        }
        let [next, all] = recovery(&facts, &[200]);
        assert_eq!(next, Some(Spread { median: 50, max: 50 }));
        assert_eq!(all, Some(Spread { median: 700, max: 700 }));
        // Nothing came after: nothing is known.
        assert_eq!(recovery(&facts, &[1000]), [None, None]);
    }
}
