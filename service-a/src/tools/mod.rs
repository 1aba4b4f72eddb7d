//! What operators ask of an outbox, and what service-a prints about itself.
//!
//! A file for each noun; its verbs are an enum with a documented variant each, as `--help` shows them.

mod events;
mod sources;

use std::io;

use clap::{Args, CommandFactory, Subcommand};
use shared::config::LogArgs;
use shared::listing::{self, Output};
use shared::manual::Manual;
use shared::store::StoreUrl;

use crate::config::Cli;

/// The tools, by noun.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// The events that still wait in an outbox
    #[command(subcommand)]
    Events(events::Verb),
    /// The event sources that are read into an outbox
    ///
    /// Without an outbox nothing keeps how far a source was read, and nothing can be paused from elsewhere: Ctrl-C ends
    /// service-a there, `kill -STOP` and `kill -CONT` hold it and let it go on.
    #[command(subcommand)]
    Sources(sources::Verb),
    /// What the program prints about itself.
    #[command(flatten)]
    Manual(Manual),
}

/// The settings of tools that work on an outbox.
#[derive(Debug, Clone, Args)]
pub struct OutboxArgs {
    /// Where the outbox is: `sqlite:FILE` or `postgres://…`
    #[arg(
        long,
        env = "SERVICE_A_OUTBOX",
        value_name = "STORE",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub outbox: Option<StoreUrl>,

    /// A table for people, or a JSON object a line
    #[arg(long, env = "SERVICE_A_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub output: Output,

    /// The file of settings, and logs.
    #[command(flatten)]
    pub log: LogArgs,
}

impl OutboxArgs {
    /// # Errors
    /// No outbox is named: that there is nothing to ask then, and what does instead.
    fn url(&self) -> Result<&StoreUrl, &'static str> {
        self.outbox.as_ref().ok_or(
            "say --outbox STORE (SERVICE_A_OUTBOX): without an outbox service-a keeps nothing, so that there is nothing to ask \
             and nothing to pause; Ctrl-C ends it, kill -STOP holds it until kill -CONT",
        )
    }
}

impl Tool {
    /// What no single flag can know.
    ///
    /// # Errors
    /// No outbox is named.
    pub fn check(&self) -> Result<(), String> {
        self.outbox().map_or(Ok(()), |args| args.url().map(drop).map_err(str::to_owned))
    }

    fn outbox(&self) -> Option<&OutboxArgs> {
        match self {
            Self::Events(verb) => Some(verb.outbox()),
            Self::Sources(verb) => Some(verb.outbox()),
            Self::Manual(_) => None,
        }
    }

    /// Does what is asked, and prints the answer. A reader that has seen enough (`| head`) is no error.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub async fn run(self) -> anyhow::Result<()> {
        listing::printed(match self {
            Self::Events(verb) => verb.run().await,
            Self::Sources(verb) => verb.run().await,
            Self::Manual(manual) => manual.print(Cli::command(), &mut io::stdout()).map_err(Into::into),
        })
    }
}
