//! Whole scenarios, ours and bare clients in turn, against one broker: what the pair costs over a bare loop.
//!
//! `cargo run --release -p bench -- drain --bootstrap-servers localhost:9092`

mod drain;
mod keys;
mod measure;
mod produce;
mod retry_storm;
mod subject;
mod table;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::client::Connection;
use shared::config::CommonArgs;
use shared::telemetry;

/// Measures the pair beside bare clients
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  cargo run --release -p bench -- drain --rounds 5")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Drain a backlog: service-b with `discard` beside a StreamConsumer loop and a bare BaseConsumer
    Drain(Settings),
    /// Publish a file: service-a beside a bare BaseProducer and a FutureProducer window
    Produce(Settings),
    /// 10,000 handlers of 0 to 5 ms in one partition, 100 under way, at 1, 10, 100 and 10,000 keys
    Keys(Settings),
    /// 1 % and 10 % of the keys fail each event once: rate and latency of the others
    RetryStorm(Settings),
    /// Kill, stop and restart everything at random, then compare what was published with what took effect
    #[command(
        after_help = "Example:\n  cargo run --release -p bench -- torture --kills 100 --seconds 600 --broker jars"
    )]
    Torture(torture::Settings),
    /// A member of service-b under torture
    #[command(hide = true)]
    TortureMember(torture::member::Member),
    /// One bare client, as a process of its own; what the scenarios start
    #[command(hide = true)]
    Subject(subject::Subject),
}

/// What every scenario takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    common: CommonArgs,
    /// How many events
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// The bytes of each
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// How often each subject runs, after one round that does not count
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

impl Settings {
    fn connection(&self) -> Connection {
        self.common.connection()
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    telemetry::init(telemetry::LogFormat::Human);
    match cli.scenario {
        Scenario::Drain(settings) => drain::run(&settings)?,
        Scenario::Produce(settings) => produce::run(&settings)?,
        Scenario::Keys(settings) => keys::run(&settings)?,
        Scenario::RetryStorm(settings) => retry_storm::run(&settings)?,
        Scenario::Torture(settings) => return torture::run(settings),
        Scenario::TortureMember(member) => torture::member::run(member)?,
        Scenario::Subject(subject) => subject::run(&subject)?,
    }
    Ok(ExitCode::SUCCESS)
}
