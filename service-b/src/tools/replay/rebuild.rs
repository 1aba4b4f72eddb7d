//! `--rebuild statistics`: the handler's table anew, from the stream.
//!
//! The topic stands still meanwhile. What the stream says is counted under a name of its own, beside what stands; at the end
//! one transaction puts it in its place. Cut off, nothing has changed.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use shared::consumer::Handler as _;
use shared::desk::{Desk, Operator, Rebuild, Stream};
use shared::listing::{self, Output};
use shared::store::{Pausable, Pauses};

use super::{Committed, Range, Replay};
use crate::handlers::{self, HandlingArgs, Statistics};

/// What can be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Projection {
    /// What the handler `statistics` has counted.
    Statistics,
}

/// How long the group's offsets have to stand still: longer than members take to notice a pause, and to commit.
const STILL: Duration = Duration::from_secs(4);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Serialize)]
struct Sum {
    events: usize,
    counted: usize,
}

pub(super) async fn run(asked: &Replay, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
    let store = &asked.store;
    let counted = Statistics::new(&store.group, None);
    let operator = Desk::operator_with(&store.url(), &store.group, &[counted.schema()]).await?;
    let topics = operator.desk().topics().await?;
    anyhow::ensure!(
        topics == [asked.topic.to_string()],
        "the group counts the events of {} together: one of them alone cannot be rebuilt",
        topics.join(", ")
    );
    let pauses = Pauses::open(&store.url(), &store.group).await?;
    let is_paused_here = pauses.pause(Pausable::Topic, asked.topic.as_str()).await?;
    let done = tokio::select! {
        done = rebuild(asked, &operator) => done,
        () = stopped => Err(anyhow::anyhow!("stopped before its end: what stood before stands")),
    };
    if is_paused_here {
        pauses.resume(Pausable::Topic, asked.topic.as_str()).await?;
    }
    let sum = done?;
    let mut to = io::stdout().lock();
    match store.common.output {
        Output::Json => listing::print_object(&mut to, &sum)?,
        Output::Text => writeln!(to, "Of {} events {} are counted anew.", sum.events, sum.counted)?,
    }
    Ok(())
}

async fn rebuild(asked: &Replay, operator: &Operator) -> anyhow::Result<Sum> {
    let Range { runs, committed } = still(asked).await?;
    let gone = runs.iter().find(|run| run.first > 0);
    if let (Some(run), false) = (gone, asked.yes) {
        anyhow::bail!(
            "the records below offset {} of {}/{} are gone: what they have added would be lost. Say --yes to go on without",
            run.first,
            asked.topic,
            run.partition
        );
    }
    let group = &asked.store.group;
    let beside = format!("{group}#rebuild");
    let HandlingArgs { which, statistics_field, .. } = &asked.shadow.handling;
    let statistics = Statistics::new(&beside, statistics_field.as_deref());
    let mut anew = Rebuild::new(only_statistics(&which.handle, &statistics)?);
    operator.apply(vec![Statistics::forget(&beside)]).await?;
    let stream = Stream::new(asked.topic.as_str(), committed);
    let mut records = asked.records(runs);
    let mut sum = Sum { events: 0, counted: 0 };
    loop {
        let some = records.next().await?;
        if some.is_empty() {
            break;
        }
        sum.events += some.len();
        let found = operator.desk().stands(&stream, some).await?;
        let effects = anew.effects(&found).await.map_err(anyhow::Error::msg)?;
        sum.counted += effects.iter().filter(|effects| !effects.is_empty()).count();
        operator.apply(effects).await?;
    }
    operator.apply(vec![Statistics::forget(group), Statistics::rename(&beside, group)]).await?;
    Ok(sum)
}

/// The other handlers are not asked: what they do is none of this.
fn only_statistics(
    settings: &[String],
    statistics: &Statistics,
) -> anyhow::Result<shared::consumer::Handlers> {
    let of = |setting: &String| match setting.rsplit_once('=') {
        Some((pattern, name)) if name != "statistics" => format!("{pattern}=discard"),
        _ => setting.clone(),
    };
    let settings: Vec<String> = settings.iter().map(of).collect();
    anyhow::ensure!(
        settings.iter().any(|setting| setting.ends_with("=statistics")),
        "no handler is statistics: say for which types it counts, as the service does, such as --handle '*=statistics'"
    );
    handlers::from_settings(&settings, statistics)
}

/// What the group has passed, once it stands still.
async fn still(asked: &Replay) -> anyhow::Result<Range> {
    let mut before: Option<(Committed, tokio::time::Instant)> = None;
    loop {
        let range = asked.range().await?;
        match &before {
            Some((committed, since)) if *committed == range.committed => {
                if since.elapsed() >= STILL {
                    return Ok(range.passed());
                }
            }
            _ => before = Some((range.committed, tokio::time::Instant::now())),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
