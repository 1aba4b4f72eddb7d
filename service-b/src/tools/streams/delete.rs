//! Deleting a stream's records: what goes is said before, what stays is said after.

use std::io::Write as _;

use clap::Args;
use shared::client::{self, watch};
use shared::config::KafkaArgs;
use shared::listing::{self, Output};
use shared::telemetry::Printable;
use shared::topic::Topic;

use crate::tools::ToolArgs;
use crate::tools::confirm::confirm;

/// The settings of `streams truncate`.
#[derive(Debug, Args)]
pub struct Truncate {
    /// The topic
    topic: Topic,

    /// The partition
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,

    /// The first offset that stays
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    before: i64,

    /// The group that has to have handled what goes
    #[arg(long, env = "SERVICE_B_GROUP", default_value = "service-b")]
    group: String,

    /// Delete also what the group has not handled
    #[arg(long)]
    force: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    common: ToolArgs,
}

/// The settings of `streams delete-key`.
#[derive(Debug, Args)]
pub struct DeleteKey {
    /// The topic
    topic: Topic,

    /// The key
    #[arg(long)]
    key: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    common: ToolArgs,
}

impl Truncate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { topic, partition, before, group, .. } = &self;
        let (connection, name, wanted) = (self.kafka.connection(), topic.to_string(), *partition);
        let (ends, committed) = watch(&connection, group, move |watcher| {
            let places = watcher.places(&name)?;
            anyhow::ensure!(
                places.iter().any(|(_, partition)| *partition == wanted),
                "{name} has {} partitions, and no partition {wanted}",
                places.len()
            );
            let place = [(name, wanted)];
            Ok((watcher.ends(&place)?[0], watcher.committed(&place)?[0]))
        })
        .await?;
        anyhow::ensure!(
            *before <= ends.high,
            "{topic}/{partition} ends at offset {}: --before can be that at most",
            ends.high
        );
        let stands = committed.unwrap_or(ends.low);
        anyhow::ensure!(
            *before <= stands || self.force,
            "group {} stands at offset {stands} of {topic}/{partition}: what lies between it and {before} it has not handled, and \
             never would. Say --before {stands}, or --force",
            Printable(group)
        );
        let going = (before - ends.low).max(0);
        if going == 0 {
            return self.say(ends.low, ends.high, 0, "there is nothing to delete");
        }
        let unhandled = (before - stands).max(0);
        let unhandled = if unhandled > 0 {
            format!(", {unhandled} of them not handled by {}", Printable(group))
        } else {
            String::new()
        };
        let what = format!(
            "{topic}/{partition}: up to {going} records are deleted, offsets {} to {}{unhandled}, for every group and for good.",
            ends.low,
            before - 1
        );
        if !confirm(&what, self.yes)? {
            return self.say(ends.low, ends.high, 0, "nothing was deleted");
        }
        let low = client::delete_below(&connection, topic, *partition, *before).await?;
        self.say(low, ends.high, low - ends.low, "deleted")
    }

    fn say(&self, low: i64, high: i64, deleted: i64, text: &str) -> anyhow::Result<()> {
        let (topic, partition, mut to) = (&self.topic, self.partition, std::io::stdout().lock());
        match self.common.output {
            Output::Json => listing::print_object(
                &mut to,
                &serde_json::json!({
                    "topic": topic.as_str(), "partition": partition, "deleted": deleted, "low": low, "high": high,
                    "ledger": "rows stay",
                }),
            )?,
            Output::Text => writeln!(
                to,
                "{topic}/{partition}: {text}. In Kafka {} offsets are left, {low} to before {high}. The ledger keeps its rows: what \
                 became of an event can still be asked, and what waits there still runs.",
                high - low
            )?,
        }
        Ok(())
    }
}

impl DeleteKey {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { topic, key, .. } = &self;
        let (connection, name) = (self.kafka.connection(), topic.to_string());
        let partitions = watch(&connection, "service-b", move |watcher| watcher.places(&name)).await?.len();
        let policy = client::cleanup_policy(&connection, topic).await?;
        anyhow::ensure!(
            policy.split(',').any(|one| one.trim() == "compact"),
            "{topic} is not compacted (its cleanup.policy is {}), so that a tombstone would remove nothing. Delete a partition's \
             beginning with `service-b streams truncate`",
            Printable(&policy)
        );
        let shown = Printable(key).to_string();
        let what = format!(
            "{topic}: the records with the key {shown:?} are deleted at the next compaction, for every group and for good."
        );
        let mut to = std::io::stdout().lock();
        if !confirm(&what, self.yes)? {
            return Ok(writeln!(to, "{topic}: nothing was deleted.")?);
        }
        client::bury(&connection, topic, key.clone().into_bytes()).await?;
        match self.common.output {
            Output::Json => listing::print_object(
                &mut to,
                &serde_json::json!({ "topic": topic.as_str(), "key": key, "tombstone": "sent", "partitions": partitions }),
            )?,
            Output::Text => writeln!(
                to,
                "{topic}: the tombstone is there. Kafka removes the key's earlier records when it compacts, and the tombstone \
                 later. The ledger keeps its rows. A service-b that subscribes to {topic} takes the tombstone for a dead letter: \
                 it holds no event."
            )?,
        }
        Ok(())
    }
}
