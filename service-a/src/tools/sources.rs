//! `sources`: where events come from, how far they have been read, and whether they may be read on.

use std::io::{self, Write};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use shared::desk::{OutboxDesk, SourceRow};
use shared::listing::{self, Output, Row};
use shared::store::{Pausable, Pause, Pauses, StoreUrl};
use shared::telemetry::Printable;

use super::OutboxArgs;

/// What can be done with event sources.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the event sources that the outbox's store knows, and what the outbox holds
    ///
    /// A file's `at` is in bytes and its `number` in lines; the counter counts events in both. The outbox is one for all of
    /// them: how many events wait in it, and how many of these the broker refuses, is the last line.
    #[command(after_help = "Example:\n  service-a sources list --outbox sqlite:outbox.db --output json")]
    List(List),
    /// Stop reading a source, also across restarts; what is in the outbox is still published
    #[command(
        after_help = "Example:\n  service-a sources pause /data/orders.jsonl --outbox sqlite:outbox.db"
    )]
    Pause(Pausing),
    /// Go on reading a source
    #[command(
        after_help = "Example:\n  service-a sources resume /data/orders.jsonl --outbox sqlite:outbox.db"
    )]
    Resume(Pausing),
}

/// The settings of `sources list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    outbox: OutboxArgs,
}

/// The settings of `pause` and `resume`.
#[derive(Debug, Args)]
pub struct Pausing {
    /// The source, as `sources list` shows it
    name: String,

    #[command(flatten)]
    outbox: OutboxArgs,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    source: SourceRow,
    paused: Option<String>,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["source", "at", "number", "state"];

    fn cells(&self) -> Vec<String> {
        let SourceRow { source, at, number } = &self.source;
        vec![source.clone(), at.to_string(), number.to_string(), self.paused.clone().unwrap_or_default()]
    }
}

impl Verb {
    pub(super) fn outbox(&self) -> &OutboxArgs {
        match self {
            Self::List(list) => &list.outbox,
            Self::Pause(pausing) | Self::Resume(pausing) => &pausing.outbox,
        }
    }

    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run().await,
            Self::Pause(pausing) => pausing.pause().await,
            Self::Resume(pausing) => pausing.resume().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let Self { outbox } = self;
        let url = outbox.url().map_err(anyhow::Error::msg)?;
        let desk = OutboxDesk::open(url).await?;
        let (sources, (waiting, refused)) = (desk.sources().await?, desk.counts().await?);
        let pauses = paused(url).await;
        let since = |name: &str| pauses.iter().find(|pause| pause.name == name).map(|pause| pause.since);
        let listed = |source: SourceRow| Listed {
            paused: since(&source.source).map(|since| format!("paused since {since:.0}")),
            source,
        };
        let rows: Vec<Listed> = sources.into_iter().map(listed).collect();
        let mut to = io::stdout().lock();
        listing::print(&mut to, &rows, outbox.output)?;
        match outbox.output {
            Output::Json => {
                let counts = serde_json::json!({ "waiting": waiting, "refused": refused });
                listing::print_object(&mut to, &counts)?;
            }
            Output::Text => {
                writeln!(to, "The outbox holds {waiting} events; the broker refuses {refused} of them.")?;
            }
        }
        Ok(())
    }
}

/// Where the store does not tell, that is said, and the rest of the answer stands.
async fn paused(url: &StoreUrl) -> Vec<Pause> {
    let found = async { Pauses::of_sources(url).await?.list().await };
    found.await.unwrap_or_else(|error| {
        tracing::warn!("what is paused is not known: {error}");
        Vec::new()
    })
}

impl Pausing {
    async fn pause(self) -> anyhow::Result<()> {
        let url = self.outbox.url().map_err(anyhow::Error::msg)?;
        // A name that is mistyped would be kept for ever, and nothing would stand still.
        let sources = OutboxDesk::open(url).await?.sources().await?;
        let is_known = sources.iter().any(|known| known.source == self.name);
        is_known.then_some(()).with_context(|| {
            format!(
                "no source {} was read: `service-a sources list` shows those that were",
                Printable(&self.name)
            )
        })?;
        let is_new = Pauses::of_sources(url).await?.pause(Pausable::Source, &self.name).await?;
        let text = if is_new {
            "paused. Who reads it notices within a second; what is in the outbox is still published."
        } else {
            "paused already."
        };
        self.say("paused", is_new, text)
    }

    async fn resume(self) -> anyhow::Result<()> {
        let url = self.outbox.url().map_err(anyhow::Error::msg)?;
        let resumed = Pauses::of_sources(url).await?.resume(Pausable::Source, &self.name).await?;
        self.say("resumed", resumed, if resumed { "goes on." } else { "was not paused." })
    }

    fn say(&self, done: &str, is_changed: bool, text: &str) -> anyhow::Result<()> {
        let (mut to, name) = (io::stdout().lock(), &self.name);
        match self.outbox.output {
            Output::Json => {
                let object = serde_json::json!({
                    "what": Pausable::Source, "name": name, "done": done, "changed": is_changed
                });
                listing::print_object(&mut to, &object)?;
            }
            Output::Text => writeln!(to, "{} {text}", Printable(name))?,
        }
        Ok(())
    }
}
