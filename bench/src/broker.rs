//! The broker of the run: somebody's, one from jars that may be killed, or the embedded one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use shared::broker::{EmbeddedBroker, Options};

use crate::process::Process;

/// A broker that the run starts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Own {
    /// Apache Kafka from its jars, by `.ci/kafka`.
    Jars,
    /// In this process and in memory: no faults of its own, and little room.
    Embedded,
}

#[derive(Debug)]
pub(crate) enum Broker {
    Given(String),
    Jars { address: String, pid: Option<u32>, script: PathBuf, name: String, log: PathBuf },
    Embedded(EmbeddedBroker),
}

const PATIENCE: Duration = Duration::from_secs(300);

impl Broker {
    /// Starts Kafka from its jars and waits until it serves.
    ///
    /// # Errors
    /// No Java, no jars, or it does not come up: what the script says.
    pub(crate) async fn jars(name: &str, folder: &Path) -> anyhow::Result<Self> {
        let script = script()?;
        let log = folder.join("broker.log");
        let mut process = control(&script, name, &["start", "0"], &log)?;
        let status = process.wait(PATIENCE).await?;
        anyhow::ensure!(status.success(), "Kafka does not start: see {}", log.display());
        let address = process.last_line();
        let mut process = control(&script, name, &["pid"], &log)?;
        process.wait(PATIENCE).await?;
        let pid = process.last_line().parse().ok();
        Ok(Self::Jars { address, pid, script, name: name.to_owned(), log })
    }

    /// Starts the embedded one with these topics.
    ///
    /// # Errors
    /// It cannot listen.
    pub(crate) fn embedded(topics: Vec<(String, i32)>) -> anyhow::Result<Self> {
        Ok(Self::Embedded(EmbeddedBroker::start(Options { port: 0, topics })?))
    }

    pub(crate) fn address(&self) -> String {
        match self {
            Self::Given(address) | Self::Jars { address, .. } => address.clone(),
            Self::Embedded(broker) => broker.address(),
        }
    }

    /// Its process when it was started, where it is ours and not this one.
    pub(crate) fn pid(&self) -> Option<u32> {
        if let Self::Jars { pid, .. } = self { *pid } else { None }
    }

    pub(crate) fn may_be_killed(&self) -> bool {
        matches!(self, Self::Jars { .. })
    }

    /// Begins to `kill`, `start` or `clean`; the process given back ends when that is done.
    ///
    /// # Errors
    /// It is not ours, or the script cannot be run.
    pub(crate) fn begin(&self, word: &str) -> anyhow::Result<Process> {
        let Self::Jars { script, name, log, .. } = self else { anyhow::bail!("the broker is not ours") };
        control(script, name, &[word], log)
    }

    /// Leaves nothing behind.
    pub(crate) async fn clean(&self) -> anyhow::Result<()> {
        if self.may_be_killed() {
            // A clean stop waits for clients that are gone by now.
            self.begin("kill")?.wait(PATIENCE).await?;
            self.begin("clean")?.wait(PATIENCE).await?;
        }
        Ok(())
    }
}

/// The script that knows Kafka's jars.
///
/// # Errors
/// This is not run from the repository.
pub(crate) fn script() -> anyhow::Result<PathBuf> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").map(|crate_| Path::new(&crate_).join(".."));
    let script = root.unwrap_or_else(|| ".".into()).join(".ci/kafka");
    anyhow::ensure!(script.exists(), "there is no .ci/kafka here: run it from the repository's root");
    Ok(script)
}

fn control(script: &Path, name: &str, words: &[&str], log: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(script);
    command.args(["--name", name]).args(words);
    Process::start(command, log).context(".ci/kafka")
}
