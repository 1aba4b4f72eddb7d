//! Handlers that wait, at few and many keys: how close the lanes come to what is possible at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::client::{TopicSpec, ensure_topics};
use shared::config::parse_alone;
use shared::consumer::{Counts, Effects, HandleError, Handler, Handlers};
use shared::event::{Event, NewEvent};
use shared::producer::Publisher;
use shared::store::TemporaryStore;
use shared::topic::Topic;

use crate::Settings;

const EVENTS: u64 = 10_000;
const UNDER_WAY: u32 = 100;
const LONGEST: u64 = 5_000;

/// Prints, for each number of keys, the time over its bound: the larger of the handlers' time shared by all
/// that may be under way, and the slowest key's own.
///
/// # Errors
/// No broker, or events out of order.
#[tokio::main]
#[allow(clippy::print_stdout, reason = "the table is the result")]
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    println!("{:>8}{:>12}{:>12}{:>10}", "keys", "took s", "bound s", "ratio");
    for keys in [1, 10, 100, 10_000] {
        for round in 0..settings.rounds {
            let topic = format!("bench-keys-{}-{keys}-{round}", std::process::id());
            fill(settings, &topic, 1, EVENTS, |number| number % keys).await?;
            let journal = handle(settings, &topic).await?;
            let (took, bound) = (journal.took(), journal.bound());
            let ratio = took.as_secs_f64() / bound.as_secs_f64();
            println!("{keys:>8}{:>12.3}{:>12.3}{ratio:>10.3}", took.as_secs_f64(), bound.as_secs_f64());
        }
    }
    Ok(())
}

/// Makes a topic.
///
/// # Errors
/// No broker, or one that refuses.
pub(crate) async fn make(settings: &Settings, name: &str, partitions: i32) -> anyhow::Result<Topic> {
    let topic: Topic = name.parse()?;
    let spec = TopicSpec { topic: topic.clone(), partitions };
    ensure_topics(&settings.connection(), vec![spec]).await?;
    Ok(topic)
}

/// Fills a new topic with numbered events.
///
/// # Errors
/// No broker, or an event that it does not acknowledge.
pub(crate) async fn fill(
    settings: &Settings,
    name: &str,
    partitions: i32,
    events: u64,
    key: impl Fn(u64) -> u64,
) -> anyhow::Result<()> {
    let topic = make(settings, name, partitions).await?;
    let publisher = Publisher::new(&settings.connection())?;
    for number in 0..events {
        let event = NewEvent::new("/bench", "com.example.bench.v1").key(key(number).to_string());
        publisher.publish(&event.data("text/plain", number.to_string()), &topic, number).await?;
    }
    let acknowledged = publisher.finish(Duration::from_secs(30)).await.acknowledged;
    anyhow::ensure!(acknowledged == events, "only {acknowledged} events were acknowledged");
    Ok(())
}

async fn handle(settings: &Settings, topic: &str) -> anyhow::Result<Journal> {
    let servers = &settings.common.bootstrap_servers;
    let concurrency = UNDER_WAY.to_string();
    let flags = ["service-b", "--bootstrap-servers", servers, "--topic", topic, "--group", topic];
    // The lanes alone: with a row an event, a key's next one would wait for the last one's commit as well.
    let flags = flags.into_iter().chain(["--delivery", "at-least-once"]);
    let flags = flags.chain(["--concurrency", &concurrency, "--until-caught-up"]);
    let store = TemporaryStore::new()?;
    let flags: Vec<&str> = flags.collect();
    let mut config = parse_alone::<service_b::config::Cli>(&flags)?.into_config();
    config.store = Some(store.url());
    let journal = Arc::new(Mutex::new(Journal::default()));
    let handlers = Handlers::new().on("*", Sleeper(Arc::clone(&journal)))?;
    service_b::run(config, handlers, Arc::new(Counts::default()), std::future::pending()).await?;
    let journal = std::mem::take(&mut *journal.lock().unwrap_or_else(PoisonError::into_inner));
    anyhow::ensure!(journal.out_of_order == 0, "{} events out of order", journal.out_of_order);
    anyhow::ensure!(journal.handled == EVENTS, "{} events handled", journal.handled);
    Ok(journal)
}

/// Sleeps up to 5 ms, and notes what that really took.
struct Sleeper(Arc<Mutex<Journal>>);

#[derive(Debug, Default)]
struct Journal {
    span: Option<(Instant, Instant)>,
    by_key: HashMap<Vec<u8>, Duration>,
    last: HashMap<Vec<u8>, u64>,
    handled: u64,
    out_of_order: u64,
}

impl Journal {
    fn took(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last - first)
    }

    fn bound(&self) -> Duration {
        let sum: Duration = self.by_key.values().sum();
        self.by_key.values().max().copied().unwrap_or_default().max(sum / UNDER_WAY)
    }

    fn note(&mut self, key: &[u8], number: u64, start: Instant) {
        let now = Instant::now();
        self.span = Some((self.span.map_or(start, |(first, _)| first.min(start)), now));
        *self.by_key.entry(key.to_vec()).or_default() += now - start;
        let before = self.last.insert(key.to_vec(), number);
        self.out_of_order += u64::from(before.is_some_and(|before| before >= number));
        self.handled += 1;
    }
}

impl Handler for Sleeper {
    type Data = String;

    async fn handle(&self, event: &Event, number: String) -> Result<Effects, HandleError> {
        let start = Instant::now();
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..LONGEST))).await;
        let number = number.parse().map_err(HandleError::permanent)?;
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        journal.note(event.key().unwrap_or_default(), number, start);
        Ok(Effects::none())
    }
}
