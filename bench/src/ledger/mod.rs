//! Draining a backlog effectively-once: service-b with its ledger, beside bare loops that insert the same rows into a
//! store of the same content.

mod backlog;
pub(crate) mod bare;
mod ids;
mod postgres;
mod server;
mod sqlite;
mod stores;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use self::backlog::{Backlog, Round};
use self::bare::STORE;
use self::ids::Ids;
pub(crate) use self::server::Server;
use self::stores::{Stores, bytes_a_row};
use crate::contest::{Contest, Subject};
use crate::load::{Load, name};
use crate::measure::{self, Run, count};
use crate::service;
use crate::settings::Bench;

/// Bytes of an event's data.
const BYTES: usize = 100;
/// The first one is ours.
const SUBJECTS: [&str; 3] = ["service-b, ledger", "bare insert loop", "BaseConsumer, insert loop"];

/// More of anything no disk holds.
const MOST: u64 = 1_000_000_000;

/// Which ledgers a scenario goes through: every combination.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Ledgers {
    /// How many rows the ledger has before the first round; several by commas
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000_000], value_parser = clap::value_parser!(u64).range(..=MOST))]
    rows: Vec<u64>,
    /// What the events' ids are
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Ids::V7, Ids::Random])]
    ids: Vec<Ids>,
    /// How many events of 100 bytes are drained in a round
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    events: u64,
    /// Also in databases of the run's own on this PostgreSQL server
    #[arg(long, value_name = "URL")]
    postgres: Option<Server>,
    /// How much disk the stores of a variant may take at a time, in GB
    #[arg(long, value_name = "GB", default_value_t = 6, value_parser = clap::value_parser!(u64).range(..=MOST))]
    disk: u64,
}

/// One of them.
#[derive(Debug, Clone)]
struct Ledger {
    rows: u64,
    ids: Ids,
    /// Without it, SQLite.
    server: Option<Server>,
}

/// Makes equal stores for each variant. In each round the subjects insert the rows of a new backlog, each into its own.
///
/// # Errors
/// No broker, no store, no room, or a store that has not grown by exactly the events.
pub(crate) fn run(bench: &Bench, ledgers: &Ledgers) -> anyhow::Result<()> {
    // A member takes up in each round what it has left in the one before.
    bench.broker.lets_members_come_and_go()?;
    let all = ledgers.all();
    // Before anything is filled, which takes its time.
    all.iter().try_for_each(|ledger| ledgers.fits(ledger, bench.rounds))?;
    let service_b = measure::program("service-b")?;
    for (number, ledger) in all.iter().enumerate() {
        let name = format!("{}-{number}", bench.name);
        eprintln!("ledger, {}: making the stores", ledger.variant());
        let stores = Stores::make(bench, &service_b, &name, ledger)?;
        let backlog = Backlog::new(bench, &name, ledger.ids, ledgers.load());
        let contest = Draining { bench, service_b: &service_b, stores: &stores, backlog: &backlog };
        let subjects = SUBJECTS.iter().enumerate().map(|(place, name)| {
            let contest = &contest;
            Subject { name: (*name).to_owned(), run: Box::new(move |round| contest.run(place, round)) }
        });
        let (variant, events, subjects) = (ledger.variant(), ledgers.events, subjects.collect());
        Contest { scenario: "ledger", variant, events, warm_up: true, subjects }.run(bench)?;
        backlog.delete()?;
        stores.remove(ledger)?;
    }
    Ok(())
}

impl Ledgers {
    /// Where databases are made, if they are.
    pub(crate) fn server(&self) -> Option<Server> {
        self.postgres.clone()
    }

    fn all(&self) -> Vec<Ledger> {
        let mut all = Vec::new();
        for server in std::iter::once(None).chain(self.postgres.iter().map(Some)) {
            for &ids in &self.ids {
                all.extend(self.rows.iter().map(|&rows| Ledger { rows, ids, server: server.cloned() }));
            }
        }
        all
    }

    fn load(&self) -> Load {
        Load::text(self.events, BYTES)
    }

    fn fits(&self, ledger: &Ledger, rounds: u32) -> anyhow::Result<()> {
        let rows = ledger.rows + self.events * (u64::from(rounds) + 1);
        let bytes = rows * SUBJECTS.len() as u64 * bytes_a_row(ledger.server.is_some());
        anyhow::ensure!(
            bytes <= self.disk * 1_000_000_000,
            "the stores of \"{}\" will take {:.1} GB of disk: allow it with --disk, or have fewer --rows or --rounds",
            ledger.variant(),
            bytes as f64 / 1e9
        );
        Ok(())
    }
}

impl Ledger {
    fn variant(&self) -> String {
        let store = if self.server.is_some() { "PostgreSQL" } else { "SQLite" };
        let rows = match self.rows {
            rows if rows > 0 && rows.is_multiple_of(1_000_000) => format!("{} M", rows / 1_000_000),
            rows => rows.to_string(),
        };
        format!("{store}, {} ids, {rows} rows at first", name(&self.ids))
    }
}

/// What the subjects of one variant share.
struct Draining<'a> {
    bench: &'a Bench,
    service_b: &'a Path,
    stores: &'a Stores<'a>,
    backlog: &'a Backlog<'a>,
}

impl Draining<'_> {
    fn run(&self, place: usize, round: u32) -> anyhow::Result<Run> {
        let backlog = self.backlog.round(round)?;
        // What the broker, or the subject before, has written: who waits for an fsync would wait for that, too.
        nix::unistd::sync();
        let store = self.stores.secret(place);
        let run = match place {
            0 => measure::run(self.ours(&backlog).env("SERVICE_B_STORE", store), service::handled),
            1 => measure::run(self.bare("insert", &backlog)?.env(STORE, store), count),
            _ => measure::run(self.bare("consume-and-insert", &backlog)?.env(STORE, store), count),
        }?;
        self.stores.have_grown(place, self.backlog.events() * (u64::from(round) + 1))?;
        Ok(run)
    }

    fn ours(&self, Round { topic, .. }: &Round) -> Command {
        let mut command = Command::new(self.service_b);
        command.args(self.bench.flags()).args(["--topic", topic, "--group", &self.stores.group]);
        command.args(["--handle", "*=discard", "--delivery", "effectively-once", "--until-caught-up"]);
        command.args(["--output", "json"]);
        command
    }

    fn bare(&self, client: &str, Round { topic, ids, .. }: &Round) -> anyhow::Result<Command> {
        let program: PathBuf = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.args(["subject", client]).args(self.bench.flags()).args(["--topic", topic, "--group", topic]);
        command.args(["--events", &self.backlog.events().to_string(), "--from"]).arg(ids);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledgers(rows: Vec<u64>) -> Ledgers {
        Ledgers { rows, ids: vec![Ids::V7, Ids::Random], events: 1_000_000, postgres: None, disk: 6 }
    }

    #[test]
    fn every_combination_has_a_name_of_its_own() {
        let names: Vec<String> = ledgers(vec![0, 10_000_000]).all().iter().map(Ledger::variant).collect();
        let expected = ["v7 ids, 0", "v7 ids, 10 M", "random ids, 0", "random ids, 10 M"]
            .map(|rest| format!("SQLite, {rest} rows at first"));
        assert_eq!(names, expected);
    }

    #[test]
    fn what_would_fill_the_disk_does_not_start() {
        let ledgers = ledgers(vec![10_000_000, 100_000_000]);
        let fits: Vec<bool> = ledgers.all().iter().map(|ledger| ledgers.fits(ledger, 5).is_ok()).collect();
        assert_eq!(fits, [true, false, true, false]);
    }
}
