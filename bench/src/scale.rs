//! How CPU time and memory grow with partitions, keys and instances: service-b with `discard` beside a bare loop over the
//! same topic.
//!
//! What starting takes is measured as well, over an empty topic of as many partitions: one ratio has it, the other does
//! not. Several instances are one group and are started at once; each goes when the partitions that it then has are
//! handled. Some of the backlog is handled before all of them have joined: `least_share` says how evenly it was shared.

use std::path::Path;
use std::process::Command;

use shared::store::TemporaryStore;

use crate::check::check;
use crate::contest::{Contest, Rounds, Subject};
use crate::load::{self, Compression, Load, Payload};
use crate::measure::{self, Run, run_together};
use crate::report::Line;
use crate::settings::Bench;
use crate::{drain, service};

const PARTITIONS: i32 = 8;
const KEYS: u64 = 1_000;
const ALONE: Variant = Variant { partitions: PARTITIONS, keys: KEYS, instances: 1 };

/// Members hear of each other when their heartbeats are answered; by default each three seconds, in which a backlog is gone.
const HEARTBEAT: [&str; 2] = ["--kafka", "heartbeat.interval.ms=200"];

/// Fills the topics of each row, then drains them in turn, each time in a group of its own.
///
/// # Errors
/// No broker, or a subject that does not handle every event.
pub(crate) fn run(bench: &Bench, events: u64) -> anyhow::Result<()> {
    let service_b = measure::program("service-b")?;
    let rows = [
        Row::new("partitions", events, [1, 8, 64, 256].map(|partitions| Variant { partitions, ..ALONE })),
        Row::new("keys", events, [1, 1_000, 1_000_000].map(|keys| Variant { keys, ..ALONE })),
        Row::new("instances", events * 4, [1, 2, 4].map(|instances| Variant { instances, ..ALONE })),
    ];
    rows.iter().try_for_each(|row| row.run(bench, &service_b))
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
    name: &'static str,
    events: u64,
    variants: Vec<Variant>,
}

impl Row {
    fn new<const N: usize>(name: &'static str, events: u64, variants: [Variant; N]) -> Self {
        Self { name, events, variants: variants.into() }
    }

    fn run(&self, bench: &Bench, service_b: &Path) -> anyhow::Result<()> {
        let mut topics = Vec::new();
        for (place, variant) in self.variants.iter().enumerate() {
            let topic = format!("{}-{}-{place}", bench.name, self.name);
            self.load(*variant).fill(bench, &topic)?;
            check(bench, &topic, self.events)?;
            load::make_now(&bench.connection(), &empty(&topic), variant.partitions)?;
            topics.push(topic);
        }
        let mut subjects = Vec::new();
        for (variant, topic) in self.variants.iter().zip(&topics) {
            let instances = Instances { bench, program: service_b, number: variant.instances };
            let ours = move |round| instances.run(topic, self.events, round);
            subjects.push(Subject { name: "service-b, discard".to_owned(), run: Box::new(ours) });
            let bare =
                drain::bare(bench, topic, &self.load(*variant), "BaseConsumer, tuned", "base-consumer");
            subjects.push(bare);
        }
        let (variant, events) = (format!("by {}", self.name), self.events);
        let contest = Contest { scenario: "scale", variant, events, warm_up: true, subjects };
        let rounds = contest.rounds(bench)?;
        for (place, variant) in self.variants.iter().enumerate() {
            bench.report.add(&self.lines(&contest, &rounds, place, *variant))?;
        }
        for topic in &topics {
            load::delete(&bench.connection(), &[topic, &empty(topic)])?;
        }
        Ok(())
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
            line.variant = variant.name();
        }
        let mut ratios = vec![("CPU of the bare loop".to_owned(), rounds.compared(ours, bare, cpu))];
        if let (1.., Some(first)) = (place, self.variants.first()) {
            let first = first.name();
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

fn empty(topic: &str) -> String {
    format!("{topic}-empty")
}

fn cpu(run: &Run, reference: &Run) -> f64 {
    run.cpu.as_secs_f64() / reference.cpu.as_secs_f64()
}

fn cpu_of_events(run: &Run, reference: &Run) -> f64 {
    let events = |run: &Run| run.cpu.as_secs_f64() * 1e3 - run.figure(EMPTY);
    events(run) / events(reference)
}

/// What the same takes with nothing to handle.
const EMPTY: &str = "empty_cpu_ms";

/// Members of one group.
#[derive(Clone, Copy)]
struct Instances<'a> {
    bench: &'a Bench,
    program: &'a Path,
    number: usize,
}

impl Instances<'_> {
    fn run(self, topic: &str, events: u64, round: u32) -> anyhow::Result<Run> {
        let nothing = self.drain(&empty(topic), round)?.0;
        let (mut run, shares) = self.drain(topic, round)?;
        anyhow::ensure!(run.events >= events, "{} of {events} events were handled", run.events);
        let repeated = run.events - events;
        run.events = events;
        run.figures = vec![(EMPTY, nothing.cpu.as_secs_f64() * 1e3)];
        if self.number > 1 {
            run.figures.extend([("repeated", repeated as f64), ("least_share", least(&shares))]);
        } else {
            anyhow::ensure!(repeated == 0, "one instance handled {repeated} events twice");
        }
        Ok(run)
    }

    /// What they took together, and how many events each has handled.
    fn drain(self, topic: &str, round: u32) -> anyhow::Result<(Run, Vec<u64>)> {
        let store = TemporaryStore::new()?;
        let command = || {
            let mut command = Command::new(self.program);
            command.args(self.bench.flags()).args(HEARTBEAT).args(["--topic", topic]);
            command.args(["--group", &format!("{topic}-ours-{round}"), "--handle", "*=discard"]);
            command.args(["--delivery", "at-least-once", "--until-caught-up", "--output", "json"]);
            command.args(["--store", &store.url().to_string()]);
            command
        };
        let mut commands: Vec<Command> = (0..self.number).map(|_| command()).collect();
        let mut shares = Vec::new();
        let run = run_together(&mut commands, |outputs| {
            shares = outputs.iter().map(|output| service::handled(output)).collect::<anyhow::Result<_>>()?;
            Ok(shares.iter().sum())
        })?;
        Ok((run, shares))
    }
}

/// Of what all have handled, the part of the one that has handled least.
fn least(shares: &[u64]) -> f64 {
    let all: u64 = shares.iter().sum();
    shares.iter().min().map_or(f64::NAN, |least| *least as f64 / all as f64)
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
    fn starting_is_left_out_of_one_ratio_and_not_of_the_other() {
        let near = |figure: f64, expected: f64| (figure - expected).abs() < 1e-9;
        assert!(near(cpu(&run(300, 100.0), &run(150, 50.0)), 2.0));
        assert!(near(cpu_of_events(&run(300, 100.0), &run(150, 100.0)), 4.0));
    }

    #[test]
    fn the_least_share_is_that_of_the_whole() {
        assert!((least(&[1, 3, 4]) - 0.125).abs() < 1e-9);
        assert!(least(&[]).is_nan());
    }
}
