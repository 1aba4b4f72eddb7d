//! `--shadow`: what would differ, if these handlers were the ones.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use shared::config::duration;
use shared::desk::{Found, Shadow, Stands, Stream, StreamRow, Would};
use shared::listing::{self, Output, Row};

use super::{Range, Replay};
use crate::handlers::HandlingArgs;

/// The settings of `--shadow`.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --shadow")]
pub(super) struct ShadowArgs {
    /// Run the handlers, apply nothing, and say what would differ; exit code 1 where something does
    #[arg(long, help_heading = None)]
    pub(super) shadow: bool,

    /// Run also handlers that reach out: what they do outside is done
    #[arg(long, requires = "shadow")]
    reaching: bool,

    #[command(flatten)]
    pub(super) handling: HandlingArgs,

    /// How long a handler may take
    #[arg(long, env = "SERVICE_B_HANDLER_TIMEOUT", default_value = "30s", value_parser = duration)]
    handler_timeout: Duration,
}

/// How many events would come to that, and what stands of them.
#[derive(Serialize)]
struct Counted {
    count: u64,
    would: &'static str,
    ledger: Stands,
    differs: bool,
}

impl Row for Counted {
    const COLUMNS: &'static [&'static str] = &["would be", "ledger", "events", "differs"];

    fn cells(&self) -> Vec<String> {
        let differs = if self.differs { "yes" } else { "" };
        vec![self.would.to_owned(), self.ledger.to_string(), self.count.to_string(), differs.to_owned()]
    }
}

/// An event that would end differently.
#[derive(Serialize)]
struct Differing {
    #[serde(flatten)]
    event: StreamRow,
    #[serde(flatten)]
    would: Would,
}

impl Row for Differing {
    const COLUMNS: &'static [&'static str] =
        &["record", "type", "key", "id", "source", "ledger", "would be", "reason"];

    fn cells(&self) -> Vec<String> {
        let (would, reason) = self.would.parts();
        let mut cells = super::gaps::cells(&self.event);
        cells.extend([would.to_owned(), reason.unwrap_or_default().to_owned()]);
        cells
    }
}

/// What has been seen so far.
struct Seen {
    counts: BTreeMap<(&'static str, Stands, bool), u64>,
    differing: Vec<Differing>,
    most: usize,
}

impl Seen {
    fn add(&mut self, found: &Found, would: Would) {
        let differs = would.differs(found.stands);
        *self.counts.entry((would.parts().0, found.stands, differs)).or_default() += 1;
        if differs && self.differing.len() < self.most {
            self.differing.push(Differing { event: found.row(), would });
        }
    }

    fn rows(&self) -> Vec<Counted> {
        let row = |(&(would, ledger, differs), &count): (&(_, _, _), &u64)| Counted {
            count,
            would,
            ledger,
            differs,
        };
        self.counts.iter().map(row).collect()
    }

    fn count(&self) -> (u64, u64) {
        let differing = self.counts.iter().filter(|((.., differs), _)| *differs).map(|(_, count)| count);
        (differing.sum(), self.counts.values().sum())
    }
}

pub(super) async fn run(asked: &Replay) -> anyhow::Result<()> {
    let ShadowArgs { reaching: may_reach, handling, handler_timeout, .. } = &asked.shadow;
    let handlers = handling.handlers(&asked.store.group)?;
    let shadow = Shadow { handlers, timeout: *handler_timeout, unhandled: handling.unhandled };
    let reaching = shadow.reaching();
    anyhow::ensure!(
        *may_reach || reaching.is_empty(),
        "the handlers of {} are not pure: each would reach out once more for every event, and what it does outside is not taken \
         back. Say --reaching if that is meant, or name pure ones by --handle",
        reaching.join(", ")
    );
    let desk = asked.store.desk().await?;
    let Range { runs, committed } = asked.range().await?;
    let stream = Stream::new(asked.topic.as_str(), committed);
    let mut seen = Seen { counts: BTreeMap::new(), differing: Vec::new(), most: asked.limit as usize };
    let mut records = asked.records(runs);
    loop {
        let some = records.next().await?;
        if some.is_empty() {
            break;
        }
        let found = desk.stands(&stream, some).await?;
        for (found, would) in found.iter().zip(shadow.run(&found).await) {
            seen.add(found, would);
        }
    }
    let output = asked.store.common.output;
    let mut to = io::stdout().lock();
    listing::print(&mut to, &seen.rows(), output)?;
    if output == Output::Json || !seen.differing.is_empty() {
        if output == Output::Text {
            io::Write::write_all(&mut to, b"\n")?;
        }
        listing::print(&mut to, &seen.differing, output)?;
    }
    let (differing, all) = seen.count();
    anyhow::ensure!(differing == 0, "{differing} of {all} events would end differently; nothing was applied");
    tracing::info!("none of {all} events would end differently; nothing was applied");
    Ok(())
}
