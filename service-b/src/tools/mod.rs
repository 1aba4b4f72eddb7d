//! What operators ask of the service's store and of Kafka, also while services run.
//!
//! A file for each noun; its verbs are an enum with a documented variant each, as `--help` shows them.

mod confirm;
mod dead_letters;
mod describe;
mod events;
mod filter;
mod groups;
mod handlers;
mod one_event;
mod pausing;
mod records;
mod redrive;
mod replay;
mod show;
mod streams;

use std::io;

use clap::{Args, CommandFactory, Subcommand};
use shared::config::LogArgs;
use shared::desk::{Desk, Operator};
use shared::listing::{self, Output};
use shared::manual::Manual;
use shared::store::StoreUrl;

use crate::config::Cli;

/// The tools, by noun.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// The events that the ledger knows
    #[command(subcommand)]
    Events(events::Verb),
    /// The events that are not tried again by themselves
    #[command(subcommand)]
    DeadLetters(dead_letters::Verb),
    /// Which handler is for which event type
    #[command(subcommand)]
    Handlers(handlers::Verb),
    /// What the program prints about itself.
    #[command(flatten)]
    Manual(Manual),
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

    /// The file of settings, and logs.
    #[command(flatten)]
    pub log: LogArgs,
}

impl StoreArgs {
    async fn desk(&self) -> anyhow::Result<Desk> {
        Ok(Desk::open(&self.url(), &self.group).await?)
    }

    async fn operator(&self) -> anyhow::Result<Operator> {
        Ok(Desk::operator(&self.url(), &self.group).await?)
    }

    fn url(&self) -> StoreUrl {
        self.store.clone().unwrap_or_else(|| StoreUrl::Sqlite("data/service-b.db".into()))
    }
}

impl Tool {
    /// What no single flag can know.
    ///
    /// # Errors
    /// Two settings contradict each other: which, and what to write.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Events(verb) => verb.check(),
            Self::DeadLetters(verb) => verb.check(),
            Self::Handlers(_) | Self::Streams(_) | Self::Groups(_) | Self::Records(_) | Self::Manual(_) => {
                Ok(())
            }
        }
    }

    /// Does what is asked, and prints the answer. A reader that has seen enough (`| head`) is no error.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub async fn run(self) -> anyhow::Result<()> {
        listing::printed(match self {
            Self::Events(verb) => verb.run().await,
            Self::DeadLetters(verb) => verb.run().await,
            Self::Handlers(verb) => verb.run().await,
            Self::Streams(verb) => verb.run().await,
            Self::Groups(verb) => verb.run().await,
            Self::Records(verb) => verb.run().await,
            Self::Manual(manual) => manual.print(Cli::command(), &mut io::stdout()).map_err(Into::into),
        })
    }
}
