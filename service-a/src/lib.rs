//! service-a publishes events: `event_0` … `event_9` by default, or the lines of a file or of standard input.
//!
//! # Layout
//!
//! - [`config`]: the settings, one documented struct.
//! - [`command`]: asking a service to do something, and its reply.
//! - `source`: the event source: the counter, or lines (read on a thread of its own, split, told apart
//!   as JSON, text or bytes, keyed).
//! - `pace`: when which event is due; pure.
//! - `due`: waiting for the event source and for the pace.
//! - `publish`: the loop from the event source to the topic.
//! - `through_outbox`: the same by way of a store, with `--outbox`.
//! - `letters`: dead letters back to where they came from instead, with `--from-topic`.
//! - `standstill`: an event source that an operator has paused.
//! - `dry_run`: the same events to standard output instead.
//! - `progress`: a bar for who watches.
//! - [`report`]: the closing line and the exit code.
//! - [`tools`]: what operators ask of an outbox, and what the program prints about itself.
//!
//! # Follow one event
//!
//! [`run`] opens the event source, reaches the broker and makes the topic. `publish` waits until the source
//! has an event and the pace allows it; the source writes it over the last one, and
//! [`shared::producer::Publisher`] hands it to librdkafka. Is there no room, the same event is offered again before
//! any other: that keeps order. The acknowledgement only raises a count; a failure is kept by name.
//! At the end, or at a signal, nothing more is read, all acknowledgements are waited for, and the summary says how
//! it went.

pub mod command;
pub mod config;
mod dry_run;
mod due;
mod letters;
mod pace;
mod progress;
mod publish;
pub mod report;
mod source;
mod standstill;
mod through_outbox;
pub mod tools;

use std::pin::pin;

pub use self::config::Config;
pub use self::report::Summary;

use self::source::Source;
use shared::client::{TopicSpec, ensure_topics};
use shared::producer::Publisher;

/// Publishes what the configuration says, until the event source ends or `shutdown` completes.
///
/// # Errors
/// Nothing could be published: a file that cannot be read, no broker, a topic that cannot be made. What goes wrong
/// later is in the summary, beside what was acknowledged until then.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<Summary> {
    let mut shutdown = pin!(shutdown);
    if let Some(from) = &config.from_topic {
        return letters::publish(&config, from, shutdown).await;
    }
    let source = Source::open(&config)?;
    if config.dry_run {
        return dry_run::print(source, &config, std::io::stdout(), shutdown).await;
    }
    if let Some(url) = &config.outbox {
        return through_outbox::publish(source, &config, url, shutdown).await;
    }
    let publisher = tokio::select! {
        biased;
        () = &mut shutdown => return Ok(Summary { interrupted: true, ..Summary::default() }),
        publisher = connect(&config) => publisher?,
    };
    Ok(publish::publish(source, &config, publisher, shutdown).await)
}

async fn connect(config: &Config) -> anyhow::Result<Publisher> {
    let connection = config.common.connection();
    let spec = TopicSpec::new(config.topic.clone(), config.common.partitions);
    ensure_topics(&connection, vec![spec]).await?;
    Publisher::new(&connection)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[test]
    fn a_run_may_be_spawned() {
        fn spawnable(_: impl Send) {}
        let config = crate::config::Cli::parse_from(["service-a"]).into_config();
        spawnable(super::run(config, std::future::ready(())));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named() {
        let config = crate::config::Cli::parse_from(["service-a", "--from", "no/such.txt"]).into_config();
        let error = super::run(config, std::future::pending()).await.expect_err("no such file");
        assert!(format!("{error:#}").starts_with("cannot read no/such.txt: "), "{error:#}");
    }
}
