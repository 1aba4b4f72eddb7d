//! How streams flow to a group: sampled for a while, then printed by partition, in sum, and by member.

mod print;
mod sampled;

use std::time::Duration;

use clap::Args;
use shared::client::watch;
use shared::config::{KafkaArgs, duration};
use shared::topic::Topic;

use self::sampled::{Scope, sample};
use super::StoreArgs;
use super::pausing;

/// The settings of `streams describe` and `groups describe`.
#[derive(Debug, Clone, Args)]
pub(super) struct Describe {
    /// How long positions are sampled: longer makes better rates
    #[arg(long = "for", default_value = "3s", value_parser = duration, value_name = "TIME")]
    lasts: Duration,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    pub(super) store: StoreArgs,
}

/// A topic, as the group sees it.
pub(super) async fn stream(describe: Describe, topic: Topic) -> anyhow::Result<()> {
    show(describe, Scope::Topic(topic.to_string())).await
}

/// All topics of the group.
pub(super) async fn group(describe: Describe) -> anyhow::Result<()> {
    show(describe, Scope::Group).await
}

async fn show(describe: Describe, scope: Scope) -> anyhow::Result<()> {
    let Describe { lasts, kafka, store } = describe;
    let group = store.group.clone();
    let sampled =
        watch(&kafka.connection(), &store.group, move |watcher| sample(watcher, &group, &scope, lasts))
            .await?;
    let pauses = pausing::paused(&store).await;
    Ok(print::print(&mut std::io::stdout().lock(), &sampled, &store.group, &pauses, store.common.output)?)
}
