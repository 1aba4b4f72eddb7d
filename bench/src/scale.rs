//! How CPU time and memory grow with partitions, keys and instances: service-b with `discard` beside a bare loop over the
//! same topic.
//!
//! What starting takes is measured as well, over an empty topic of as many partitions: one ratio has it, the other does
//! not. Several instances are one group and are started at once; each goes when the partitions that it then has are
//! handled. Some of the backlog is handled before all of them have joined: `least_share` says how evenly it was shared.

mod instances;

use std::path::Path;

use clap::ValueEnum;

use self::instances::{EMPTY, Instances, empty};
use crate::check::check;
use crate::contest::{Contest, Rounds, Subject};
use crate::drain;
use crate::load::{self, Compression, Load, Payload};
use crate::measure::{self, Run};
use crate::report::Line;
use crate::settings::Bench;

const PARTITIONS: i32 = 8;
const KEYS: u64 = 1_000;
const ALONE: Variant = Variant { partitions: PARTITIONS, keys: KEYS, instances: 1 };
/// For the row in which several join, ours and the bare loop alike. Members hear of each other when their heartbeats are
/// answered; by default each three seconds, in which a backlog is gone.
const HEARTBEAT: [&str; 2] = ["--kafka", "heartbeat.interval.ms=200"];

/// Fills the topics of each row, then drains them in turn, each time in a group of its own.
///
/// # Errors
/// No broker, or a subject that does not handle every event.
pub(crate) fn run(bench: &Bench, growth: &Growth) -> anyhow::Result<()> {
    if growth.by.contains(&By::Instances) {
        bench.broker.lets_members_come_and_go()?;
    }
    let service_b = measure::program("service-b")?;
    growth.by.iter().try_for_each(|by| Row::new(*by, growth.events).run(bench, &service_b))
}

/// What grows.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Growth {
    /// How many events a backlog has; for instances four times as many, because they join meanwhile
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    events: u64,
    /// What grows: 1 to 256 partitions, 1 to 1,000,000 keys, 1 to 4 instances; several by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [By::Partitions, By::Keys, By::Instances])]
    by: Vec<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Partitions,
    Keys,
    Instances,
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&load::name(self))
    }
}

#[derive(Debug, Clone, Copy)]
struct Variant {
    partitions: i32,
    keys: u64,
    instances: usize,
}

impl Variant {
    fn name(self) -> String {
        let Self { partitions, keys, instances } = self;
        format!("{partitions} partitions, {keys} keys, {instances} instances")
    }
}

/// Variants that are compared with the first of them.
struct Row {
    by: By,
    events: u64,
    variants: Vec<Variant>,
}

impl Row {
    fn new(by: By, events: u64) -> Self {
        let (events, variants) = match by {
            By::Partitions => {
                (events, [1, 8, 64, 256].map(|partitions| Variant { partitions, ..ALONE }).into())
            }
            By::Keys => (events, [1, 1_000, 1_000_000].map(|keys| Variant { keys, ..ALONE }).into()),
            By::Instances => (events * 4, [1, 2, 4].map(|instances| Variant { instances, ..ALONE }).into()),
        };
        Self { by, events, variants }
    }

    fn run(&self, bench: &Bench, service_b: &Path) -> anyhow::Result<()> {
        let mut topics = Vec::new();
        for (place, variant) in self.variants.iter().enumerate() {
            let topic = format!("{}-{}-{place}", bench.name, self.by);
            self.load(*variant).fill(bench, &topic)?;
            check(bench, &topic, self.events)?;
            load::make_now(bench, &empty(&topic), variant.partitions)?;
            topics.push(topic);
        }
        let mut subjects = Vec::new();
        for (variant, topic) in self.variants.iter().zip(&topics) {
            let (number, settings) = (variant.instances, self.settings());
            let instances = Instances { bench, program: service_b, number, settings };
            let ours = move |round| instances.run(topic, self.events, round);
            subjects.push(Subject { name: "service-b, discard".to_owned(), run: Box::new(ours) });
            let (load, name) = (self.load(*variant), "BaseConsumer, tuned");
            subjects.push(drain::bare(bench, topic, &load, name, "base-consumer", settings));
        }
        let (variant, events) = (format!("by {}", self.by), self.events);
        let contest = Contest { scenario: "scale", variant, events, warm_up: true, subjects };
        let rounds = contest.rounds(bench)?;
        for (place, variant) in self.variants.iter().enumerate() {
            bench.report.add(&self.lines(&contest, &rounds, place, *variant))?;
        }
        for topic in &topics {
            load::delete(bench, &[topic, &empty(topic)])?;
        }
        Ok(())
    }

    /// Those of librdkafka that are not the run's, as flags.
    fn settings(&self) -> &'static [&'static str] {
        if self.by == By::Instances { &HEARTBEAT } else { &[] }
    }

    /// What is shown of a variant.
    fn name(&self, variant: Variant) -> String {
        let settings = self.settings().iter().skip(1).step_by(2);
        settings.fold(variant.name(), |name, setting| format!("{name}, {setting}"))
    }

    fn load(&self, variant: Variant) -> Load {
        let Variant { partitions, keys, .. } = variant;
        let (payload, compression) = (Payload::Text, Compression::None);
        Load { events: self.events, bytes: 100, payload, compression, partitions, keys }
    }

    /// Ours and the bare loop's, of one variant.
    fn lines(&self, contest: &Contest<'_>, rounds: &Rounds, place: usize, variant: Variant) -> Vec<Line> {
        let (ours, bare) = (place * 2, place * 2 + 1);
        let mut lines = vec![contest.line(rounds, ours), contest.line(rounds, bare)];
        for line in &mut lines {
            line.variant = self.name(variant);
        }
        let mut ratios = vec![("CPU of the bare loop".to_owned(), rounds.compared(ours, bare, cpu))];
        if let (1.., Some(first)) = (place, self.variants.first()) {
            let first = self.name(*first);
            ratios.push((
                format!("CPU at {first}, start-up left out"),
                rounds.compared(ours, 0, cpu_of_events),
            ));
            ratios.push((format!("CPU at {first}"), rounds.compared(ours, 0, cpu)));
        }
        lines[0].ratios = ratios;
        lines
    }
}

fn cpu(run: &Run, reference: &Run) -> f64 {
    run.cpu.as_secs_f64() / reference.cpu.as_secs_f64()
}

fn cpu_of_events(run: &Run, reference: &Run) -> f64 {
    let events = |run: &Run| run.cpu.as_secs_f64() * 1e3 - run.figure(EMPTY);
    events(run) / events(reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(cpu_ms: u64, empty_ms: f64) -> Run {
        let cpu = Duration::from_millis(cpu_ms);
        Run { events: 1, wall: cpu, cpu, peak_kib: None, figures: vec![(EMPTY, empty_ms)] }
    }

    #[test]
    fn settings_of_a_row_are_shown_and_the_other_rows_have_none() {
        let name = |by: By| Row::new(by, 1).name(ALONE);
        assert_eq!(name(By::Keys), "8 partitions, 1000 keys, 1 instances");
        assert_eq!(name(By::Instances), "8 partitions, 1000 keys, 1 instances, heartbeat.interval.ms=200");
    }

    #[test]
    fn starting_is_left_out_of_one_ratio_and_not_of_the_other() {
        let near = |figure: f64, expected: f64| (figure - expected).abs() < 1e-9;
        assert!(near(cpu(&run(300, 100.0), &run(150, 50.0)), 2.0));
        assert!(near(cpu_of_events(&run(300, 100.0), &run(150, 100.0)), 4.0));
    }
}
