//! What operators ask of the service's store and of Kafka, also while services run.
//!
//! A file for each noun; its verbs are an enum with a documented variant each, as `--help` shows them.

mod confirm;
mod describe;
mod groups;
mod handlers;
mod kafka;
mod pausing;
mod records;
mod streams;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use shared::listing::Output;
use shared::store::StoreUrl;
use shared::telemetry::LogFormat;

/// The tools, by noun.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Which handler is for which event type
    #[command(subcommand)]
    Handlers(handlers::Verb),
    /// Topics: how they flow, pause and resume, delete their records
    #[command(subcommand)]
    Streams(streams::Verb),
    /// Consumer groups: who shares the work, and how far it is
    #[command(subcommand)]
    Groups(groups::Verb),
    /// What a topic holds, record by record
    #[command(subcommand)]
    Records(records::Verb),
}

/// The settings of tools that work on the store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// Where the ledger is: `sqlite:FILE` or `postgres://…` [default: sqlite:./data/service-b.db]
    #[arg(
        long,
        env = "SERVICE_B_STORE",
        value_name = "URL",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub store: Option<StoreUrl>,

    /// The consumer group whose events are meant
    #[arg(long, env = "SERVICE_B_GROUP", default_value = "service-b")]
    pub group: String,

    /// Output and logs.
    #[command(flatten)]
    pub common: ToolArgs,
}

/// The settings that every tool has.
#[derive(Debug, Clone, Args)]
pub struct ToolArgs {
    /// A table for people, or a JSON object a line
    #[arg(long, env = "SERVICE_B_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub output: Output,

    /// A TOML file of settings, named as the flags are
    #[arg(long, env = "CONFIG_FILE", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How log lines look; `RUST_LOG` chooses what is logged
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

impl Tool {
    /// How its log lines look.
    pub fn log_format(&self) -> LogFormat {
        match self {
            Self::Handlers(verb) => verb.log_format(),
            Self::Streams(verb) => verb.log_format(),
            Self::Groups(verb) => verb.log_format(),
            Self::Records(verb) => verb.log_format(),
        }
    }

    /// Does what is asked, and prints the answer.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Handlers(verb) => verb.run(),
            Self::Streams(verb) => verb.run(),
            Self::Groups(verb) => verb.run(),
            Self::Records(verb) => verb.run(),
        }
    }
}
