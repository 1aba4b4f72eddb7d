//! Events that the group has passed and that have no row: shown, or given to the group.

use std::io::{self, Write as _};

use serde::Serialize;
use shared::desk::{Found, Stands, Stream, StreamRow};
use shared::listing::{self, Output, Row};

use super::{Range, Replay};

#[derive(Serialize)]
struct Gap(StreamRow);

impl Row for Gap {
    const COLUMNS: &'static [&'static str] = &["record", "type", "key", "id", "source", "ledger"];

    fn cells(&self) -> Vec<String> {
        cells(&self.0)
    }
}

pub(super) fn cells(event: &StreamRow) -> Vec<String> {
    vec![
        format!("{}/{}/{}", event.topic, event.partition, event.offset),
        event.ty.clone().unwrap_or_else(|| "-".to_owned()),
        event.key.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        event.id.clone(),
        event.source.clone(),
        event.ledger.to_string(),
    ]
}

/// What it has come to.
#[derive(Debug, Default, Serialize)]
struct Sum {
    /// Read.
    events: usize,
    /// Without a row, and never handled.
    gaps: usize,
    /// Without a row, where rows are deleted once they are settled for good.
    pruned: usize,
    /// Given to the group.
    replayed: usize,
}

pub(super) async fn run(asked: &Replay) -> anyhow::Result<()> {
    let operator = asked.store.operator().await?;
    let Range { runs, committed } = asked.range().await?.passed();
    let stream = Stream::new(asked.topic.as_str(), committed);
    anyhow::ensure!(
        operator.desk().has_every_event(&stream).await?,
        "the group handles at least once, or has never had a member: an event that was handled and has no effects has no row, so \
         that the ledger cannot tell what was missed"
    );
    let (mut sum, mut shown) = (Sum::default(), Vec::new());
    let mut records = asked.records(runs);
    loop {
        let some = records.next().await?;
        if some.is_empty() {
            break;
        }
        sum.events += some.len();
        let mut found = operator.desk().stands(&stream, some).await?;
        let count = |found: &[Found], stands| found.iter().filter(|found| found.stands == stands).count();
        sum.gaps += count(&found, Stands::NoRow);
        sum.pruned += count(&found, Stands::Pruned);
        found.retain(|found| match found.stands {
            Stands::NoRow => true,
            Stands::Pruned => asked.pruned,
            _ => false,
        });
        if asked.yes {
            sum.replayed += operator.replay(&found).await?;
        }
        let room = asked.limit as usize - shown.len();
        shown.extend(found.iter().take(room).map(|found| Gap(found.row())));
    }
    let (mut to, output) = (io::stdout().lock(), asked.store.common.output);
    listing::print(&mut to, &shown, output)?;
    match output {
        Output::Json => listing::print_object(&mut to, &sum)?,
        Output::Text => writeln!(to, "{}", sum.sentence(asked.yes, asked.pruned))?,
    }
    Ok(())
}

impl Sum {
    fn sentence(&self, yes: bool, with_pruned: bool) -> String {
        let Self { events, gaps, pruned, replayed } = self;
        let meant = gaps + if with_pruned { *pruned } else { 0 };
        let text = format!("Of {events} events {gaps} have no row");
        let may_be = format!(
            ", and {pruned} more may have been pruned after they were handled (--pruned: these, too)"
        );
        let may_be = if *pruned > 0 { may_be } else { String::new() };
        text + &may_be
            + &match (yes, meant) {
                (true, _) => {
                    format!(". Replayed {replayed}: the group handles them, and no offset has moved.")
                }
                (false, 0) => ". There is nothing to replay.".to_owned(),
                (false, _) => ". Say --yes to give them to the group.".to_owned(),
            }
    }
}
