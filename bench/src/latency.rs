//! Latency of a steady stream: from when an event was to be published until it is handled, beside a bare producer and a
//! bare consumer with the same settings.
//!
//! Handled is the same for all: the moment at which the handler, or the bare loop, has the event. A pure handler is given it
//! at once; the commit of its row, where every event has one, comes behind that. A reaching one is given it when the ledger
//! has been asked for it and, where every event has a row, the event before it of its key is committed.
//!
//! An event carries when it was to be published, so that a publisher that is held up hides nothing. Publisher and consumer
//! are one process, each with threads of its own.

mod bare;
mod journal;
mod pair;
mod stream;

use std::thread;
use std::time::Duration;

use shared::topic::Topic;

use self::stream::Stream;
use crate::contest::{Contest, Rounds, Subject};
use crate::load::{self, KEYS, PARTITIONS};
use crate::measure::Run;
use crate::report::{Line, Spread};
use crate::settings::Bench;

/// How long what was published may take to be handled.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the broker gets to do before anything is measured.
const FIRST: Stream = Stream { rate: 10_000, seconds: 10 };

/// Which streams.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rates {
    /// Events a second; several by commas
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000], value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rates: Vec<u64>,
    /// For how long latency is measured, after five seconds that do not count
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// Publishes each stream to a new topic for each subject in turn.
///
/// # Errors
/// No broker, or a subject that does not handle every event once.
pub(crate) fn run(bench: &Bench, rates: &Rates) -> anyhow::Result<()> {
    // A broker compiles its code as it works: whoever came first would be the slowest.
    let first = subject(bench, FIRST, BARE, |topic| bare::run(bench, topic, FIRST));
    (first.run)(0)?;
    for &rate in &rates.rates {
        let stream = Stream { rate, seconds: rates.seconds };
        let subjects = vec![
            subject(bench, stream, "at-least-once, pure", move |topic| {
                pair::run::<true>(bench, topic, stream, "at-least-once")
            }),
            subject(bench, stream, "at-least-once, reaching", move |topic| {
                pair::run::<false>(bench, topic, stream, "at-least-once")
            }),
            subject(bench, stream, "effectively-once, pure", move |topic| {
                pair::run::<true>(bench, topic, stream, "effectively-once")
            }),
            subject(bench, stream, "effectively-once, reaching", move |topic| {
                pair::run::<false>(bench, topic, stream, "effectively-once")
            }),
            subject(bench, stream, BARE, move |topic| bare::run(bench, topic, stream)),
        ];
        let variant = format!("{rate} a second for {} s", stream.seconds);
        let contest = Contest {
            scenario: "latency",
            variant,
            events: stream.measured(),
            // Each run warms up by itself, and the broker has.
            warm_up: false,
            subjects,
        };
        let rounds = contest.rounds(bench)?;
        bench.report.add(&lines(&contest, &rounds))?;
    }
    Ok(())
}

const BARE: &str = "bare pair";

fn subject<'a>(
    bench: &'a Bench,
    stream: Stream,
    name: &str,
    run: impl Fn(&Topic) -> anyhow::Result<Run> + 'a,
) -> Subject<'a> {
    let place = name.replace(", ", "-").replace(' ', "-");
    let run = move |round| {
        let name = format!("{}-{}-{place}-{round}", bench.name, stream.rate);
        let topic = load::make_now(bench, &name, PARTITIONS)?;
        let run = run(&topic);
        load::delete(bench, &[&name])?;
        run
    };
    Subject { name: name.to_owned(), run: Box::new(run) }
}

/// The last subject is the reference of all others.
fn lines(contest: &Contest<'_>, rounds: &Rounds) -> Vec<Line> {
    let bare = contest.subjects.len().saturating_sub(1);
    let line = |place: usize| {
        let mut line = contest.line(rounds, place);
        if place == bare {
            return line;
        }
        let above = |run: &Run, bare: &Run| run.figure("p50_ms") - bare.figure("p50_ms");
        line.figures.push(("p50_above_ms", rounds.compared(place, bare, above)));
        line.ratios = ["p50", "p99"]
            .map(|figure| {
                (format!("{figure} of the {BARE}"), over(rounds, (place, bare), &format!("{figure}_ms")))
            })
            .into();
        line
    };
    (0..=bare).map(line).collect()
}

fn over(rounds: &Rounds, (place, bare): (usize, usize), figure: &str) -> Spread {
    rounds.compared(place, bare, |run, bare| run.figure(figure) / bare.figure(figure))
}

fn key(number: u64) -> String {
    (number % KEYS).to_string()
}

/// A thread with a runtime of its own: what consumes does not take its turn.
struct Alone(thread::JoinHandle<anyhow::Result<()>>);

fn alone<F: Future<Output = anyhow::Result<()>>>(work: impl FnOnce() -> F + Send + 'static) -> Alone {
    Alone(thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(work())
    }))
}

impl Alone {
    /// # Errors
    /// What the work says.
    fn join(self) -> anyhow::Result<()> {
        self.0.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the publisher panicked")))
    }
}
