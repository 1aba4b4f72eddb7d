//! `events`: what the ledger knows of them.

use std::io;

use clap::{Args, Subcommand};
use shared::config::FILTER;
use shared::desk::{Deed, Status};
use shared::telemetry::Printable;

use super::act::Act;
use super::confirm::confirm;
use super::filter::{FilterArgs, PageArgs};
use super::{StoreArgs, show};

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show all that is known of one event
    #[command(
        after_help = "Example:\n  service-b events get 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506\n  service-b events get order-4711 --source /shop --output json"
    )]
    Get(Get),
    /// List events, the one first seen last at the top
    #[command(
        after_help = "Example:\n  service-b events list --status deferred,dead --type 'com.example.*' --since 1h"
    )]
    List(Box<List>),
    /// Cancel an event before it takes effect, also one that has not arrived
    ///
    /// The answer is true when it is given: cancelled, or too late and why. An event that the ledger does not know yet is
    /// cancelled when it arrives; its --source has to be said.
    #[command(after_help = "Example:\n  service-b events cancel order-4711 --source /shop")]
    Cancel(Act),
    /// Try an event again now that has failed and waits
    #[command(after_help = "Example:\n  service-b events retry 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")]
    Retry(Act),
    /// Delete what the store holds of an event but its id and its times
    ///
    /// The row stays, so that the event is known if it arrives again. Its record in Kafka stays as well: `streams truncate`
    /// and `streams delete-key` are for that.
    #[command(after_help = "Example:\n  service-b events delete 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506 --yes")]
    Delete(Delete),
}

/// The settings of `events delete`.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    act: Act,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The settings of `events get`.
#[derive(Debug, Args)]
pub struct Get {
    /// The event's id
    id: String,

    /// Its source: two sources may use the same id
    #[arg(long, value_name = "URI", help_heading = FILTER)]
    source: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

/// The settings of `events list`.
#[derive(Debug, Args)]
pub struct List {
    /// Of these statuses, by commas; any if not given
    #[arg(long, value_enum, value_delimiter = ',', help_heading = FILTER)]
    status: Vec<Status>,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    store: StoreArgs,
}

impl Verb {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Get(_) | Self::Cancel(_) | Self::Retry(_) | Self::Delete(_) => Ok(()),
            Self::List(list) => list.filter.of(list.status.iter().copied()).check(),
        }
    }

    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Get(get) => get.run().await,
            Self::Cancel(act) => act.run(Deed::Cancel).await,
            Self::Retry(act) => act.run(Deed::Retry).await,
            Self::Delete(delete) => delete.run().await,
            Self::List(list) => {
                list.page.print(&list.store, &list.filter.of(list.status.iter().copied())).await
            }
        }
    }
}

impl Delete {
    async fn run(self) -> anyhow::Result<()> {
        let what = format!("This deletes what the store holds of the event {}.", Printable(self.act.id()));
        if !confirm(&what, self.yes)? {
            return Ok(());
        }
        self.act.run(Deed::Delete).await?;
        self.act.say_what_remains().await
    }
}

impl Get {
    async fn run(self) -> anyhow::Result<()> {
        let Self { id, source, store } = self;
        let found = store.desk().await?.find(&id, source.as_deref()).await?;
        anyhow::ensure!(!found.is_empty(), show::unknown(&id, source.as_deref(), &store.group));
        show::print(&mut io::stdout(), &found, store.common.output)
    }
}
