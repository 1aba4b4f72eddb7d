//! A few keys whose events all fail once: what the others notice of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::consumer::{Counts, Effects, HandleError, Handler, Handlers};
use shared::event::{Event, NewEvent};
use shared::producer::Publisher;
use shared::store::TemporaryStore;
use shared::topic::Topic;
use tokio::sync::Notify;

use crate::keys::{fill, member};
use crate::load::{make, remove};
use crate::report::{Line, Spread};
use crate::settings::Bench;

const KEYS: u64 = 10_000;
const PARTITIONS: i32 = 6;
/// Of a hundred keys, how many fail.
const SHARES: [u64; 3] = [0, 1, 10];
/// Events a second while latency is measured, and for how long.
const RATE: u64 = 2_000;
const SECONDS: u64 = 15;
/// How long no event may be handled.
const PATIENCE: Duration = Duration::from_secs(60);

/// The rate of a backlog and the latency of a steady stream, from when an event was to be published until its handler had
/// succeeded, of the keys that do not fail, beside those of an undisturbed run of the same round.
///
/// # Errors
/// No broker, or others that were not all handled.
#[tokio::main]
pub(crate) async fn run(bench: &Bench, events: u64) -> anyhow::Result<()> {
    fill(bench, &bench.name, PARTITIONS, events, |number| number % KEYS).await?;
    let mut rounds = Vec::new();
    for round in 0..=bench.rounds {
        eprintln!("retry-storm: round {round} of {}", bench.rounds);
        let mut found = Vec::new();
        for share in SHARES {
            let rate = backlog(bench, share, events, round).await?;
            let (median, p99) = stream(bench, &format!("{}-{round}-{share}", bench.name), share).await?;
            found.push(Found { rate, median, p99 });
        }
        // The first one warms up.
        if round > 0 {
            rounds.push(found);
        }
    }
    remove(bench, &[&bench.name]).await?;
    bench.report.add(&lines(events, &rounds))
}

/// What the others noticed: their rate, and their latency in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Found {
    rate: f64,
    median: f64,
    p99: f64,
}

fn lines(events: u64, rounds: &[Vec<Found>]) -> Vec<Line> {
    let line = |place: usize, share: &u64| {
        let of = |figure: fn(Found) -> f64| Spread::of(rounds.iter().map(|round| figure(round[place])));
        let over = |figure: fn(Found) -> f64| {
            Spread::of(rounds.iter().map(|round| figure(round[place]) / figure(round[0])))
        };
        let ratios = vec![
            ("rate undisturbed".to_owned(), over(|found| found.rate)),
            ("p99 undisturbed".to_owned(), over(|found| found.p99)),
        ];
        Line {
            scenario: "retry-storm",
            variant: format!("{RATE} a second for {SECONDS} s, {KEYS} keys, effectively-once"),
            subject: format!("others, {share} % of the keys fail"),
            events,
            rounds: rounds.len(),
            left_out: 0,
            rate: Some(of(|found| found.rate)),
            cpu_us: None,
            rss_mib: None,
            figures: vec![("p50_ms", of(|found| found.median)), ("p99_ms", of(|found| found.p99))],
            ratios: if place > 0 { ratios } else { Vec::new() },
        }
    };
    SHARES.iter().enumerate().map(|(place, share)| line(place, share)).collect()
}

/// The rate at which the others of a backlog are handled.
async fn backlog(bench: &Bench, share: u64, events: u64, round: u32) -> anyhow::Result<f64> {
    let storm = Storm::new(share, events);
    let group = format!("{}-backlog-{share}-{round}", bench.name);
    let others = handle(bench, &bench.name, &group, &storm).await?;
    Ok(others.latencies.len() as f64 / (others.last - others.first).as_secs_f64())
}

/// Median and 99th percentile of the others' latency, in milliseconds.
async fn stream(bench: &Bench, name: &str, share: u64) -> anyhow::Result<(f64, f64)> {
    let topic = make(bench, name, PARTITIONS).await?;
    let storm = Storm::new(share, RATE * SECONDS);
    // Who waits for events that are not published would wait for ever.
    let both = tokio::try_join!(publish(bench, &topic, storm.start), handle(bench, name, name, &storm));
    remove(bench, &[name]).await?;
    let mut latencies = both?.1.latencies;
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).map_or(f64::NAN, |micros| *micros as f64 / 1e3)
    };
    Ok((at(0.5), at(0.99)))
}

/// Publishes at a steady rate. Each event says when it was to go out, so that a publisher that is held up hides nothing.
async fn publish(bench: &Bench, topic: &Topic, start: Instant) -> anyhow::Result<()> {
    let publisher = Publisher::new(&bench.connection())?;
    // The member joins meanwhile.
    let first = start.elapsed() + Duration::from_secs(3);
    for number in 0..RATE * SECONDS {
        let due = first + Duration::from_micros(number * 1_000_000 / RATE);
        tokio::time::sleep_until((start + due).into()).await;
        let event = NewEvent::new("/bench", "com.example.bench.v1").key((number % KEYS).to_string());
        let data = format!("{number} {}", due.as_micros());
        publisher.publish(&event.data("text/plain", data), topic, number).await?;
    }
    let acknowledged = publisher.finish(Duration::from_secs(30)).await.acknowledged;
    anyhow::ensure!(acknowledged == RATE * SECONDS, "only {acknowledged} events were acknowledged");
    Ok(())
}

/// Runs a member until the others are handled; what waits for its next attempt is left behind.
async fn handle(bench: &Bench, topic: &str, group: &str, handler: &Storm) -> anyhow::Result<Others> {
    let store = TemporaryStore::new()?;
    let config = member(bench, topic, group, &[], &store)?;
    let handlers = Handlers::new().on("*", handler.clone())?;
    let watched = handler.clone();
    let ended = async move { watched.are_done_or_stuck().await };
    service_b::run(config, handlers, Arc::new(Counts::default()), ended).await?;
    let others = std::mem::replace(&mut *handler.lock(), Others::new());
    anyhow::ensure!(others.latencies.len() as u64 == handler.expected, "not all of the others were handled");
    Ok(others)
}

/// The handler: an event of a failing key fails once.
#[derive(Debug, Clone)]
struct Storm {
    share: u64,
    start: Instant,
    /// How many events of other keys there are.
    expected: u64,
    others: Arc<Mutex<Others>>,
    done: Arc<Notify>,
}

#[derive(Debug)]
struct Others {
    first: Instant,
    last: Instant,
    /// In microseconds, from when they were to be published.
    latencies: Vec<u64>,
    /// Events that have failed.
    failed: HashSet<u64>,
}

impl Others {
    fn new() -> Self {
        let now = Instant::now();
        Self { first: now, last: now, latencies: Vec::new(), failed: HashSet::new() }
    }
}

impl Storm {
    fn new(share: u64, events: u64) -> Self {
        let expected = (0..events).filter(|number| !is_failing(*number, share)).count() as u64;
        let others = Arc::new(Mutex::new(Others::new()));
        Self { share, start: Instant::now(), expected, others, done: Arc::default() }
    }

    /// Until all of the others are handled, or none has been for so long that no more will be.
    async fn are_done_or_stuck(&self) {
        let mut before = None;
        while tokio::time::timeout(PATIENCE, self.done.notified()).await.is_err() {
            let now = Some(self.lock().latencies.len());
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_failing(number: u64, share: u64) -> bool {
    number % KEYS % 100 < share
}

impl Handler for Storm {
    type Data = String;

    async fn handle(&self, _: &Event, data: String) -> Result<Effects, HandleError> {
        let now = Instant::now();
        let (number, due) = data.split_once(' ').unwrap_or((&data, "0"));
        let number = number.parse().map_err(HandleError::permanent)?;
        let due: u64 = due.parse().map_err(HandleError::permanent)?;
        let mut others = self.lock();
        if is_failing(number, self.share) {
            return if others.failed.insert(number) {
                Err(HandleError::transient("fails once"))
            } else {
                Ok(Effects::none())
            };
        }
        if others.latencies.is_empty() {
            others.first = now;
        }
        others.last = now;
        others.latencies.push((now.duration_since(self.start).as_micros() as u64).saturating_sub(due));
        if others.latencies.len() as u64 == self.expected {
            self.done.notify_one();
        }
        Ok(Effects::none())
    }
}
