//! A PostgreSQL server, the databases that a run makes there, and its processes.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::postgres::connect;
use crate::proc;

/// How long a server may take to give up what it is doing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where databases can be made: a URL, password included, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server(String);

impl FromStr for Server {
    type Err = Infallible;

    /// What is wrong with it, PostgreSQL's client says without repeating it.
    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self(url.to_owned()))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Server {
    /// # Errors
    /// There is none, or it refuses.
    pub(crate) async fn reach(&self) -> anyhow::Result<()> {
        connect(&self.0).await.map(drop)
    }

    /// Makes a database, like `template` if one is given, and gives its URL.
    ///
    /// # Errors
    /// No server, or it does not allow that.
    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn make(&self, name: &str, template: Option<&str>) -> anyhow::Result<String> {
        let template = template.map(|name| format!(" template {name}")).unwrap_or_default();
        let client = connect(&self.0).await?;
        // Shows who is at it: the server goes on when the client has gone.
        client.batch_execute(&format!("set application_name = '{name}'")).await?;
        client.batch_execute(&format!("create database {name}{template}")).await?;
        Ok(self.database(name))
    }

    /// # Errors
    /// No server.
    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn drop(&self, name: &str) -> anyhow::Result<()> {
        let client = connect(&self.0).await?;
        Ok(client.batch_execute(&format!("drop database if exists {name} with (force)")).await?)
    }

    /// Removes the databases of a run that has ended, those included that are still being made.
    ///
    /// # Errors
    /// No server, or some stay.
    pub(crate) async fn clean(&self, run: &str) -> anyhow::Result<()> {
        let (client, first) = (connect(&self.0).await?, prefix(run));
        let start = Instant::now();
        let end =
            "select pg_terminate_backend(pid) from pg_stat_activity where starts_with(application_name, $1)";
        while !client.query(end, &[&first]).await?.is_empty() {
            anyhow::ensure!(start.elapsed() < PATIENCE, "PostgreSQL goes on making a database of {run}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let made = "select datname::text from pg_database where starts_with(datname::text, $1)";
        for row in client.query(made, &[&first]).await? {
            let name: String = row.try_get(0)?;
            client.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
        }
        Ok(())
    }

    /// The server's first process, which has started all others, if it is one of this machine.
    ///
    /// # Errors
    /// No server.
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn process(&self) -> anyhow::Result<Option<u32>> {
        let client = connect(&self.0).await?;
        let row = client.query_one("select pg_backend_pid(), inet_client_port()", &[]).await?;
        let (backend, port): (i32, Option<i32>) = (row.try_get(0)?, row.try_get(1)?);
        // A process of that number may be another machine's, or a container's. Its title names the client's port, and is
        // of this connection alone.
        let client_of = port.map_or_else(|| "[local]".to_owned(), |port| format!("({port})"));
        let is_it = |pid: u32| {
            let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let title = String::from_utf8_lossy(&title);
            title.starts_with("postgres: ")
                && title.contains(&client_of)
                && number_inside(pid) == Some(backend)
        };
        Ok(proc::all().find(|process| is_it(process.pid)).map(|process| process.parent))
    }

    /// The URL, with another path.
    fn database(&self, name: &str) -> String {
        let (before, parameters) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let host = before.find("://").map_or(0, |at| at + 3);
        let end = before[host..].find('/').map_or(before.len(), |at| host + at);
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("{}/{name}{mark}{parameters}", &before[..end])
    }
}

/// With what the names of a run's databases begin.
pub(super) fn prefix(run: &str) -> String {
    format!("{}_", run.replace('-', "_"))
}

/// The number that a process has where it runs: in a container, its own.
fn number_inside(pid: u32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_in_the_servers_url_and_no_password_is_shown() {
        let database = |url: &str| Server(url.to_owned()).database("x");
        assert_eq!(database("postgres://u:p@h:1/postgres?a=b"), "postgres://u:p@h:1/x?a=b");
        assert_eq!(database("postgres://h"), "postgres://h/x");
        assert_eq!(format!("{:?}", Server("postgres://u:p@h".to_owned())), "***");
    }

    #[test]
    fn a_process_has_its_own_number_where_it_runs() {
        let own = std::process::id();
        assert_eq!(number_inside(own), Some(own.cast_signed()));
    }
}
