//! `events`: what the ledger knows of them.

use clap::{Args, Subcommand};
use shared::config::FILTER;
use shared::desk::{Operation, Status};
use shared::telemetry::Printable;

use super::StoreArgs;
use super::confirm::confirm;
use super::filter::{FilterArgs, PageArgs};
use super::one_event::OneEvent;

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show all that is known of one event
    #[command(
        after_help = "Example:\n  service-b events get 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506\n  service-b events get order-4711 --source /shop --output json"
    )]
    Get(OneEvent),
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
    Cancel(OneEvent),
    /// Try an event again now that has failed and waits
    #[command(after_help = "Example:\n  service-b events retry 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")]
    Retry(OneEvent),
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
    event: OneEvent,

    /// Do not ask
    #[arg(long)]
    yes: bool,
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
            Self::Get(one) => one.show().await,
            Self::Cancel(one) => one.run(Operation::Cancel).await,
            Self::Retry(one) => one.run(Operation::Retry).await,
            Self::Delete(delete) => delete.run().await,
            Self::List(list) => {
                list.page.print(&list.store, &list.filter.of(list.status.iter().copied())).await
            }
        }
    }
}

impl Delete {
    async fn run(self) -> anyhow::Result<()> {
        let what = format!("This deletes what the store holds of the event {}.", Printable(self.event.id()));
        if !confirm(&what, self.yes)? {
            return Ok(());
        }
        self.event.run(Operation::Delete).await?;
        self.event.say_what_remains().await
    }
}
