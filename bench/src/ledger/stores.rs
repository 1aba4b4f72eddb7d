//! A store for each subject, all of the same content, made by service-b and filled beside it.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use shared::store::StoreUrl;

use super::server::prefix;
use super::table::Table;
use super::{Ledger, SUBJECTS};
use crate::load::{self, Load};
use crate::settings::Bench;
use crate::{measure, service};

/// What a row takes with its part of the indexes, as measured, and a little more.
pub(super) fn bytes_a_row(is_postgres: bool) -> u64 {
    if is_postgres { 400 } else { 120 }
}

/// The name of a file or a database.
fn place(name: &str, number: usize) -> String {
    format!("{}{number}", prefix(name))
}

/// One variant's.
pub(super) struct Stores<'a> {
    bench: &'a Bench,
    /// By the subject's place.
    urls: Vec<StoreUrl>,
    /// Whose rows they hold: an event of another group would be no neighbour of theirs.
    pub(super) group: String,
    /// Rows in each when it was made.
    rows: u64,
}

impl<'a> Stores<'a> {
    /// # Errors
    /// No broker, no store, or no room.
    pub(super) fn make(
        bench: &'a Bench,
        service_b: &Path,
        name: &str,
        ledger: &Ledger,
    ) -> anyhow::Result<Self> {
        let mut stores = Self { bench, urls: Vec::new(), group: name.to_owned(), rows: ledger.rows.max(1) };
        let place = |number| place(name, number);
        stores.urls.push(match &ledger.server {
            None => StoreUrl::Sqlite(bench.folder.join(place(0))),
            Some(server) => StoreUrl::Postgres(server.make(&place(0), None)?),
        });
        stores.first_row(service_b)?;
        // The first row is one of them.
        let mut table = Table::open(&stores.urls[0])?;
        table.fill(ledger.ids, stores.rows - 1)?;
        // Nobody may be connected to what is copied.
        drop(table);
        for number in 1..SUBJECTS.len() {
            let copy = match (&stores.urls[0], &ledger.server) {
                (StoreUrl::Sqlite(path), _) => {
                    let copy = path.with_file_name(place(number));
                    std::fs::copy(path, &copy)?;
                    std::fs::File::open(&copy)?.sync_all()?;
                    StoreUrl::Sqlite(copy)
                }
                (StoreUrl::Postgres(_), Some(server)) => {
                    StoreUrl::Postgres(server.make(&place(number), Some(&place(0)))?)
                }
                (StoreUrl::Postgres(_), None) => anyhow::bail!("no server"),
            };
            stores.urls.push(copy);
        }
        Ok(stores)
    }

    /// Has the real service-b make the tables, its group and the names that all rows share, by handling one event.
    fn first_row(&self, service_b: &Path) -> anyhow::Result<()> {
        let topic = format!("{}-first", self.group);
        let load = Load::text(1, 1);
        load.fill(self.bench, &topic)?;
        let mut command = Command::new(service_b);
        command.args(self.bench.flags()).args(["--topic", &topic, "--group", &self.group]);
        command.args(["--handle", "*=discard", "--until-caught-up", "--output", "json"]);
        let run = measure::run(command.env("SERVICE_B_STORE", self.secret(0)), service::handled)?;
        anyhow::ensure!(run.events == 1, "service-b has handled {} events instead of 1", run.events);
        load::delete(self.bench, &[&topic])
    }

    /// The URL with its password: for the environment of a subject, and nowhere else.
    pub(super) fn secret(&self, place: usize) -> String {
        match &self.urls[place] {
            StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            StoreUrl::Postgres(url) => url.clone(),
        }
    }

    /// # Errors
    /// It has not grown by exactly so many rows since it was made.
    pub(super) fn have_grown(&self, place: usize, by: u64) -> anyhow::Result<()> {
        let rows = Table::open(&self.urls[place])?.count().context("count the rows")?;
        let expected = self.rows + by;
        let name = SUBJECTS[place];
        anyhow::ensure!(rows == expected, "{name}: the ledger has {rows} rows instead of {expected}");
        Ok(())
    }

    /// Makes room for the next variant's.
    ///
    /// # Errors
    /// Something stays.
    pub(super) fn remove(self, ledger: &Ledger) -> anyhow::Result<()> {
        for (number, url) in self.urls.iter().enumerate() {
            match (url, &ledger.server) {
                (StoreUrl::Sqlite(path), _) => std::fs::remove_file(path)?,
                (StoreUrl::Postgres(_), Some(server)) => server.drop(&place(&self.group, number))?,
                (StoreUrl::Postgres(_), None) => {}
            }
        }
        Ok(())
    }
}
