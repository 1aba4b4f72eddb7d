//! Whole scenarios, ours and bare clients in turn, against one broker: what the pair costs over a bare loop.
//!
//! `cargo run --release -p bench -- drain --bootstrap-servers localhost:9092`

mod broker;
mod check;
mod contest;
mod drain;
mod ground;
mod group;
mod keys;
mod latency;
mod ledger;
mod leftovers;
mod load;
mod machine;
mod measure;
mod others;
mod plot;
mod proc;
mod process;
mod produce;
mod report;
mod retry_storm;
mod scale;
mod service;
mod settings;
mod signals;
mod subject;
mod supervisor;
mod torture;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shared::telemetry;

use self::load::Loads;
use self::settings::{Bench, Settings};

/// The bare loops have the allocator of ours: it is not what is compared.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures the pair beside bare clients
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  cargo run --release -p bench -- drain --broker jars --json results.jsonl"
)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Drain a backlog: service-b with `discard` beside bare loops, kcat and Java's consumer
    Drain {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        loads: Loads,
    },
    /// Drain a backlog effectively-once: service-b with its ledger beside bare loops that insert the same rows
    #[command(
        after_help = "Example:\n  cargo run --release -p bench -- ledger --broker jars --rows 0,10000000 --ids v7,random"
    )]
    Ledger {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        ledgers: ledger::Ledgers,
    },
    /// Publish a file: service-a beside a bare BaseProducer, a FutureProducer window and Java's producer
    Produce {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        loads: Loads,
    },
    /// 10,000 handlers of 0 to 5 ms in one partition, 100 under way, at 1, 10, 100 and 10,000 keys
    Keys(Settings),
    /// 1 % and 10 % of the keys fail each event once: rate and latency of the others
    RetryStorm {
        #[command(flatten)]
        settings: Settings,
        /// How many events the backlog has
        #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
        events: u64,
    },
    /// Latency at a steady rate: service-a's publisher and service-b's runtime beside a bare producer and consumer
    #[command(
        after_help = "Example:\n  cargo run --release -p bench -- latency --rates 1000,10000 --seconds 30 --broker jars"
    )]
    Latency {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        rates: latency::Rates,
    },
    /// CPU and memory of service-b as partitions, keys and instances grow, beside a bare loop
    #[command(
        after_help = "Example:\n  cargo run --release -p bench -- scale --by partitions,keys --broker jars"
    )]
    Scale {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        growth: scale::Growth,
    },
    /// Kill, stop and restart everything at random, then compare what was published with what took effect
    #[command(
        after_help = "Example:\n  cargo run --release -p bench -- torture --kills 100 --seconds 600 --broker jars"
    )]
    Torture(torture::Settings),
    /// Draw what `--json` wrote as SVG, and print it as Markdown tables
    #[command(after_help = "Example:\n  cargo run --release -p bench -- plot results.jsonl --out plots")]
    Plot(plot::Plots),
    /// A member of service-b under torture
    #[command(hide = true)]
    TortureMember(torture::member::Member),
    /// One bare client, as a process of its own; what the scenarios start
    #[command(hide = true)]
    Subject(subject::Subject),
    /// The embedded broker, as a process of its own
    #[command(hide = true)]
    EmbeddedBroker,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init_quiet();
    measure(cli.scenario).unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn measure(scenario: Scenario) -> anyhow::Result<ExitCode> {
    match scenario {
        Scenario::Drain { settings, loads } => Bench::run(settings, |bench| drain::run(bench, &loads)),
        Scenario::Ledger { settings, ledgers } => {
            Bench::run_beside(settings, ledgers.server(), |bench| ledger::run(bench, &ledgers))
        }
        Scenario::Produce { settings, loads } => Bench::run(settings, |bench| produce::run(bench, &loads)),
        Scenario::Keys(settings) => Bench::run(settings, keys::run),
        Scenario::RetryStorm { settings, events } => {
            Bench::run(settings, |bench| retry_storm::run(bench, events))
        }
        Scenario::Latency { settings, rates } => Bench::run(settings, |bench| latency::run(bench, &rates)),
        Scenario::Scale { settings, growth } => Bench::run(settings, |bench| scale::run(bench, &growth)),
        Scenario::Torture(settings) => torture::run(settings),
        Scenario::Plot(plots) => done(plot::run(&plots)),
        Scenario::TortureMember(member) => done(torture::member::run(member)),
        Scenario::Subject(subject) => done(subject::run(&subject)),
        Scenario::EmbeddedBroker => done(broker::embedded::serve()),
    }
}

fn done(result: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}
