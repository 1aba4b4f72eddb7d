//! `events`: what service-a knows of those that it has accepted and not yet published.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::{Args, Subcommand};
use shared::desk::{OutboxDesk, WaitingRow};
use shared::listing::{self, Output};
use shared::telemetry::Printable;

use super::OutboxArgs;

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the events that wait in the outbox, the next one to go first
    #[command(after_help = "Example:\n  service-a events list --outbox sqlite:outbox.db --limit 20")]
    List(List),
    /// Show what is known of one event: whether it waits, or is refused and why
    ///
    /// An event that is published has left the outbox: `service-b events get` asks the ledger for it.
    #[command(
        after_help = "Example:\n  service-a events get 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --outbox sqlite:outbox.db"
    )]
    Get(Get),
}

/// The settings of `events list`.
#[derive(Debug, Args)]
pub struct List {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,

    /// Go on above this row: the last one of the page before
    #[arg(long, value_name = "ROW")]
    after: Option<i64>,

    #[command(flatten)]
    outbox: OutboxArgs,
}

/// The settings of `events get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The event's id
    id: String,

    #[command(flatten)]
    outbox: OutboxArgs,
}

impl Verb {
    pub(super) fn outbox(&self) -> &OutboxArgs {
        match self {
            Self::List(list) => &list.outbox,
            Self::Get(get) => &get.outbox,
        }
    }

    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run().await,
            Self::Get(get) => get.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let Self { limit, after, outbox } = self;
        let desk = open(&outbox).await?;
        let (rows, next) = desk.list(after, limit as usize).await?;
        listing::print(&mut io::stdout().lock(), &rows, outbox.output)?;
        if let (Some(row), Output::Text) = (next, outbox.output) {
            writeln!(io::stderr(), "There may be more: add --after {row}")?;
        }
        Ok(())
    }
}

impl Get {
    async fn run(self) -> anyhow::Result<()> {
        let Self { id, outbox } = self;
        let Some(found) = open(&outbox).await?.find(&id).await? else {
            anyhow::bail!(
                "{} is not here: published, or never accepted; `service-b events get` asks the ledger",
                Printable(&id)
            );
        };
        let mut to = io::stdout().lock();
        match outbox.output {
            Output::Json => listing::print_object(&mut to, &found)?,
            Output::Text => to.write_all(text(&found).as_bytes())?,
        }
        Ok(())
    }
}

async fn open(outbox: &OutboxArgs) -> anyhow::Result<OutboxDesk> {
    Ok(OutboxDesk::open(outbox.url().map_err(anyhow::Error::msg)?).await?)
}

fn text(found: &WaitingRow) -> String {
    let mut text = String::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<7} {}", Printable(&value)); // into memory: it does not fail
        }
    };
    say("id", found.id.clone());
    say("source", found.source.clone());
    say("type", found.ty.clone());
    say("key", found.key.as_ref().map(ToString::to_string));
    say("topic", Some(found.topic.clone()));
    say("status", Some(format!("accepted, {}", found.status)));
    say("reason", found.reason.clone());
    say("time", found.time.map(|at| at.to_string()));
    say("row", Some(found.row.to_string()));
    text
}
