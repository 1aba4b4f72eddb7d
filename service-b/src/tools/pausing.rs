//! Pausing and resuming, alike for streams and handlers.

use std::io::Write as _;

use clap::Args;
use shared::listing::{self, Output};
use shared::store::{Pausable, Pause, Pauses, StoreError};
use shared::telemetry::Printable;

use super::StoreArgs;

/// The settings of `pause` and `resume`.
#[derive(Debug, Clone, Args)]
pub struct Pausing {
    /// The topic, or the handler's pattern, as the service has it
    #[arg(value_name = "NAME")]
    pub(super) name: String,

    #[command(flatten)]
    store: StoreArgs,
}

impl Pausing {
    /// Pauses it, for all members of the group, until somebody resumes it.
    pub(super) async fn pause(self, what: Pausable) -> anyhow::Result<()> {
        let pauses = open(&self.store).await?;
        let is_new = pauses.pause(what, &self.name).await?;
        let found =
            pauses.list().await?.into_iter().find(|pause| pause.what == what && pause.name == self.name);
        let since = found.map_or_else(String::new, |pause| format!(" since {:.0}", pause.since));
        if what == Pausable::Topic && !self.is_known().await {
            tracing::warn!(
                "no member of the group {} has ever had a partition of {}: is that the name?",
                Printable(&self.store.group),
                Printable(&self.name)
            );
        }
        let already = if is_new { "" } else { " already" };
        let more = " Members notice within a second, and finish what is under way.";
        self.say(
            what,
            "paused",
            is_new,
            &format!("paused{already}{since}.{}", if is_new { more } else { "" }),
        )
    }

    async fn is_known(&self) -> bool {
        let topics = async { self.store.desk().await?.topics().await.map_err(anyhow::Error::new) };
        topics.await.is_ok_and(|topics| topics.contains(&self.name))
    }

    /// Lets it go on.
    pub(super) async fn resume(self, what: Pausable) -> anyhow::Result<()> {
        let resumed = open(&self.store).await?.resume(what, &self.name).await?;
        let text = if resumed { "goes on." } else { "was not paused." };
        self.say(what, "resumed", resumed, text)
    }

    fn say(&self, what: Pausable, done: &str, is_changed: bool, text: &str) -> anyhow::Result<()> {
        let mut to = std::io::stdout().lock();
        let name = &self.name;
        match self.store.common.output {
            Output::Json => {
                let object =
                    serde_json::json!({ "what": what, "name": name, "done": done, "changed": is_changed });
                listing::print_object(&mut to, &object)?;
            }
            Output::Text => writeln!(to, "{} {text}", Printable(name))?,
        }
        Ok(())
    }
}

async fn open(args: &StoreArgs) -> Result<Pauses, StoreError> {
    Pauses::open(&args.url(), &args.group).await
}

/// What is paused in the group. Where the store does not tell, that is said, and the rest of the answer stands.
pub(super) async fn paused(args: &StoreArgs) -> Vec<Pause> {
    let found = async { open(args).await?.list().await };
    found.await.unwrap_or_else(|error: StoreError| {
        tracing::warn!("what is paused is not known: {error}");
        Vec::new()
    })
}

/// Since when it is paused, for a table.
pub(super) fn since(pauses: &[Pause], what: Pausable, name: &str) -> Option<String> {
    let pause = pauses.iter().find(|pause| pause.what == what && pause.name == name)?;
    Some(format!("paused since {:.0}", pause.since))
}
