//! `streams`: topics, how they flow, and what an operator does with them.

mod delete;

use std::collections::HashMap;

use clap::{Args, Subcommand};
use serde::Serialize;
use shared::client::{Place, watch};
use shared::config::KafkaArgs;
use shared::listing::{self, Row};
use shared::store::Pausable;
use shared::telemetry::Printable;
use shared::topic::Topic;

use super::StoreArgs;
use super::describe::{self, Describe};
use super::pausing::{self, Pausing};
use super::replay::Replay;

/// What can be done with streams.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the topics
    #[command(after_help = "Example:\n  service-b streams list --output json")]
    List(List),
    /// Show a topic's partitions, lag, rates and owners
    ///
    /// Positions are sampled for a while; rates and time to drain come from a line through the samples (least squares),
    /// and where that fits badly there is no prediction. `behind` is how long ago the record was written at which the
    /// group stands.
    #[command(after_help = "Example:\n  service-b streams describe topic1 --for 10s")]
    Describe(OfTopic),
    /// Stop handling a topic, in all members and across restarts; what is under way is finished
    #[command(after_help = "Example:\n  service-b streams pause topic1")]
    Pause(Pausing),
    /// Go on with a topic
    #[command(after_help = "Example:\n  service-b streams resume topic1")]
    Resume(Pausing),
    /// Replay a topic's events: try handlers on them, or give the group those that it has missed; no offset moves
    ///
    /// With --shadow the handlers named are run on the events, nothing is applied, and what they would come to is compared with
    /// the ledger: what would differ is shown, and makes the exit code 1. That is for before a new version of a handler goes
    /// live. Whether the store takes the effects is not tried.
    ///
    /// Without it, events that the group has passed and that have no row are shown; with --yes the partition's owner is given
    /// them, and handles each once, in the order of the stream. Later events of the same key that were handled stay handled.
    /// What the group once handled under `--delivery at-least-once` may have no row, and had no effects in the store.
    #[command(
        after_help = "Examples:\n  service-b streams replay topic1 --shadow --from 1h --handle '*=statistics'\n  service-b streams replay topic1 --partition 0 --from 1000 --to 2000 --yes"
    )]
    Replay(Box<Replay>),
    /// Delete a partition's records below an offset; the ledger keeps its rows
    #[command(after_help = "Example:\n  service-b streams truncate topic1 --partition 0 --before 1000")]
    Truncate(delete::Truncate),
    /// Delete a key's records from a compacted topic, by a tombstone
    #[command(after_help = "Example:\n  service-b streams delete-key settings --key customer-7")]
    DeleteKey(delete::DeleteKey),
}

/// The settings of `streams list`.
#[derive(Debug, Args)]
pub struct List {
    /// Kafka's own topics, too
    #[arg(long)]
    internal: bool,

    /// How many at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Go on behind this name: the last one of the page before
    #[arg(long, value_name = "TOPIC")]
    after: Option<String>,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    store: StoreArgs,
}

/// The settings of `streams describe`.
#[derive(Debug, Args)]
pub struct OfTopic {
    /// The topic
    topic: Topic,

    #[command(flatten)]
    describe: Describe,
}

#[derive(Serialize)]
struct Listed {
    topic: String,
    partitions: usize,
    /// From the first to the last offset, gaps included.
    records: i64,
    paused: Option<String>,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] = &["topic", "partitions", "records", "state"];

    fn cells(&self) -> Vec<String> {
        let state = self.paused.clone().unwrap_or_default();
        vec![Printable(&self.topic).to_string(), self.partitions.to_string(), self.records.to_string(), state]
    }
}

impl Verb {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run().await,
            Self::Describe(of) => describe::stream(of.describe, of.topic).await,
            Self::Pause(pausing) => {
                // A name that no topic can have would be kept for ever.
                pausing.name.parse::<Topic>()?;
                pausing.pause(Pausable::Topic).await
            }
            Self::Resume(pausing) => pausing.resume(Pausable::Topic).await,
            Self::Replay(replay) => replay.run().await,
            Self::Truncate(truncate) => truncate.run().await,
            Self::DeleteKey(delete) => delete.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let Self { internal, limit, after, kafka, store } = self;
        let (streams, ends) = watch(&kafka.connection(), &store.group, move |watcher| {
            let wanted = |topic: &str| {
                (internal || !topic.starts_with("__")) && after.as_deref().is_none_or(|after| topic > after)
            };
            watcher.while_topics_move(|| {
                let streams = watcher.streams()?.into_iter().filter(|stream| wanted(&stream.topic));
                let streams: Vec<_> = streams.take(limit as usize).collect();
                let places: Vec<Place> = streams
                    .iter()
                    .flat_map(|stream| {
                        stream.partitions.iter().map(|partition| (stream.topic.clone(), *partition))
                    })
                    .collect();
                let ends = watcher.ends(&places)?;
                Ok((streams, places.into_iter().zip(ends).collect::<Vec<_>>()))
            })
        })
        .await?;
        let mut records: HashMap<&str, i64> = HashMap::new();
        for ((topic, _), ends) in &ends {
            let records = records.entry(topic).or_default();
            *records = i64::saturating_add(*records, ends.high - ends.low);
        }
        let pauses = pausing::paused(&store).await;
        let rows: Vec<Listed> = streams
            .iter()
            .map(|stream| Listed {
                topic: stream.topic.clone(),
                partitions: stream.partitions.len(),
                records: records.get(&*stream.topic).copied().unwrap_or(0),
                paused: pausing::since(&pauses, Pausable::Topic, &stream.topic),
            })
            .collect();
        Ok(listing::print(&mut std::io::stdout().lock(), &rows, store.common.output)?)
    }
}
