//! service-b subscribes to Kafka topics and handles their events.
//!
//! # Layout
//! - `main.rs`: settings, logs, signals, run, the closing line.
//! - [`config`]: every setting, as `--help` shows it.
//! - [`handlers`]: what happens to an event. The file to edit first.
//! - [`commands`]: what it answers when asked.
//! - [`start`]: waits for the broker, makes the topics, starts the embedded broker, chooses the store.
//! - [`report`]: the closing line.
//! - [`tools`]: what operators ask, a file for each noun.
//! - Everything from the topic to the handler is [`shared::consumer`].

pub mod commands;
pub mod config;
pub mod handlers;
pub mod report;
pub mod start;
pub mod tools;

use std::sync::Arc;

use shared::consumer::{self, Counts, Handlers, Summary};

pub use self::config::Config;

/// Handles events until `shutdown` completes, or with `--until-caught-up` until the backlog is handled.
///
/// # Errors
/// The settings are wrong, the embedded broker cannot start, or Kafka refuses for good.
pub async fn run(
    config: Config,
    handlers: Handlers,
    counts: Arc<Counts>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Summary> {
    let connection = config.connection();
    let _embedded = start::embedded(&config)?;
    let (store, _temporary) = start::store(&config)?;
    let handlers = commands::add(handlers, &config, &store, Arc::clone(&counts))?;
    tokio::pin!(shutdown);
    tokio::select! {
        ready = start::ready(&connection, config.topic_specs()?) => ready?,
        () = &mut shutdown => return Ok(counts.summary()),
    }
    consumer::run(&connection, config.options(store)?, handlers, counts, shutdown).await
}
