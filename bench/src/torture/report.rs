//! What a run came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Plan;
use super::oracle::Facts;
use super::schedule::Fault;
use super::vitals::Vitals;

/// How many violations are named.
const NAMED: usize = 20;

#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    plan: Plan,
    faults: BTreeMap<Fault, u32>,
}

impl Report {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        Self { seed, plan, faults: BTreeMap::new() }
    }

    pub(crate) fn inflicted(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    #[allow(clippy::print_stdout, reason = "the report is the result")]
    pub(crate) fn print(
        &self,
        facts: &Facts,
        vitals: &Vitals<'_>,
        violations: &[String],
        took: Duration,
        as_json: bool,
    ) {
        let faults: BTreeMap<String, u32> =
            self.faults.iter().map(|(fault, times)| (format!("{fault:?}"), *times)).collect();
        let mut recoveries = vitals.recoveries.clone();
        recoveries.sort_unstable();
        let seconds = |at: Option<&Duration>| at.map_or(0.0, Duration::as_secs_f64);
        let (median, slowest) = (seconds(recoveries.get(recoveries.len() / 2)), seconds(recoveries.last()));
        let sent_again = facts.published.len() as u64 - self.plan.events.min(facts.published.len() as u64);
        let report = json!({
            "seed": self.seed,
            "seconds": took.as_secs(),
            "faults": faults,
            "events": self.plan.events,
            "keys": self.plan.keys,
            "records": facts.published.len(),
            "records_sent_again": sent_again,
            "effects": facts.applied.len(),
            "dead_letters": facts.letters.len(),
            "recovery_median_s": median,
            "recovery_slowest_s": slowest,
            "memory_most_mib": vitals.most_kib / 1024,
            "memory_slope_kib_a_minute": vitals.memory_slope().round(),
            "threads_most": vitals.most_threads,
            "files_most": vitals.most_files,
            "violations": violations.len(),
        });
        if as_json {
            println!("{report}");
        } else {
            for (name, value) in report.as_object().into_iter().flatten() {
                println!("{name:>28}  {value}");
            }
        }
        for violation in violations.iter().take(NAMED) {
            eprintln!("VIOLATED  {violation}");
        }
    }
}
