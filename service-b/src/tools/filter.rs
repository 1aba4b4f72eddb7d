//! Flags that say which events are meant, and how much of a listing.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use shared::config::FILTER;
use shared::desk::{Filter, Page, Status, moment};
use shared::event::Pattern;
use shared::listing::{self, Output};

use super::StoreArgs;

/// Which events are meant, beside their status.
#[derive(Debug, Clone, Args)]
pub(super) struct FilterArgs {
    /// Of this type: one in full, or a prefix such as `com.example.*`
    #[arg(long = "type", value_name = "PATTERN", help_heading = FILTER)]
    ty: Option<Pattern>,

    /// Of this key
    #[arg(long, value_name = "TEXT", help_heading = FILTER)]
    key: Option<String>,

    /// Of this source
    #[arg(long, value_name = "URI", help_heading = FILTER)]
    source: Option<String>,

    /// From this topic
    #[arg(long, help_heading = FILTER)]
    topic: Option<String>,

    /// With this text in their reason
    #[arg(long, value_name = "TEXT", help_heading = FILTER)]
    reason: Option<String>,

    /// First seen since then: how long ago (`1h`, `2d`), or a moment such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = FILTER)]
    since: Option<Timestamp>,

    /// First seen before then
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = FILTER)]
    until: Option<Timestamp>,
}

impl FilterArgs {
    /// The source that is meant, if one is named.
    pub(super) fn source(&self) -> Option<String> {
        self.source.clone()
    }

    /// Whether nothing but a source is named.
    pub(super) fn is_source_alone(&self) -> bool {
        let Self { ty, key, source: _, topic, reason, since, until } = self;
        [ty.is_none(), key.is_none(), topic.is_none(), reason.is_none(), since.is_none(), until.is_none()]
            .iter()
            .all(|is_none| *is_none)
    }

    /// Of these statuses; of none given, any.
    pub(super) fn of(&self, status: impl IntoIterator<Item = Status>) -> Filter {
        let Self { ty, key, source, topic, reason, since, until } = self.clone();
        Filter { ty, key, source, topic, reason, since, until, ..Filter::default() }.with_status(status)
    }
}

/// Which page of a listing.
#[derive(Debug, Clone, Args)]
pub(super) struct PageArgs {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,

    /// Go on below this row: the last one of the page before
    #[arg(long, value_name = "ROW")]
    after: Option<i64>,
}

impl PageArgs {
    /// Prints the page, and to who reads it how to get the next one.
    pub(super) async fn print(&self, store: &StoreArgs, filter: &Filter) -> anyhow::Result<()> {
        let desk = store.desk().await?;
        let Page { rows, next } = desk.list(filter, self.after, self.limit as usize).await?;
        listing::print(&mut io::stdout().lock(), &rows, store.common.output)?;
        if let (Some(row), Output::Text) = (next, store.common.output) {
            writeln!(io::stderr(), "There may be more: add --after {row}")?;
        }
        Ok(())
    }
}
