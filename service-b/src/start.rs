//! Before the first event: a broker that answers, the topics, the ledger.

use std::time::Duration;

use anyhow::Context as _;
use shared::broker::{EmbeddedBroker, Options};
use shared::client::{self, Connection, TopicSpec};
use shared::store::{StoreUrl, TemporaryStore};
use shared::topic::Topic;

use crate::config::Config;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Starts the embedded broker, where it is asked for, at the port that the settings name.
///
/// # Errors
/// The port is taken, or the address is not one of this machine.
pub fn embedded(config: &Config) -> anyhow::Result<Option<EmbeddedBroker>> {
    if !config.embedded_broker {
        return Ok(None);
    }
    let servers = &config.common.kafka.bootstrap_servers;
    let port = local_port(servers).with_context(|| {
        format!("--embedded-broker listens on this machine only: write --bootstrap-servers localhost:9092, not {servers}")
    })?;
    let mut topics: Vec<(String, i32)> =
        config.topic_specs()?.into_iter().map(|spec| (spec.topic.to_string(), spec.partitions)).collect();
    // service-a would make it, and wait for five seconds on the way: there is no admin API to answer.
    let replies = Topic::replies("service-a")?;
    if !topics.iter().any(|(topic, _)| topic == replies.as_str()) {
        topics.push((replies.to_string(), config.common.partitions));
    }
    let broker = EmbeddedBroker::start(Options { port, topics })?;
    tracing::warn!("embedded broker at {}: in memory, for trying things out only", broker.address());
    Ok(Some(broker))
}

/// Where the ledger is. What is only tried out on the embedded broker leaves nothing behind: offsets start again with that
/// broker, and the ledger has to go with them.
///
/// # Errors
/// There is no room for temporary files.
pub fn store(config: &Config) -> anyhow::Result<(StoreUrl, Option<TemporaryStore>)> {
    if let Some(store) = &config.store {
        return Ok((store.clone(), None));
    }
    if !config.embedded_broker {
        return Ok((StoreUrl::Sqlite("data/service-b.db".into()), None));
    }
    let temporary = TemporaryStore::new().context("cannot make a temporary store")?;
    Ok((temporary.url(), Some(temporary)))
}

fn local_port(servers: &str) -> Option<u16> {
    let (host, port) = servers.split(',').next()?.rsplit_once(':')?;
    matches!(host, "localhost" | "127.0.0.1").then(|| port.parse().ok())?
}

/// Waits until a broker answers, saying so with growing pauses, and makes the topics that are missing.
///
/// # Errors
/// The settings are refused, or a topic cannot be made.
pub async fn ready(connection: &Connection, topics: Vec<TopicSpec>) -> anyhow::Result<()> {
    let mut pause = FIRST_PAUSE;
    loop {
        match client::ensure_topics(connection, topics.clone()).await {
            Err(error) if client::may_pass(&error) => {
                tracing::warn!("{error:#}\nTrying again in {pause:?}.");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_broker_is_of_this_machine() {
        assert_eq!(local_port("localhost:9092"), Some(9092));
        assert_eq!(local_port("127.0.0.1:1,other:2"), Some(1));
        assert_eq!(local_port("kafka.example.com:9092"), None);
        assert_eq!(local_port("localhost"), None);
    }
}
