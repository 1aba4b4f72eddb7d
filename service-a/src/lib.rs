//! service-a publishes events to Kafka.
//!
//! # Layout
//! - `main.rs`: settings, logs, signals, run, the closing line.
//! - [`config`]: every setting, as `--help` shows it.
//! - [`source`]: where events come from: the counter, [`lines`] of a file. The file to edit first.
//! - [`publish`]: the loop, at its [`pace`], with [`progress`]; or as a [`dry_run`].
//! - [`report`]: the closing line.
//! - The producer itself is [`shared::producer`].

pub mod config;
pub mod dry_run;
pub mod lines;
pub mod pace;
pub mod progress;
pub mod publish;
pub mod report;
pub mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use shared::client::{TopicSpec, ensure_topics, reach};
use shared::producer::Publisher;

use self::config::Config;
use self::dry_run::DryRun;
use self::report::Summary;
use self::source::Source;

/// Publishes until the source ends or `shutdown` completes, then waits for the acknowledgements.
///
/// # Errors
/// No broker answers, the topic cannot be made, or the source cannot be read. Events that are not acknowledged
/// are no error here: the summary counts and names them.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<Summary> {
    // Before Kafka is asked: a mistyped file name should show at once.
    let source = Source::open(&config)?;
    let connection = config.common.connection();
    tokio::pin!(shutdown);
    if !config.dry_run {
        let topic = TopicSpec { topic: config.topic.clone(), partitions: config.common.partitions };
        tokio::select! {
            ready = async {
                reach(&connection).await?;
                ensure_topics(&connection, vec![topic]).await
            } => ready?,
            () = &mut shutdown => return Ok(Summary { stopped: true, ..Summary::default() }),
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut work = tokio::task::spawn_blocking(move || work(&config, source, &stopped));
    let result = tokio::select! {
        result = &mut work => result,
        () = shutdown => {
            stop.store(true, Ordering::Relaxed);
            work.await
        }
    };
    result.context("the publishing thread ended without a word: a bug")?
}

/// Blocks, on a thread of its own: reading, waiting for room in the queue and flushing all do.
fn work(config: &Config, mut source: Source, stop: &AtomicBool) -> anyhow::Result<Summary> {
    let mut summary = Summary { dry_run: config.dry_run, ..Summary::default() };
    if config.dry_run {
        publish::run(config, &mut source, &mut DryRun::new(config.topic.as_str()), &mut summary, stop)?;
        return Ok(summary);
    }
    let mut publisher = Publisher::new(&config.common.connection(), &config.topic)?;
    let result = publish::run(config, &mut source, &mut publisher, &mut summary, stop);
    // Also after an error: what was read before it is as good as any.
    publisher.flush(config.shutdown_deadline, || stop.load(Ordering::Relaxed));
    summary.add(publisher.tally());
    result.map(|()| summary.clone()).with_context(|| summary.text())
}
