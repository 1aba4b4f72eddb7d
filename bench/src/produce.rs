//! Publishing a file: service-a beside bare producers with the same settings and the same bytes.

use std::io::{BufWriter, Write};
use std::process::Command;

use tempfile::NamedTempFile;

use crate::table::{self, Row};
use crate::{Settings, measure};

/// Publishes the same file in turn.
///
/// # Errors
/// No broker, or a subject of which not every event was acknowledged.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let service_a = measure::program("service-a")?;
    let servers = &settings.common.bootstrap_servers;
    let topic = format!("bench-produce-{}", std::process::id());
    let flags = ["--bootstrap-servers", servers, "--topic", &topic];
    let file = lines(settings.events, settings.bytes)?;

    let mut rows = ["service-a --from", "BaseProducer", "FutureProducer, window"]
        .map(|name| Row { name, runs: Vec::new() });
    for round in 0..=settings.rounds {
        let ours = measure::run(
            Command::new(&service_a).args(flags).args(["--partitions", "6", "--from"]).arg(file.path()),
        )?;
        let expected = format!("published {0}, acknowledged {0}", settings.events);
        anyhow::ensure!(ours.output.trim() == expected, "service-a: {}", ours.output);
        let bare = |client: &str| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["subject", client]).args(flags).arg("--from").arg(file.path());
            measure::run(command.args(["--events", &settings.events.to_string()]))
        };
        let runs = [ours, bare("base-producer")?, bare("future-producer")?];
        if round > 0 {
            rows.iter_mut().zip(runs).for_each(|(row, run)| row.runs.push(run));
        }
    }
    table::print(settings.events, &rows);
    Ok(())
}

/// A file of numbered lines of the size, which do not compress to nothing.
///
/// # Errors
/// The temporary folder is full or read-only.
pub(crate) fn lines(events: u64, bytes: usize) -> anyhow::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut writer = BufWriter::new(&mut file);
    for number in 0..events {
        let mut line = format!("{number:010} ");
        while line.len() < bytes {
            line.push(random.alphanumeric());
        }
        writeln!(writer, "{line}")?;
    }
    writer.flush()?;
    drop(writer);
    Ok(file)
}
