//! `handlers`: which there are, and what each is for.

use clap::{Args, Subcommand};
use serde::Serialize;
use shared::consumer::Handlers;
use shared::event::Pattern;
use shared::listing::{self, Row};
use shared::store::{Pausable, Pause};

use super::StoreArgs;
use super::pausing::{self, Pausing};
use crate::handlers::{self, HandleArgs, Statistics};

/// What can be done with handlers.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the handlers that the settings name, the most specific pattern first
    #[command(
        after_help = "Example:\n  service-b handlers list --handle 'com.example.*=log' --handle '*=discard'"
    )]
    List(List),
    /// Stop giving events to a handler, in all members and across restarts; what is under way is finished
    #[command(after_help = "Example:\n  service-b handlers pause 'com.example.*'")]
    Pause(Pausing),
    /// Go on giving events to a handler
    #[command(after_help = "Example:\n  service-b handlers resume 'com.example.*'")]
    Resume(Pausing),
}

/// The settings of `handlers list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: HandleArgs,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Registered {
    pattern: String,
    kind: &'static str,
    paused: Option<String>,
}

impl Row for Registered {
    const COLUMNS: &'static [&'static str] = &["pattern", "kind", "state"];

    fn cells(&self) -> Vec<String> {
        vec![self.pattern.clone(), self.kind.to_owned(), self.paused.clone().unwrap_or_default()]
    }
}

impl Verb {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run().await,
            Self::Pause(pausing) => {
                pausing.name.parse::<Pattern>()?;
                tracing::info!(
                    "members whose --handle has exactly this pattern pause it; others have no such handler"
                );
                pausing.pause(Pausable::Handler).await
            }
            Self::Resume(pausing) => pausing.resume(Pausable::Handler).await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let handlers = handlers::from_settings(&self.which.handle, &Statistics::new("service-b", None))?;
        let pauses = pausing::paused(&self.store).await;
        let rows: Vec<Registered> = registered(&handlers, &pauses).collect();
        Ok(listing::print(&mut std::io::stdout().lock(), &rows, self.store.common.output)?)
    }
}

fn registered(handlers: &Handlers, pauses: &[Pause]) -> impl Iterator<Item = Registered> {
    handlers.kinds().map(|(pattern, is_pure)| Registered {
        pattern: pattern.to_string(),
        kind: if is_pure { "pure" } else { "reaching" },
        paused: pausing::since(pauses, Pausable::Handler, &pattern.to_string()),
    })
}
