//! `handlers`: which there are, and what each is for.

use clap::{Args, Subcommand};
use serde::Serialize;
use shared::consumer::Handlers;
use shared::listing::{self, Row};
use shared::telemetry::LogFormat;

use super::ToolArgs;
use crate::handlers::{self, Statistics};

/// What can be done with handlers.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the handlers that the settings name, the most specific pattern first
    #[command(
        after_help = "Example:\n  service-b handlers list --handle 'com.example.*=log' --handle '*=discard'"
    )]
    List(List),
}

/// The settings of `handlers list`.
#[derive(Debug, Args)]
pub struct List {
    /// Which handler is for which event types; repeatable
    #[arg(
        long = "handle",
        env = "SERVICE_B_HANDLE",
        value_delimiter = ',',
        default_value = "*=log",
        value_name = "PATTERN=NAME"
    )]
    handle: Vec<String>,

    #[command(flatten)]
    common: ToolArgs,
}

#[derive(Serialize)]
struct Registered {
    pattern: String,
    kind: &'static str,
}

impl Row for Registered {
    const COLUMNS: &'static [&'static str] = &["pattern", "kind"];

    fn cells(&self) -> Vec<String> {
        vec![self.pattern.clone(), self.kind.to_owned()]
    }
}

impl Verb {
    pub(super) fn log_format(&self) -> LogFormat {
        let Self::List(list) = self;
        list.common.log_format
    }

    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self::List(list) = self;
        let handlers = handlers::from_settings(&list.handle, &Statistics::new("service-b", None))?;
        let rows: Vec<Registered> = registered(&handlers).collect();
        Ok(listing::print(&mut std::io::stdout().lock(), &rows, list.common.output)?)
    }
}

fn registered(handlers: &Handlers) -> impl Iterator<Item = Registered> {
    handlers.kinds().map(|(pattern, is_pure)| Registered {
        pattern: pattern.to_string(),
        kind: if is_pure { "pure" } else { "reaching" },
    })
}
