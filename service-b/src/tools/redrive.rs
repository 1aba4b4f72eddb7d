//! `dead-letters redrive`: back to their handlers, one or many.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use shared::config::FILTER;
use shared::desk::{Operation, Operator, Redrive as Asked, Redriven, Status};
use shared::listing::{self, Output};

use super::filter::FilterArgs;
use super::one_event::OneEvent;

/// The settings of `dead-letters redrive`.
#[derive(Debug, Args)]
pub struct Redrive {
    /// The id of one dead event; without it, all that the filter leaves
    id: Option<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// All that are dead
    #[arg(long, help_heading = FILTER)]
    all: bool,

    /// How many at most, the oldest first
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "id")]
    limit: Option<u32>,

    /// How many a second at most
    #[arg(long, value_name = "EVENTS", value_parser = rate, conflicts_with = "id")]
    rate: Option<f64>,

    /// One that was redriven so often, and is dead again, is parked instead
    #[arg(long, value_name = "TIMES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "id")]
    max_redrives: u32,

    /// Say how many there are, and change nothing
    #[arg(long, conflicts_with = "id")]
    dry_run: bool,

    /// What about a redrive that was cut off
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["id", "all", "dry_run"])]
    unfinished: Option<Unfinished>,

    #[command(flatten)]
    store: super::StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unfinished {
    /// Go on with it
    Resume,
    /// Give it up: what it has not reached stays dead
    Abandon,
}

impl Redrive {
    /// Which events are meant is to be said.
    pub(super) fn check(&self) -> Result<(), String> {
        let filter = self.filter.of([]);
        let is_filtered = !filter.is_unbounded();
        if self.id.is_some() {
            if !self.filter.is_source_alone() || self.all {
                return Err(
                    "one event by its id and --source, or many by a filter: keep one of them".to_owned()
                );
            }
            return Ok(());
        }
        if self.unfinished.is_some() && (is_filtered || self.limit.is_some()) {
            return Err("a redrive that was cut off has its own filter: leave the others out".to_owned());
        }
        let is_bounded = is_filtered || self.limit.is_some();
        if !is_bounded && !self.all && self.unfinished.is_none() {
            return Err("this would redrive all that is dead: name an id, a filter or --limit, or say --all"
                .to_owned());
        }
        filter.check()
    }

    pub(super) async fn run(self) -> anyhow::Result<()> {
        if let Some(id) = self.id {
            return OneEvent::of(id, self.filter.source(), self.store).run(Operation::Redrive).await;
        }
        let operator = self.store.operator().await?;
        let is_resumed = self.unfinished == Some(Unfinished::Resume);
        if self.unfinished == Some(Unfinished::Abandon) {
            anyhow::ensure!(
                !matches!(operator.unfinished().await, Ok(None)),
                "there is no redrive to give up"
            );
            return Ok(operator.abandon().await?);
        }
        let filter = match operator.unfinished().await? {
            Some(filter) if is_resumed => filter,
            None if is_resumed => anyhow::bail!("there is no redrive to go on with: each came to its end"),
            _ => self.filter.of([Status::Dead]),
        };
        let asked = Asked {
            filter,
            limit: self.limit.map(|limit| limit as usize),
            rate: self.rate,
            max_redrives: self.max_redrives.into(),
        };
        let done = if self.dry_run {
            operator.would_redrive(&asked).await?
        } else {
            redrive(&operator, &asked).await?
        };
        let would = if self.dry_run { "would be " } else { "" };
        let Redriven { redriven, parked, skipped } = done;
        match self.store.common.output {
            Output::Json => listing::print_object(&mut io::stdout(), &done)?,
            Output::Text => writeln!(
                io::stdout(),
                "{would}redriven {redriven}, {would}parked {parked}, not dead any more {skipped}"
            )?,
        }
        Ok(())
    }
}

/// Ctrl-C ends it between two transactions; what is left is done by the next call.
async fn redrive(operator: &Operator, asked: &Asked) -> anyhow::Result<Redriven> {
    let is_watched = io::stderr().is_terminal();
    let progress = |sum: Redriven, of: usize| {
        if is_watched {
            let done = sum.redriven + sum.parked + sum.skipped;
            let _ = write!(io::stderr(), "\r{done} of {of}"); // only for who looks
        }
    };
    let signal = shared::shutdown::signalled()?;
    tokio::select! {
        done = operator.redrive(asked, progress) => {
            if is_watched {
                let _ = writeln!(io::stderr());
            }
            Ok(done?)
        }
        () = signal => anyhow::bail!("stopped before its end: the same call, or without --limit `dead-letters redrive --unfinished resume`, goes on"),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.01 => Ok(rate),
        _ => Err("write events a second, such as 100 or 0.5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        redrive: Redrive,
    }

    fn asked(flags: &str) -> Result<Redrive, String> {
        let arguments = ["redrive"].into_iter().chain(flags.split_whitespace());
        let Only { redrive } = Only::try_parse_from(arguments).map_err(|error| error.to_string())?;
        redrive.check().map(|()| redrive)
    }

    /// Catches: a dry run that changes something, a setting that is silently not kept to, an id that cannot be told from
    /// another source's.
    #[test]
    fn one_event_is_named_by_id_and_source_and_nothing_else() {
        assert!(asked("7").is_ok() && asked("7 --source /a").is_ok());
        for flags in [
            "--dry-run",
            "--limit 1",
            "--rate 1",
            "--max-redrives 1",
            "--all",
            "--reason x",
            "--unfinished resume",
            "--unfinished resume --limit 5",
        ] {
            assert!(asked(&format!("7 {flags}")).is_err(), "{flags}");
        }
    }

    #[test]
    fn many_are_redriven_where_it_is_said_which() {
        assert!(asked("").is_err() && asked("--dry-run").is_err());
        for flags in ["--all", "--all --dry-run", "--limit 1", "--source /a", "--unfinished abandon"] {
            assert!(asked(flags).is_ok(), "{flags}");
        }
    }
}
