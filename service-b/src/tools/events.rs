//! `events`: what the ledger knows of them.

use std::io;

use clap::{Args, Subcommand};
use shared::config::FILTER;
use shared::desk::Status;
use shared::telemetry::LogFormat;

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
    pub(super) fn log_format(&self) -> LogFormat {
        match self {
            Self::Get(get) => get.store.common.log_format,
            Self::List(list) => list.store.common.log_format,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Get(_) => Ok(()),
            Self::List(list) => list.filter.of(list.status.iter().copied()).check(),
        }
    }

    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Get(get) => get.run().await,
            Self::List(list) => {
                list.page.print(&list.store, &list.filter.of(list.status.iter().copied())).await
            }
        }
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
