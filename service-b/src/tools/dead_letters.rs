//! `dead-letters`: events that are not tried again by themselves, as the ledger keeps them.

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};
use shared::config::FILTER;
use shared::desk::{Filter, Operation, Status};
use shared::listing;

use super::StoreArgs;
use super::filter::{FilterArgs, PageArgs};
use super::one_event::OneEvent;
use super::redrive::Redrive;

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List dead letters, the one first seen last at the top
    #[command(after_help = "Example:\n  service-b dead-letters list --type 'com.example.*' --since 1h")]
    List(Box<List>),
    /// Count them by reason
    ///
    /// Reasons count as one where they differ in words with four digits or more (ids, moments, amounts), behind their
    /// first line, or behind 200 bytes.
    #[command(after_help = "Example:\n  service-b dead-letters reasons --since 1d")]
    Reasons(Box<Reasons>),
    /// Show one with its headers and its data
    #[command(after_help = "Example:\n  service-b dead-letters show 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")]
    Show(OneEvent),
    /// Print all with their records, a JSON object a line
    #[command(after_help = "Example:\n  service-b dead-letters export --reason 'is closed' > closed.ndjson")]
    Export(Box<Export>),
    /// Send dead events back to their handlers, the oldest first
    ///
    /// Each begins anew, in the order of its key; one that fails again is dead again, with its history. Cut off, also by
    /// kill -9, it goes on with the same filter or with `--unfinished resume`: none is sent back twice.
    #[command(
        after_help = "Example:\n  service-b dead-letters redrive 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506\n  service-b dead-letters redrive --reason 'is closed' --since 1d --rate 100\n  service-b dead-letters redrive --all --dry-run"
    )]
    Redrive(Box<Redrive>),
    /// Put a dead event aside for good
    #[command(after_help = "Example:\n  service-b dead-letters park 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")]
    Park(OneEvent),
}

/// Which ones.
#[derive(Debug, Clone, Args)]
pub(super) struct DeadFilter {
    /// Those that may still be sent back, those put aside for good, or both, by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "dead,parked", help_heading = FILTER)]
    status: Vec<DeadStatus>,

    #[command(flatten)]
    filter: FilterArgs,
}

/// What a dead letter can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DeadStatus {
    /// It is not tried again by itself
    Dead,
    /// An operator has put it aside for good
    Parked,
}

impl DeadFilter {
    pub(super) fn filter(&self) -> Filter {
        self.filter.of(self.status.iter().map(|status| match status {
            DeadStatus::Dead => Status::Dead,
            DeadStatus::Parked => Status::Parked,
        }))
    }
}

/// The settings of `dead-letters list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: DeadFilter,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    store: StoreArgs,
}

/// The settings of `dead-letters reasons`.
#[derive(Debug, Args)]
pub struct Reasons {
    #[command(flatten)]
    which: DeadFilter,

    #[command(flatten)]
    store: StoreArgs,
}

/// The settings of `dead-letters export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    which: DeadFilter,

    #[command(flatten)]
    store: StoreArgs,
}

impl Verb {
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::List(list) => list.which.filter().check(),
            Self::Reasons(reasons) => reasons.which.filter().check(),
            Self::Export(export) => export.which.filter().check(),
            Self::Redrive(redrive) => redrive.check(),
            Self::Show(_) | Self::Park(_) => Ok(()),
        }
    }

    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.page.print(&list.store, &list.which.filter()).await,
            Self::Reasons(reasons) => reasons.run().await,
            Self::Show(one) => one.show_dead_letter().await,
            Self::Export(export) => export.run().await,
            Self::Redrive(redrive) => redrive.run().await,
            Self::Park(one) => one.run(Operation::Park).await,
        }
    }
}

impl Reasons {
    async fn run(self) -> anyhow::Result<()> {
        let rows = self.store.desk().await?.reasons(&self.which.filter()).await?;
        Ok(listing::print(&mut io::stdout().lock(), &rows, self.store.common.output)?)
    }
}

impl Export {
    /// Between two transactions, so that a reader that is slow keeps nobody waiting.
    async fn run(self) -> anyhow::Result<()> {
        let mut export = self.store.desk().await?.export(&self.which.filter()).await?;
        let mut lines = Vec::new();
        while let Some(events) = export.next().await? {
            for event in &events {
                listing::print_object(&mut lines, event)?;
            }
            io::stdout().write_all(&lines)?;
            lines.clear();
        }
        Ok(io::stdout().flush()?)
    }
}
