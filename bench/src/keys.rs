//! Handlers that wait, at few and many keys: how close the lanes come to what is possible at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use service_b::config::{Cli, Config};
use shared::config::parse_alone;
use shared::consumer::{Counts, Effects, HandleError, Handler, Handlers};
use shared::event::{Event, NewEvent};
use shared::producer::Publisher;
use shared::store::TemporaryStore;

use crate::load::{make, remove};
use crate::report::{Line, Spread};
use crate::settings::Bench;

const EVENTS: u64 = 10_000;
const UNDER_WAY: u32 = 100;
const LONGEST: u64 = 5_000;

/// For each number of keys, the time over its bound: the larger of the handlers' time shared by all that may be under
/// way, and the slowest key's own.
///
/// # Errors
/// No broker, or events out of order.
#[tokio::main]
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<()> {
    for keys in [1, 10, 100, 10_000] {
        let mut journals = Vec::new();
        for round in 0..bench.rounds {
            let topic = format!("{}-{keys}-{round}", bench.name);
            fill(bench, &topic, 1, EVENTS, |number| number % keys).await?;
            journals.push(handle(bench, &topic).await?);
            remove(bench, &[&topic]).await?;
        }
        let of = |figure: fn(&Journal) -> f64| Spread::of(journals.iter().map(figure));
        bench.report.add(&[Line {
            scenario: "keys",
            variant: format!("{keys} keys"),
            subject: "service-b, lanes".to_owned(),
            events: EVENTS,
            rounds: journals.len(),
            left_out: 0,
            rate: Some(of(|journal| EVENTS as f64 / journal.took().as_secs_f64())),
            cpu_us: None,
            rss_mib: None,
            figures: vec![
                ("took_s", of(|journal| journal.took().as_secs_f64())),
                ("bound_s", of(|journal| journal.bound().as_secs_f64())),
            ],
            ratios: vec![("bound".to_owned(), of(Journal::over_bound))],
        }])?;
    }
    Ok(())
}

/// Fills a new topic with numbered events.
///
/// # Errors
/// No broker, or an event that it does not acknowledge.
pub(crate) async fn fill(
    bench: &Bench,
    name: &str,
    partitions: i32,
    events: u64,
    key: impl Fn(u64) -> u64,
) -> anyhow::Result<()> {
    let topic = make(bench, name, partitions).await?;
    let publisher = Publisher::new(&bench.connection())?;
    for number in 0..events {
        let event = NewEvent::new("/bench", "com.example.bench.v1").key(key(number).to_string());
        publisher.publish(&event.data("text/plain", number.to_string()), &topic, number).await?;
    }
    let acknowledged = publisher.finish(Duration::from_secs(30)).await.acknowledged;
    anyhow::ensure!(acknowledged == events, "only {acknowledged} events were acknowledged");
    Ok(())
}

async fn handle(bench: &Bench, topic: &str) -> anyhow::Result<Journal> {
    let concurrency = UNDER_WAY.to_string();
    let store = TemporaryStore::new()?;
    // The lanes alone: with a row an event, a key's next one would wait for the last one's commit as well.
    let flags = ["--delivery", "at-least-once", "--concurrency", &concurrency, "--until-caught-up"];
    let config = member(bench, topic, topic, &flags, &store)?;
    let journal = Arc::new(Mutex::new(Journal::default()));
    let handlers = Handlers::new().on("*", Sleeper(Arc::clone(&journal)))?;
    service_b::run(config, handlers, Arc::new(Counts::default()), std::future::pending()).await?;
    let journal = std::mem::take(&mut *journal.lock().unwrap_or_else(PoisonError::into_inner));
    anyhow::ensure!(journal.out_of_order == 0, "{} events out of order", journal.out_of_order);
    anyhow::ensure!(journal.handled == EVENTS, "{} events handled", journal.handled);
    Ok(journal)
}

/// The settings of a service-b in this process; the topics that it needs beside its own are there where it cannot make them.
///
/// # Errors
/// A flag that it does not know.
pub(crate) fn member(
    bench: &Bench,
    topic: &str,
    group: &str,
    flags: &[&str],
    store: &TemporaryStore,
) -> anyhow::Result<Config> {
    let common = bench.flags();
    let mut all = vec!["service-b", "--topic", topic, "--group", group];
    all.extend(common.iter().map(String::as_str).chain(flags.iter().copied()));
    let mut config = parse_alone::<Cli>(&all)?.into_config();
    config.store = Some(store.url());
    for spec in config.topic_specs()?.iter().filter(|spec| spec.topic.as_str() != topic) {
        bench.broker.create_topic(&spec.topic, spec.partitions)?;
    }
    Ok(config)
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

    fn over_bound(&self) -> f64 {
        self.took().as_secs_f64() / self.bound().as_secs_f64()
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
