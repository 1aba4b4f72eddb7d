//! What every scenario that measures takes, and the broker that it runs against.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use shared::client::Connection;
use shared::shutdown;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::broker::{Broker, Own};
use crate::report::Report;

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    /// A broker that runs
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", conflicts_with = "broker")]
    bootstrap_servers: String,
    /// A broker of the run's own
    #[arg(long, value_enum)]
    broker: Option<Own>,
    /// A librdkafka setting, for ours and the references alike; repeatable
    #[arg(long = "kafka", value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// How often each subject runs; a round that warms up and does not count comes before, where the scenario needs one
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Add the results to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One run of a scenario: its broker, its folder, and what it has found.
pub(crate) struct Bench {
    pub(crate) servers: String,
    pub(crate) rounds: u32,
    pub(crate) report: Report,
    /// In the names of topics and groups, so that runs against one broker do not meet.
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    properties: Vec<String>,
    broker: Arc<Broker>,
    runtime: Runtime,
    leftovers: Leftovers,
}

/// What removes what lies neither in the folder nor in the broker.
type Leftovers = Arc<Mutex<Vec<BoxFuture<'static, anyhow::Result<()>>>>>;

impl Bench {
    /// Starts the broker, if it is the run's own, has the scenario measured, and cleans up, also at Ctrl-C.
    ///
    /// # Errors
    /// No broker, or what the scenario says.
    pub(crate) fn run(
        settings: Settings,
        scenario: impl FnOnce(&Bench) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let bench = Self::start(settings)?;
        let signal = bench.runtime.block_on(async { shutdown::signalled() })?;
        let (folder, broker) = (bench.folder.path().to_owned(), Arc::clone(&bench.broker));
        let leftovers = Arc::clone(&bench.leftovers);
        // Who sets it cleans up: half a removal by each would leave something behind.
        let is_ending = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_ending);
        let interrupted = bench.runtime.spawn(async move {
            signal.await;
            if ended.swap(true, Ordering::Relaxed) {
                return;
            }
            eprintln!("stopping");
            // At Ctrl-C the subjects got the signal, too.
            let stays = broker.clean().await.is_err() | remove(&leftovers).await.is_err();
            // Who was about to add a file does it once more at most: there is no folder any more.
            if stays
                | (std::fs::remove_dir_all(&folder).is_err() && std::fs::remove_dir_all(&folder).is_err())
            {
                eprintln!("not everything could be removed");
            }
            std::process::exit(130);
        });
        let result = scenario(&bench);
        if is_ending.swap(true, Ordering::Relaxed) {
            // It ends the process.
            bench.runtime.block_on(interrupted)?;
        }
        let tidied = bench.tidy();
        bench.runtime.block_on(bench.broker.clean())?;
        result.and(tidied)
    }

    /// Has this done at the next [`tidy`](Self::tidy), at the latest in the end, also at Ctrl-C.
    pub(crate) fn at_end(&self, remove: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(remove.boxed());
    }

    /// Removes what [`at_end`](Self::at_end) has been told of.
    ///
    /// # Errors
    /// Something stays.
    pub(crate) fn tidy(&self) -> anyhow::Result<()> {
        self.runtime.block_on(remove(&self.leftovers))
    }

    fn start(settings: Settings) -> anyhow::Result<Self> {
        let report = Report::new(settings.json.as_deref())?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let name = format!("bench-{}-{seconds}", std::process::id());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let broker = runtime.block_on(async {
            match settings.broker {
                Some(Own::Jars) => Broker::jars(&name, folder.path()).await,
                Some(Own::Embedded) => Broker::embedded(Vec::new()),
                None => Ok(Broker::Given(settings.bootstrap_servers)),
            }
        });
        let broker = Arc::new(broker.context("the run's own broker")?);
        let (rounds, properties) = (settings.rounds, settings.properties);
        let (servers, leftovers) = (broker.address(), Leftovers::default());
        Ok(Self { servers, rounds, report, name, folder, properties, broker, runtime, leftovers })
    }

    /// How to reach the broker.
    pub(crate) fn connection(&self) -> Connection {
        let properties = self.properties.iter().flat_map(|text| text.parse()).collect();
        Connection { bootstrap_servers: self.servers.clone(), properties }
    }

    /// The same as flags of a program.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--bootstrap-servers".to_owned(), self.servers.clone()];
        for property in &self.properties {
            flags.extend(["--kafka".to_owned(), property.clone()]);
        }
        flags
    }

    /// The broker's process, where it is known.
    pub(crate) fn broker_pid(&self) -> Option<u32> {
        self.broker.pid()
    }
}

async fn remove(leftovers: &Leftovers) -> anyhow::Result<()> {
    let all = std::mem::take(&mut *leftovers.lock().unwrap_or_else(PoisonError::into_inner));
    let mut result = Ok(());
    for remove in all {
        result = result.and(remove.await);
    }
    result
}
