//! What is published and drained: so many events of a size, and what their data look like.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, Producer};
use shared::client::{TopicSpec, ensure_topics};
use shared::event::NewEvent;
use shared::producer::Publisher;
use shared::topic::Topic;

use crate::settings::Bench;

/// How many keys the events have where a scenario does not vary that.
pub(crate) const KEYS: u64 = 1024;
/// Likewise.
pub(crate) const PARTITIONS: i32 = 6;
pub(crate) const SOURCE: &str = "/bench";
pub(crate) const TYPE: &str = "com.example.bench.v1";

/// Which loads a scenario goes through: every combination.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Loads {
    /// The bytes of an event's data; several by commas
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1024], value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    bytes: Vec<u32>,
    /// How many events [default: 1,000,000, of more than 256 bytes 300,000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    events: Option<u64>,
    /// What the data look like
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Payload::Text, Payload::Json])]
    payload: Vec<Payload>,
    /// How batches are compressed; text, of letters by chance, never is
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Compression::None, Compression::Lz4, Compression::Zstd])]
    compression: Vec<Compression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Payload {
    /// A number, then letters by chance.
    Text,
    /// An order as a shop would write it.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Lz4,
    Zstd,
}

/// Shown as on the command line.
pub(crate) fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl std::fmt::Display for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&name(self))
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&name(self))
    }
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) events: u64,
    pub(crate) bytes: usize,
    pub(crate) payload: Payload,
    pub(crate) compression: Compression,
    pub(crate) partitions: i32,
    pub(crate) keys: u64,
}

impl Loads {
    /// # Errors
    /// There is none.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Load>> {
        let mut loads = Vec::new();
        for &bytes in &self.bytes {
            for &payload in &self.payload {
                for &compression in &self.compression {
                    if payload == Payload::Json || compression == Compression::None {
                        let events = self.events.unwrap_or(if bytes > 256 { 300_000 } else { 1_000_000 });
                        let (partitions, keys) = (PARTITIONS, KEYS);
                        let bytes = bytes as usize;
                        loads.push(Load { events, bytes, payload, compression, partitions, keys });
                    }
                }
            }
        }
        anyhow::ensure!(!loads.is_empty(), "text is not compressed: add json to --payload");
        Ok(loads)
    }
}

impl Load {
    /// Numbered text of that size, on as many keys and partitions as where a scenario does not vary them.
    pub(crate) fn text(events: u64, bytes: usize) -> Self {
        let (payload, compression) = (Payload::Text, Compression::None);
        Self { events, bytes, payload, compression, partitions: PARTITIONS, keys: KEYS }
    }

    pub(crate) fn variant(&self) -> String {
        format!("{} B of {}, {}", self.bytes, self.payload, self.compression)
    }

    /// As a setting of the producer.
    pub(crate) fn setting(&self) -> String {
        format!("compression.type={}", self.compression)
    }

    fn media_type(&self) -> &'static str {
        match self.payload {
            Payload::Text => "text/plain",
            Payload::Json => "application/json",
        }
    }

    /// The data of every event, in its order. Each begins with its number, and all are of the size.
    fn data(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let Self { events, bytes, payload, .. } = *self;
        let mut random = fastrand::Rng::with_seed(7);
        (0..events).map(move |number| match payload {
            Payload::Text => text(number, bytes, &mut random),
            Payload::Json => order(number, bytes, &mut random),
        })
    }

    /// Writes the data to a file, a line each.
    ///
    /// # Errors
    /// The folder is full or read-only.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join("lines");
        let mut writer = BufWriter::new(std::fs::File::create(&path)?);
        for line in self.data() {
            writer.write_all(&line)?;
            writer.write_all(b"\n")?;
        }
        writer.flush()?;
        Ok(path)
    }

    /// Fills a new topic.
    ///
    /// # Errors
    /// No broker, or an event that it does not acknowledge.
    pub(crate) fn fill(&self, bench: &Bench, name: &str) -> anyhow::Result<()> {
        self.fill_with(bench, name, |_| {})
    }

    /// [`fill`](Self::fill), where each event may be changed before it is published.
    ///
    /// # Errors
    /// Likewise.
    #[tokio::main]
    pub(crate) async fn fill_with(
        &self,
        bench: &Bench,
        name: &str,
        mut change: impl FnMut(&mut NewEvent),
    ) -> anyhow::Result<()> {
        let mut connection = bench.connection();
        connection.properties.extend(self.setting().parse());
        let topic = make(bench, name, self.partitions).await?;
        let publisher = Publisher::new(&connection)?;
        for (number, data) in (0..).zip(self.data()) {
            let event = NewEvent::new(SOURCE, TYPE).key((number % self.keys).to_string());
            let mut event = event.data(self.media_type(), data);
            change(&mut event);
            publisher.publish(&event, &topic, number).await?;
        }
        let acknowledged = publisher.finish(Duration::from_secs(60)).await.acknowledged;
        anyhow::ensure!(acknowledged == self.events, "only {acknowledged} events were acknowledged");
        Ok(())
    }
}

/// The number with which an event's data begin.
pub(crate) fn number(data: &[u8]) -> Option<u64> {
    let digits =
        data.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| u64::from(digit - b'0')).reduce(|number, digit| number * 10 + digit)
}

fn text(number: u64, bytes: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut line = format!("{number:010} ");
    while line.len() < bytes {
        line.push(random.alphanumeric());
    }
    line.into_bytes()
}

fn order(number: u64, bytes: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    use std::fmt::Write as _;
    const END: &str = "\"}";
    let customer = random.u16(..10_000);
    let mut line = format!(r#"{{"order":"{number:010}","customer":"c-{customer:04}","items":["#);
    while line.len() + 96 < bytes {
        let (sku, quantity, cents) = (random.u32(..1_000_000), random.u8(1..9), random.u16(100..9_999));
        let _ = write!(line, r#"{{"sku":"{sku:06}","quantity":{quantity},"price":{cents}.00}},"#);
    }
    if line.ends_with(',') {
        line.pop();
    }
    line += r#"],"note":""#;
    while line.len() + END.len() < bytes {
        line.push(random.lowercase());
    }
    (line + END).into_bytes()
}

/// Makes a topic.
///
/// # Errors
/// No broker, or one that refuses.
pub(crate) async fn make(bench: &Bench, name: &str, partitions: i32) -> anyhow::Result<Topic> {
    let topic: Topic = name.parse()?;
    if !bench.broker.create_topic(&topic, partitions)? {
        ensure_topics(&bench.connection(), vec![TopicSpec::new(topic.clone(), partitions)]).await?;
    }
    Ok(topic)
}

/// Makes the topic that service-b would wait for at its start, where it cannot make it itself.
///
/// # Errors
/// No broker, or one that refuses.
pub(crate) fn make_dead_letters(bench: &Bench, topic: &str, group: &str) -> anyhow::Result<()> {
    let topic: Topic = topic.parse()?;
    bench.broker.create_topic(&topic.dead_letters(group)?, PARTITIONS).map(drop)
}

/// [`make`], for who has no runtime.
#[tokio::main]
pub(crate) async fn make_now(bench: &Bench, name: &str, partitions: i32) -> anyhow::Result<Topic> {
    make(bench, name, partitions).await
}

/// How many records a topic holds that nothing was ever deleted of.
///
/// # Errors
/// No broker.
pub(crate) fn records(bench: &Bench, topic: &str, partitions: i32) -> anyhow::Result<u64> {
    let client: BaseProducer = bench.connection().producer()?.create()?;
    let mut records = 0;
    for partition in 0..partitions {
        let (low, high) = client.client().fetch_watermarks(topic, partition, Duration::from_secs(10))?;
        records += high.abs_diff(low);
    }
    Ok(records)
}

/// Deletes topics, so that the disk and the broker's memory hold those of one round only.
///
/// # Errors
/// No broker. The embedded one keeps them.
pub(crate) async fn remove(bench: &Bench, names: &[&str]) -> anyhow::Result<()> {
    if !bench.broker.is_whole() {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = bench.connection().asking()?.create()?;
    admin.delete_topics(names, &AdminOptions::new()).await?;
    Ok(())
}

/// [`remove`], for who has no runtime.
///
/// # Errors
/// Likewise.
#[tokio::main]
pub(crate) async fn delete(bench: &Bench, names: &[&str]) -> anyhow::Result<()> {
    remove(bench, names).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_size_and_begins_with_its_number() {
        for payload in [Payload::Text, Payload::Json] {
            for bytes in [100, 1024] {
                let compression = Compression::None;
                let load = Load { events: 20, bytes, payload, compression, partitions: 1, keys: 1 };
                for (expected, line) in load.data().enumerate() {
                    assert_eq!(line.len(), bytes, "{}", String::from_utf8_lossy(&line));
                    assert_eq!(number(&line), Some(expected as u64));
                    assert!(
                        payload == Payload::Text
                            || serde_json::from_slice::<serde_json::Value>(&line).is_ok()
                    );
                }
            }
        }
    }
}
