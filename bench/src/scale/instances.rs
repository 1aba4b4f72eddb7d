//! Members of one group that drain a backlog together, as processes of their own.

use std::path::Path;
use std::process::Command;

use shared::store::TemporaryStore;

use crate::load;
use crate::measure::{Run, run_together};
use crate::service;
use crate::settings::Bench;

/// The name of a topic with as many partitions and no events.
pub(super) fn empty(topic: &str) -> String {
    format!("{topic}-empty")
}

/// What the same takes with nothing to handle.
pub(super) const EMPTY: &str = "empty_cpu_ms";

/// Members of one group.
#[derive(Clone, Copy)]
pub(super) struct Instances<'a> {
    pub(super) bench: &'a Bench,
    pub(super) program: &'a Path,
    pub(super) number: usize,
    /// Flags beside those of the run.
    pub(super) settings: &'a [&'a str],
}

impl Instances<'_> {
    /// Drains the topic, and the empty one before.
    ///
    /// # Errors
    /// Not all was handled, or one alone handled an event twice.
    pub(super) fn run(self, topic: &str, events: u64, round: u32) -> anyhow::Result<Run> {
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
        let (store, group) = (TemporaryStore::new()?, format!("{topic}-ours-{round}"));
        load::make_dead_letters(self.bench, topic, &group)?;
        let command = || {
            let mut command = Command::new(self.program);
            command.args(self.bench.flags()).args(self.settings).args(["--topic", topic]);
            command.args(["--group", &group, "--handle", "*=discard"]);
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

    #[test]
    fn the_least_share_is_that_of_the_whole() {
        assert!((least(&[1, 3, 4]) - 0.125).abs() < 1e-9);
        assert!(least(&[]).is_nan());
    }
}
