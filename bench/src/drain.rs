//! Draining a backlog: service-b's whole runtime beside bare loops with the same settings.

use std::process::Command;

use anyhow::Context as _;

use shared::store::TemporaryStore;

use crate::produce::lines;
use crate::table::{self, Row};
use crate::{Settings, measure};

const PARTITIONS: &str = "6";

/// Fills a topic once, then drains it in turn, each time in a group of its own.
///
/// # Errors
/// No broker, or a subject that does not handle every event.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let (service_a, service_b) = (measure::program("service-a")?, measure::program("service-b")?);
    let servers = &settings.common.bootstrap_servers;
    let run = std::process::id();
    let topic = format!("bench-drain-{run}");
    let file = lines(settings.events, settings.bytes)?;
    let store = TemporaryStore::new()?;
    let store = store.url().to_string();
    let flags = ["--bootstrap-servers", servers, "--topic", &topic];
    measure::run(
        Command::new(service_a).args(flags).args(["--partitions", PARTITIONS, "--from"]).arg(file.path()),
    )
    .context("fill the topic")?;

    let mut rows = ["service-b, discard", "StreamConsumer, tuned", "BaseConsumer, tuned"]
        .map(|name| Row { name, runs: Vec::new() });
    for round in 0..=settings.rounds {
        let group = |name: &str| format!("bench-{name}-{run}-{round}");
        let ours = measure::run(Command::new(&service_b).args(flags).args([
            "--group",
            &group("ours"),
            "--handle",
            "*=discard",
            "--delivery",
            "at-least-once",
            "--store",
            &store,
            "--until-caught-up",
            "--output",
            "json",
        ]))?;
        let summary: serde_json::Value = serde_json::from_str(&ours.output)?;
        anyhow::ensure!(summary["handled"] == settings.events, "service-b handled {summary}");
        let bare = |client: &str| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["subject", client]).args(flags).args(["--group", &group(client)]);
            measure::run(command.args(["--events", &settings.events.to_string()]))
        };
        let runs = [ours, bare("stream-consumer")?, bare("base-consumer")?];
        if round > 0 {
            rows.iter_mut().zip(runs).for_each(|(row, run)| row.runs.push(run));
        }
    }
    table::print(settings.events, &rows);
    Ok(())
}
