//! Apache Kafka from its jars, by `.ci/kafka`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(300);

/// What the script knows by the run's name.
#[derive(Debug)]
pub(crate) struct Jars {
    script: PathBuf,
    name: String,
    log: PathBuf,
}

/// One that was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Serving {
    pub(crate) address: String,
    pub(crate) pid: Option<u32>,
}

impl Jars {
    /// # Errors
    /// This is not run from the repository.
    pub(crate) fn new(name: &str, folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { script: script()?, name: name.to_owned(), log: folder.join("broker.log") })
    }

    /// Starts it and waits until it serves. Who stops waiting ends what has been started so far.
    ///
    /// # Errors
    /// No Java, no jars, or it does not come up: what the script says.
    pub(crate) async fn start(&self) -> anyhow::Result<Serving> {
        let mut process =
            Process::start_apart(self.command(&["start", "0"]), &self.log).context(".ci/kafka")?;
        if !process.wait(PATIENCE).await?.success() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            anyhow::bail!("Kafka does not start:\n{}", said.trim_end());
        }
        let address = process.last_line();
        let mut process = self.begin("pid")?;
        process.wait(PATIENCE).await?;
        Ok(Serving { address, pid: process.last_line().parse().ok() })
    }

    /// Begins to do what the word says; the process given back ends when that is done.
    ///
    /// # Errors
    /// The script cannot be run.
    pub(crate) fn begin(&self, word: &str) -> anyhow::Result<Process> {
        Process::start(self.command(&[word]), &self.log).context(".ci/kafka")
    }

    /// Leaves nothing behind, also of one that was only being started.
    ///
    /// # Errors
    /// Something stays.
    pub(crate) async fn clean(&self) -> anyhow::Result<()> {
        // A clean stop waits for clients that are gone by now.
        let killed = self.done("kill").await;
        killed.and(self.done("clean").await)
    }

    async fn done(&self, word: &str) -> anyhow::Result<()> {
        let mut process = Process::start_apart(self.command(&[word]), &self.log).context(".ci/kafka")?;
        let status = process.wait(PATIENCE).await?;
        anyhow::ensure!(status.success(), ".ci/kafka --name {} {word} ended with {status}", self.name);
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command.args(["--name", &self.name]).args(words);
        command
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
