//! The pair under torture: real processes, killed, stopped and started again at random, and an oracle at the end.
//!
//! service-a publishes numbered lines over many keys by way of its outbox; members of service-b apply an effect for
//! each, fail one attempt in twenty for a passing cause and one event in a hundred for good. Whatever happens to them and
//! to the broker: no event is lost, no effect applied twice, no key out of order, and the dead letters are exactly those
//! events that fail for good. `schedule` says which fault comes next (pure, seeded), `fleet` has the processes, `facts`
//! collects what is true at the end, `oracle` compares (pure).

mod database;
mod facts;
mod fleet;
mod member;
mod oracle;
mod report;
mod schedule;
mod vitals;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use shared::config::CommonArgs;
use shared::store::{StoreUrl, TemporaryStore};

use self::database::Database;
use self::fleet::Fleet;
pub(crate) use self::member::{Member, run as run_member};
use self::report::Report;
use self::schedule::{Fault, Schedule};
use self::vitals::Vitals;

/// How the pair is tortured.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example:\n  cargo run --release -p bench -- torture --kills 20 --seconds 60 --broker jars"
)]
pub(crate) struct Settings {
    #[command(flatten)]
    common: CommonArgs,
    /// A broker of this run's own, instead of the one at the bootstrap servers; only such a one is killed, too
    #[arg(long)]
    broker: Option<OwnBroker>,
    /// How many faults
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Over how many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Repeats the faults of an earlier run [default: by chance]
    #[arg(long)]
    seed: Option<u64>,
    /// The members' store [default: a temporary file]
    #[arg(long)]
    store: Option<StoreUrl>,
    /// How many members there are at the beginning
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    members: u32,
    /// How many keys
    #[arg(long, default_value_t = 200)]
    keys: u64,
    /// How many events a second
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A broker that this run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OwnBroker {
    /// Apache Kafka, from its jars, by `.ci/kafka`.
    Jars,
    /// The embedded one; it cannot be killed.
    Embedded,
}

/// What the events look like, and what becomes of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) events: u64,
    pub(crate) keys: u64,
}

impl Plan {
    pub(crate) fn key(&self, number: u64) -> u64 {
        // Neighbours have different keys, and a key's numbers no pattern that faults could follow.
        number.wrapping_mul(2_654_435_761) % self.keys
    }

    /// One event in a hundred fails for good.
    pub(crate) fn is_bad(number: u64) -> bool {
        number % 100 == 37
    }

    fn lines(&self) -> String {
        let line = |number| {
            format!(
                "{{\"key\":\"k{}\",\"number\":{number},\"bad\":{}}}\n",
                self.key(number),
                Self::is_bad(number)
            )
        };
        (0..self.events).map(line).collect()
    }
}

/// How long the rest may take when the faults are over.
const PATIENCE: Duration = Duration::from_secs(300);

/// Tortures, lets everything come to its end, and compares.
///
/// # Errors
/// Something could not be started, or the promises did not hold: then the report has said which.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let temporary = TemporaryStore::new()?;
    let store = settings.store.clone().unwrap_or_else(|| temporary.url());
    let plan = Plan { events: settings.rate * settings.seconds, keys: settings.keys };
    let mut fleet = Fleet::start(settings, &plan, &store)?;
    let database = Database::new(&store, &fleet.group);
    let mut vitals = Vitals::new(&database);
    let mut report = Report::new(seed, plan);

    let mut schedule =
        Schedule::new(seed, settings.kills, Duration::from_secs(settings.seconds), fleet.may_kill_broker());
    let start = Instant::now();
    while let Some((at, fault)) = schedule.next(fleet.members()) {
        while start.elapsed() < at {
            vitals.look(&fleet);
            fleet.keep_alive()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("{:6.1} s  {fault:?}", start.elapsed().as_secs_f64());
        let happened = fleet.inflict(fault, &mut schedule).with_context(|| format!("{fault:?}"))?;
        if happened {
            report.inflicted(fault);
            vitals.disturbed(fault != Fault::Join);
        }
    }
    eprintln!("{:6.1} s  the faults are over, the rest is let run", start.elapsed().as_secs_f64());
    let end = Instant::now() + PATIENCE;
    while !(fleet.has_published()? && database.settled() >= plan.events) && Instant::now() < end {
        vitals.look(&fleet);
        fleet.keep_alive()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    vitals.look(&fleet);
    let letters = || facts::letters(&fleet.address(), &fleet.letters());
    // The relay comes last, and its lease may be a dead member's for a while.
    let bad = (0..plan.events).filter(|number| Plan::is_bad(*number)).count();
    while letters()?.len() < bad && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(500));
    }
    let facts = facts::collect(&database, &fleet.address(), &fleet.topic, &fleet.letters())?;
    let codes = fleet.stop()?;
    let violations = oracle::compare(&plan, &facts, &codes);
    if !violations.is_empty() {
        eprintln!("the logs are in {}", fleet.keep_logs().display());
    }
    report.print(&facts, &vitals, &violations, start.elapsed(), settings.json);
    anyhow::ensure!(
        violations.is_empty(),
        "{} promises did not hold; --seed {seed} repeats the faults",
        violations.len()
    );
    Ok(())
}
