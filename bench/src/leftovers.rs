//! What a run has made on a broker that stays: its topics, those that the services made for it, and its groups.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use shared::client::Connection;

/// For one answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Until what was deleted is no longer shown.
const PATIENCE: Duration = Duration::from_secs(15);

/// Removes what bears the run's name.
///
/// # Errors
/// The broker does not answer, or keeps topics: which.
pub(crate) async fn remove(connection: &Connection, run: &str) -> anyhow::Result<()> {
    let all = format!("what {run} has left on {}", connection.bootstrap_servers);
    let removed = async {
        let admin: AdminClient<DefaultClientContext> = connection.asking()?.create()?;
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let start = Instant::now();
        loop {
            let topics = look(connection, run, topics).await?;
            if topics.is_empty() {
                break;
            }
            anyhow::ensure!(start.elapsed() < PATIENCE, "topics stay: {}", topics.join(", "));
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            admin.delete_topics(&names, &options).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // A group of members that were killed cannot be deleted yet: without topics it goes by itself.
        let groups = look(connection, run, groups).await?;
        if !groups.is_empty() {
            let names: Vec<&str> = groups.iter().map(String::as_str).collect();
            admin.delete_groups(&names, &options).await?;
        }
        anyhow::Ok(())
    };
    removed.await.with_context(|| all)
}

type Look = fn(&BaseConsumer) -> anyhow::Result<Vec<String>>;

/// Asking blocks, and so does dropping who has asked.
async fn look(connection: &Connection, run: &str, look: Look) -> anyhow::Result<Vec<String>> {
    let config = connection.asking()?;
    let all = tokio::task::spawn_blocking(move || look(&config.create()?)).await??;
    Ok(all.into_iter().filter(|name| is_of(name, run)).collect())
}

fn topics(client: &BaseConsumer) -> anyhow::Result<Vec<String>> {
    let metadata = client.fetch_metadata(None, ANSWER)?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}

fn groups(client: &BaseConsumer) -> anyhow::Result<Vec<String>> {
    let groups = client.fetch_group_list(None, ANSWER)?;
    Ok(groups.groups().iter().map(|group| group.name().to_owned()).collect())
}

/// Whether one of the words between the dots is the run's name, or begins with it and a `-`.
fn is_of(name: &str, run: &str) -> bool {
    let is_of =
        |word: &str| word.strip_prefix(run).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    name.split('.').any(is_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bears_the_name_of_the_run_is_its_own_and_nothing_else_is() {
        let own =
            ["bench-1-2", "bench-1-2-0-ours-1", "dlq.bench-1-2-0-check.bench-1-2-0", "bench-1-2.commands"];
        assert!(own.iter().all(|name| is_of(name, "bench-1-2")));
        let others = ["bench-1-23", "orders", "my-bench-1-2", "dlq.service-b.orders", ""];
        assert!(!others.iter().any(|name| is_of(name, "bench-1-2")));
    }
}
