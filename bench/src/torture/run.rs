//! One run: faults for so long, quiet until everything is handled, then the oracle.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use shared::client::Connection;
use shared::consumer::Delivery;

use super::database::{Database, Progress};
use super::events::{self, Expected};
use super::facts::Facts;
use super::fleet::{Fleet, Recipe};
use super::report::Report;
use super::samples::Samples;
use super::schedule::{self, Planned, Target, Wish};
use super::settings::{Output, Settings};
use super::{oracle, topic};
use crate::broker::Broker;
use crate::ground::Ground;
use crate::measure;
use crate::supervisor::{self, Plan};

/// Everything of the run by name.
struct Run {
    settings: Settings,
    /// Its name is that of the topic and of the group, too.
    name: String,
    expected: Vec<Expected>,
    database: Database,
    samples: Samples,
}

/// Injects faults and judges what is left. The exit code says whether a promise was broken.
///
/// # Errors
/// The run could not be made: no broker, no store, a program that cannot be built.
pub(crate) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    settings.check()?;
    let (kind, own) = ("torture", settings.broker);
    let connection = Connection::new(settings.bootstrap_servers.as_deref().unwrap_or_default(), &[]);
    let plan = Plan { kind, own, connection, server: None, keeps_failed: true };
    supervisor::run(plan, |ground| judged(settings, &ground))
}

#[tokio::main]
async fn judged(settings: Settings, ground: &Ground) -> anyhow::Result<ExitCode> {
    let Ground { name, folder, .. } = ground;
    eprintln!("{name}, seed {}: logs in {}", settings.seed, folder.display());
    let file = |name: &str| format!("sqlite:{}", folder.join(name).display());
    let store = settings.store.clone().unwrap_or_else(|| file("service-b.db"));
    let outbox = settings.outbox.clone().unwrap_or_else(|| file("service-a.db"));
    let expected = events::draw(settings.seed, settings.events(), settings.keys);
    events::write(&folder.join("events.jsonl"), name, &expected)?;
    let broker =
        Broker::of(settings.broker, settings.bootstrap_servers.as_deref().unwrap_or_default(), ground)?;
    for topic in [name.clone(), letters(name)] {
        broker.create_topic(&topic.parse()?, settings.partitions)?;
    }
    let recipes = recipes(&settings, name, folder, broker.address(), &store, &outbox)?;
    let database = Database::new(&store)?;
    let mut run = Run { settings, name: name.clone(), expected, database, samples: Samples::default() };
    let mut fleet = Fleet::new(recipes, broker);
    let report = run.whole(&mut fleet).await;
    let stopped = fleet.stop().await;
    let report = report?;
    report.print(run.settings.output == Output::Json);
    stopped?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The topic of the dead letters.
fn letters(name: &str) -> String {
    format!("dlq.{name}.{name}")
}

impl Run {
    async fn whole(&mut self, fleet: &mut Fleet) -> anyhow::Result<Report> {
        fleet.start_all()?;
        self.under_faults(fleet).await?;
        self.until_quiet(fleet).await?;
        fleet.stop().await?;
        let facts = self.facts(fleet.broker.address()).await?;
        let violations = oracle::judge(&facts);
        Ok(Report::new(&self.name, self.settings.seed, &facts, fleet, &self.samples, &violations))
    }

    async fn under_faults(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        let (staying, members) = self.settings.members;
        let wish = Wish {
            seed: self.settings.seed,
            kills: self.settings.kills,
            lasts: Duration::from_secs(self.settings.seconds),
            members,
            staying,
            publisher: true,
            broker: fleet.broker.may_be_killed(),
        };
        let mut plan = schedule::draw(&wish);
        let started = Instant::now();
        while started.elapsed() < wish.lasts {
            let (due, later) = plan.into_iter().partition(|planned| planned.at <= started.elapsed());
            plan = later;
            let due: Vec<Planned> = due;
            for planned in due {
                let Planned { fault, target, .. } = planned;
                if fleet.inject(&planned).await? {
                    eprintln!("{:>7.1} s  {fault:?} {target:?}", started.elapsed().as_secs_f64());
                } else {
                    // It took longer to come back than was thought: as soon as it is there.
                    plan.push(planned);
                }
            }
            self.tend(fleet, started).await?;
        }
        Ok(())
    }

    /// Until every event is handled or dead, nothing waits, and every dead letter is on its topic.
    async fn until_quiet(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        eprintln!("no more faults: waiting for the backlog");
        let (started, mut looked) = (Instant::now(), Instant::now());
        let (mut moved, mut before) = (Instant::now(), Progress::default());
        while moved.elapsed() < self.settings.settle_within {
            self.tend(fleet, started).await?;
            if looked.elapsed() < Duration::from_secs(2) || !fleet.is_whole() || !fleet.is_published {
                continue;
            }
            looked = Instant::now();
            let progress = self.database.progress(&self.name).await?;
            if progress != before {
                (moved, before) = (looked, progress);
            }
            let Progress { applied, dead, waiting, unpublished } = progress;
            eprintln!("applied {applied}, dead {dead}, waiting {waiting}, in the outbox {unpublished}");
            if applied + dead >= self.expected.len() as u64 && waiting + unpublished == 0 {
                return Ok(());
            }
        }
        eprintln!("nothing has moved for {:?}", self.settings.settle_within);
        Ok(())
    }

    async fn tend(&mut self, fleet: &mut Fleet, started: Instant) -> anyhow::Result<()> {
        let before = started.elapsed().as_secs();
        tokio::time::sleep(Duration::from_millis(50)).await;
        fleet.tend().await?;
        let after = started.elapsed().as_secs();
        if after > before {
            self.samples.take(fleet.members());
        }
        if after / 10 > before / 10
            && let Ok(progress) = self.database.progress(&self.name).await
        {
            eprintln!("{after:>5} s    {progress:?}");
        }
        Ok(())
    }

    async fn facts(&self, servers: &str) -> anyhow::Result<Facts> {
        eprintln!("reading what is left");
        Ok(Facts {
            records: topic::records(servers, &self.name, &self.expected)?,
            letters: topic::letters(servers, &letters(&self.name))?,
            effects: self.database.effects(&self.name).await?,
            rows: self.database.rows(&self.name).await?,
            every_event_has_a_row: self.settings.delivery == Delivery::EffectivelyOnce,
            expected: self.expected.clone(),
        })
    }
}

fn recipes(
    settings: &Settings,
    name: &str,
    folder: &Path,
    servers: &str,
    store: &str,
    outbox: &str,
) -> anyhow::Result<BTreeMap<Target, Recipe>> {
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    let partitions = settings.partitions.to_string();
    let common = texts(&["--bootstrap-servers", servers, "--topic", name, "--partitions", &partitions]);
    let lines = folder.join("events.jsonl").display().to_string();
    let rate = settings.rate.to_string();
    let publisher = texts(&["--from", &lines, "--key-field", "key", "--rate", &rate, "--output", "json"]);
    let publisher = Recipe {
        program: measure::program("service-a")?,
        arguments: [common.clone(), publisher].concat(),
        environment: ("SERVICE_A_OUTBOX", outbox.to_owned()),
        log: folder.join("service-a.log"),
    };
    let delivery =
        settings.delivery.to_possible_value().map_or(String::new(), |value| value.get_name().into());
    let mut member = texts(&["torture-member"]);
    member.extend(settings.pure.then(|| "--pure".to_owned()));
    let flags = texts(&[
        "--group",
        name,
        "--delivery",
        &delivery,
        "--kafka",
        "session.timeout.ms=6000",
        "--kafka",
        "heartbeat.interval.ms=1000",
        "--retry-first",
        "100ms",
        "--retry-max",
        "1s",
        "--retry-for",
        "24h",
    ]);
    let mut recipes = BTreeMap::from([(Target::Publisher, publisher)]);
    for place in 0..settings.members.1 {
        let arguments = [member.clone(), texts(&["--"]), common.clone(), flags.clone()].concat();
        let log = folder.join(format!("service-b-{place}.log"));
        let environment = ("SERVICE_B_STORE", store.to_owned());
        let program = std::env::current_exe()?;
        recipes.insert(Target::Member(place), Recipe { program, arguments, environment, log });
    }
    Ok(recipes)
}
