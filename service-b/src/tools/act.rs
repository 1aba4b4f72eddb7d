//! One event, and what an operator does to it.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use shared::config::FILTER;
use shared::desk::{Answered, Deed};
use shared::listing::{self, Output};
use shared::telemetry::Printable;

use super::StoreArgs;

/// Which event.
#[derive(Debug, Args)]
pub struct Act {
    /// The event's id
    id: String,

    /// Its source: two sources may use the same id
    #[arg(long, value_name = "URI", help_heading = FILTER)]
    source: Option<String>,

    #[command(flatten)]
    pub(super) store: StoreArgs,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(flatten)]
    answer: &'a Answered,
}

impl Act {
    pub(super) fn of(id: String, source: Option<String>, store: StoreArgs) -> Self {
        Self { id, source, store }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Does it, and prints the answer: the reason why not is an error.
    pub(super) async fn run(&self, deed: Deed) -> anyhow::Result<()> {
        let operator = self.store.operator().await?;
        let answer = operator.act(deed, &self.id, self.source.as_deref()).await?;
        let hint = match &answer {
            Answered::Unknown if deed == Deed::Cancel => ". With --source it is cancelled when it arrives",
            _ => "",
        };
        if self.store.common.output == Output::Json {
            listing::print_object(&mut io::stdout(), &Line { id: &self.id, answer: &answer })?;
        } else if answer.is_done() {
            writeln!(io::stdout(), "{}", Printable(&answer.to_string()))?;
        }
        anyhow::ensure!(
            answer.is_done(),
            "{}: {}{hint}",
            Printable(&self.id),
            Printable(&answer.to_string())
        );
        Ok(())
    }
}
