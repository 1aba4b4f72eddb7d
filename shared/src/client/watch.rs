//! Looking at streams, groups and records, without taking part: nothing here subscribes, joins a group or commits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::admin::{PATIENCE, ask, reach};
use super::members::{self, Membership};
use super::{Connection, Context};
use crate::raw::{self, Fetched};
use crate::record::{Record, RecordBuilder};
use crate::telemetry::Printable;

/// A partition of a topic.
pub type Place = (String, i32);

/// A topic, and the partitions that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub topic: String,
    /// The numbers of its partitions, in order.
    pub partitions: Vec<i32>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The offset of its first record; where the next one goes, if there is none.
    pub low: i64,
    /// The offset that its next record gets.
    pub high: i64,
}

/// A client that looks.
pub struct Watcher {
    consumer: BaseConsumer<Context>,
    address: String,
}

/// Has a thread of its own look, as that group's members would see it.
///
/// # Errors
/// No broker answers within five seconds; or those of the question.
pub async fn watch<T: Send + 'static>(
    connection: &Connection,
    group: &str,
    question: impl FnOnce(&Watcher) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    reach(connection).await?;
    let mut config = connection.asking()?;
    config
        // librdkafka assigns nothing without a group. Its offsets are read by this name, and nothing else is done with it.
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        // An offset that is gone is an answer, not a reason to begin elsewhere.
        .set("auto.offset.reset", "error")
        // Behind a partition's last record there may be offsets that hold none: this tells its end.
        .set("enable.partition.eof", "true")
        // A few records are wanted, not what fits into the defaults' 64 MiB.
        .set("queued.min.messages", "100")
        .set("queued.max.messages.kbytes", "4096")
        // While it holds that many, librdkafka would wait for a second before it asks for more.
        .set("fetch.queue.backoff.ms", "10")
        .set("max.partition.fetch.bytes", "65536")
        .set("fetch.wait.max.ms", "50");
    let address = connection.bootstrap_servers.clone();
    let client = move || {
        let consumer = BaseConsumer::from_config_and_context(&config, Context::default())?;
        Ok(Watcher { consumer, address })
    };
    ask(client, question).await
}

impl Watcher {
    /// Asks about many topics, again while one of them comes or goes or changes its leader: for five seconds at most.
    ///
    /// # Errors
    /// Those of the question.
    pub fn while_topics_move<T>(&self, ask: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let start = Instant::now();
        loop {
            match ask() {
                Err(error) if has_moved(&error) && start.elapsed() < PATIENCE => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                answer => return answer,
            }
        }
    }

    /// Every topic, by name.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn streams(&self) -> anyhow::Result<Vec<Stream>> {
        // All of them, and never one by name: who asks for one by its name may make it.
        let metadata = self.consumer.fetch_metadata(None, PATIENCE).context("cannot ask for the topics")?;
        let stream = |topic: &MetadataTopic| {
            let mut partitions: Vec<i32> = topic.partitions().iter().map(MetadataPartition::id).collect();
            partitions.sort_unstable();
            Stream { topic: topic.name().to_owned(), partitions }
        };
        let mut streams: Vec<Stream> = metadata.topics().iter().map(stream).collect();
        streams.sort_by(|one, other| one.topic.cmp(&other.topic));
        Ok(streams)
    }

    /// That topic's partitions.
    ///
    /// # Errors
    /// There is no such topic, or this user may not see it.
    pub fn places(&self, topic: &str) -> anyhow::Result<Vec<Place>> {
        let found = self.streams()?.into_iter().find(|stream| stream.topic == topic);
        let found = found.with_context(|| {
            format!(
                "there is no topic {} at {}: `service-b streams list` shows them",
                Printable(topic),
                self.address
            )
        })?;
        Ok(found.partitions.into_iter().map(|partition| (topic.to_owned(), partition)).collect())
    }

    /// Where each begins and ends, in order.
    ///
    /// # Errors
    /// The broker does not answer for one of them.
    pub fn ends(&self, places: &[Place]) -> anyhow::Result<Vec<Ends>> {
        let (low, high) = (self.offsets(places, Offset::Beginning)?, self.offsets(places, Offset::End)?);
        let ends = low
            .into_iter()
            .zip(high)
            .map(|(low, high)| Ends { low: low.unwrap_or(0), high: high.unwrap_or(0) });
        Ok(ends.collect())
    }

    /// The first record of each that is as young as that (milliseconds since 1970); `None` where there is none.
    ///
    /// # Errors
    /// The broker does not answer for one of them.
    pub fn since(&self, places: &[Place], millisecond: i64) -> anyhow::Result<Vec<Option<i64>>> {
        self.offsets(places, Offset::Offset(millisecond.max(0)))
    }

    /// A question for offsets has the time in the offset's place; two of them stand for the ends.
    fn offsets(&self, places: &[Place], at: Offset) -> anyhow::Result<Vec<Option<i64>>> {
        let asked = list(places.iter().map(|place| (place, at)))?;
        let found = self.consumer.offsets_for_times(asked, PATIENCE).context("cannot ask for offsets")?;
        in_order(places, &found)
    }

    /// Where the group stands in each; `None` where it has committed nothing.
    ///
    /// # Errors
    /// The broker does not answer, or this user may not know.
    pub fn committed(&self, places: &[Place]) -> anyhow::Result<Vec<Option<i64>>> {
        let asked = list(places.iter().map(|place| (place, Offset::Invalid)))?;
        let found =
            self.consumer.committed_offsets(asked, PATIENCE).context("cannot ask where the group stands")?;
        in_order(places, &found)
    }

    /// Groups that the broker knows, or that one.
    ///
    /// # Errors
    /// The broker does not tell.
    pub fn groups(&self, group: Option<&str>) -> anyhow::Result<Vec<Membership>> {
        members::fetch(&self.consumer, group, PATIENCE)
    }

    /// Reads records of a topic: of each partition from an offset on, up to the end given with it, or until `each` has
    /// enough.
    ///
    /// # Errors
    /// Nothing comes within five seconds, or an offset is not there any more.
    pub fn read(
        &self,
        topic: &str,
        from: &[Run],
        mut each: impl FnMut(Record) -> Then,
    ) -> anyhow::Result<()> {
        // As many names as topics are asked for, in a process that ends with the answer.
        let topic: &'static str = Box::leak(topic.to_owned().into_boxed_str());
        let mut open: BTreeMap<i32, i64> =
            from.iter().filter(|run| run.first < run.end).map(|run| (run.partition, run.end)).collect();
        let mut starts = TopicPartitionList::new();
        for run in from.iter().filter(|run| open.contains_key(&run.partition)) {
            starts.add_partition_offset(topic, run.partition, Offset::Offset(run.first))?;
        }
        self.consumer.assign(&starts)?;
        let (mut builder, mut heard) = (RecordBuilder::default(), Instant::now());
        while !open.is_empty() {
            match self.consumer.poll(LOOK_AGAIN) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let Some(fetched) = Fetched::of(&message) else { continue };
                    let (partition, offset) = (fetched.partition(), fetched.offset());
                    let Some(end) = open.get(&partition).copied() else { continue };
                    let then = if offset < end {
                        each(raw::copy(&fetched, topic, &mut builder).0)
                    } else {
                        Then::NextPartition
                    };
                    // Who asked may have taken its time: only the broker's silence counts.
                    heard = Instant::now();
                    match then {
                        Then::More if offset + 1 < end => {}
                        Then::More | Then::NextPartition => drop(open.remove(&partition)),
                        Then::Enough => break,
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code();
                    let is_gone = matches!(
                        code,
                        Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset)
                    );
                    anyhow::ensure!(!is_gone, "the record was deleted meanwhile");
                    tracing::debug!("reading: {error}");
                }
                None => {}
            }
            anyhow::ensure!(heard.elapsed() < PATIENCE, "no record came within {PATIENCE:?}");
        }
        Ok(self.consumer.unassign()?)
    }
}

/// Records of a partition, from one offset to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The partition.
    pub partition: i32,
    /// The first offset that is wanted.
    pub first: i64,
    /// The first that is not.
    pub end: i64,
}

/// What is wanted after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next.
    More,
    /// No more of its partition.
    NextPartition,
    /// Nothing.
    Enough,
}

/// Whether a partition was not where it had just been said to be.
fn has_moved(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<KafkaError>().and_then(KafkaError::rdkafka_error_code),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}

/// How long the client waits for a record, or before it asks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

fn list<'p>(places: impl Iterator<Item = (&'p Place, Offset)>) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in places {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

/// The answers in the order of the questions. What is below zero stands for "none".
fn in_order(places: &[Place], found: &TopicPartitionList) -> anyhow::Result<Vec<Option<i64>>> {
    let of = |(topic, partition): &Place| {
        let element = found.find_partition(topic, *partition).context("no answer for a partition")?;
        element.error().with_context(|| format!("{}/{partition}", Printable(topic)))?;
        Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
    };
    places.iter().map(of).collect()
}
