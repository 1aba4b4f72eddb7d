//! What every scenario that measures takes, and the broker that it runs against.

use std::path::PathBuf;
use std::process::ExitCode;

use shared::client::{Connection, Property};

use crate::broker::{Broker, Own};
use crate::ground::Ground;
use crate::ledger::Server;
use crate::machine::Servers;
use crate::report::Report;
use crate::supervisor::{self, Plan};

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    /// A broker that runs
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", conflicts_with = "broker")]
    bootstrap_servers: String,
    /// A broker of the run's own
    #[arg(long, value_enum)]
    broker: Option<Own>,
    /// A librdkafka setting, for ours and the references alike, and Java's clients are left out then; repeatable
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
    /// In the names of topics, groups and databases.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) properties: Vec<String>,
    pub(crate) broker: Broker,
    postgres: Option<u32>,
}

impl Bench {
    /// Has the scenario measured.
    ///
    /// # Errors
    /// No broker, or what the scenario says.
    pub(crate) fn run(
        settings: Settings,
        scenario: impl FnOnce(&Bench) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        Self::run_beside(settings, None, scenario)
    }

    /// The same where it makes databases on a server.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn run_beside(
        settings: Settings,
        server: Option<Server>,
        scenario: impl FnOnce(&Bench) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        // Before a broker is started for it.
        let report = Report::new(settings.json.as_deref())?;
        let connection = connection(&settings.bootstrap_servers, &settings.properties);
        connection.asking()?;
        let postgres = server.clone();
        let plan = Plan { kind: "bench", own: settings.broker, connection, server, keeps_failed: false };
        supervisor::run(plan, |ground| {
            let postgres = postgres.map(|server| server.process()).transpose()?.flatten();
            let broker = Broker::of(settings.broker, &settings.bootstrap_servers, &ground)?;
            let Ground { name, folder, .. } = ground;
            let (rounds, properties) = (settings.rounds, settings.properties);
            let servers = broker.address().to_owned();
            scenario(&Bench { servers, rounds, report, name, folder, properties, broker, postgres })?;
            Ok(ExitCode::SUCCESS)
        })
    }

    /// How to reach the broker.
    pub(crate) fn connection(&self) -> Connection {
        connection(&self.servers, &self.properties)
    }

    /// The same as flags of a program.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--bootstrap-servers".to_owned(), self.servers.clone()];
        for property in &self.properties {
            flags.extend(["--kafka".to_owned(), property.clone()]);
        }
        flags
    }

    /// Whose time is neither a client's nor other load, where that is known.
    pub(crate) fn others(&self) -> Servers {
        Servers { broker: self.broker.pid(), postgres: self.postgres }
    }
}

/// As the services understand the flags.
fn connection(servers: &str, properties: &[String]) -> Connection {
    let properties: Vec<Property> = properties.iter().flat_map(|text| text.parse()).collect();
    Connection::new(servers, &properties)
}
