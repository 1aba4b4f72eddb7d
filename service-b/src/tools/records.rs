//! `records`: what a topic holds, as it is.

mod from;
mod print;

use clap::{Args, Subcommand};
use shared::client::{Ends, Place, Run, Then, Watcher, watch};
use shared::config::KafkaArgs;
use shared::listing;
use shared::record::Record;
use shared::topic::Topic;

use self::from::At;
pub(super) use self::from::From;
use self::print::Shown;
use super::ToolArgs;

/// As whom the tools read: nobody joins or commits by this name.
const READER: &str = "service-b";

/// What can be done with records.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show a record: key, headers and data
    ///
    /// Data is shown laid out where it is JSON, else as text, else in hexadecimal. With `--output json`, what is no UTF-8
    /// comes in base64.
    #[command(after_help = "Example:\n  service-b records get topic1/0/42")]
    Get(Get),
    /// List a topic's records, a partition after the other
    #[command(
        after_help = "Examples:\n  service-b records list topic1 --partition 0 --from 42\n  service-b records list topic1 --from -5\n  service-b records list topic1 --from 1h"
    )]
    List(List),
}

/// The settings of `records get`.
#[derive(Debug, Args)]
pub struct Get {
    /// Where it is: `TOPIC/PARTITION/OFFSET`
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    at: At,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    common: ToolArgs,
}

/// The settings of `records list`.
#[derive(Debug, Args)]
pub struct List {
    /// The topic
    topic: Topic,

    /// This partition alone
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// Where to begin in each partition: an offset, `-N` for its last N, a time such as 2026-01-31T12:00:00Z, or how long
    /// ago, such as 1h [default: its beginning]
    #[arg(long, value_name = "OFFSET|-N|TIME", allow_hyphen_values = true)]
    from: Option<From>,

    /// How many at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    #[command(flatten)]
    kafka: KafkaArgs,

    #[command(flatten)]
    common: ToolArgs,
}

impl Verb {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Get(get) => get.run().await,
            Self::List(list) => list.run().await,
        }
    }
}

impl Get {
    async fn run(self) -> anyhow::Result<()> {
        let Self { at, kafka, common } = self;
        let record = watch(&kafka.connection(), READER, move |watcher| get(watcher, &at)).await?;
        print::print(&mut std::io::stdout().lock(), &record, common.output)?;
        Ok(())
    }
}

fn get(watcher: &Watcher, at: &At) -> anyhow::Result<Record> {
    let At { topic, partition, offset } = at;
    let (place, ends) = ends(watcher, topic, Some(*partition))?.remove(0);
    anyhow::ensure!(
        (ends.low..ends.high).contains(offset),
        "{topic}/{partition} has no offset {offset}: {}",
        if ends.low == ends.high {
            format!("it is empty, and its next record gets offset {}", ends.high)
        } else {
            format!("its records are at {} to {}", ends.low, ends.high - 1)
        }
    );
    let mut found = None;
    let run = Run { partition: place.1, first: *offset, end: ends.high };
    watcher.read(topic.as_str(), &[run], |record| {
        found = Some(record);
        Then::Enough
    })?;
    match found {
        Some(record) if record.origin().offset == *offset => Ok(record),
        Some(record) => anyhow::bail!(
            "at {topic}/{partition}/{offset} is no record any more: it was compacted away, or marked the end of a transaction. \
             The next is at offset {}",
            record.origin().offset
        ),
        None => anyhow::bail!("at {topic}/{partition}/{offset} is no record, nor behind it"),
    }
}

/// The topic's partitions, or that one, and where they end.
pub(super) fn ends(
    watcher: &Watcher,
    topic: &Topic,
    partition: Option<i32>,
) -> anyhow::Result<Vec<(Place, Ends)>> {
    let mut places = watcher.places(topic.as_str())?;
    let count = places.len();
    places.retain(|(_, number)| partition.is_none_or(|wanted| wanted == *number));
    anyhow::ensure!(
        !places.is_empty(),
        "{topic} has {count} partitions, and no partition {}",
        partition.unwrap_or_default()
    );
    let ends = watcher.ends(&places)?;
    Ok(places.into_iter().zip(ends).collect())
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let Self { topic, partition, from, limit, kafka, common } = self;
        let limit = limit as usize;
        let name = topic.clone();
        let (records, left) = watch(&kafka.connection(), READER, move |watcher| {
            list(watcher, &name, partition, from.unwrap_or(From::Offset(0)), limit)
        })
        .await?;
        let rows: Vec<Shown> = records.iter().map(Shown::of).collect();
        listing::print(&mut std::io::stdout().lock(), &rows, common.output)?;
        if let Some((partition, offset)) = left {
            tracing::info!("there are more: --partition {partition} --from {offset} goes on there");
        }
        Ok(())
    }
}

/// Records, and where there may be more: the partition at which the limit was reached, and the offset.
type Page = (Vec<Record>, Option<(i32, i64)>);

fn list(
    watcher: &Watcher,
    topic: &Topic,
    partition: Option<i32>,
    from: From,
    limit: usize,
) -> anyhow::Result<Page> {
    let ends = ends(watcher, topic, partition)?;
    let end = ends.iter().map(|(_, ends)| ends.high).max().unwrap_or(0);
    if let From::Offset(offset) = from {
        anyhow::ensure!(offset <= end, "{topic} ends at offset {end}");
    }
    let places: Vec<Place> = ends.iter().map(|(place, _)| place.clone()).collect();
    let times = match from {
        From::Time(at) => watcher.since(&places, at.as_millisecond())?,
        From::Offset(_) | From::Last(_) => vec![None; places.len()],
    };
    let mut records: Vec<Record> = Vec::new();
    for (((_, partition), ends), at_time) in ends.into_iter().zip(times) {
        let first = from.first(ends, at_time);
        if first >= ends.high {
            continue;
        }
        if records.len() >= limit {
            return Ok((records, Some((partition, first))));
        }
        watcher.read(topic.as_str(), &[Run { partition, first, end: ends.high }], |record| {
            records.push(record);
            if records.len() < limit { Then::More } else { Then::Enough }
        })?;
        if let (true, Some(last)) =
            (records.len() >= limit, records.last().map(|record| record.origin().offset + 1))
            && last < ends.high
        {
            return Ok((records, Some((partition, last))));
        }
    }
    Ok((records, None))
}
