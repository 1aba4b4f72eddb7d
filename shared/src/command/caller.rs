//! Who sends commands.

use std::time::Duration;

use tokio::time::Instant;

use super::inbox::Inbox;
use super::{Command, Reply};
use crate::client::{Connection, TopicSpec, ensure_topics, has_topic};
use crate::producer::{Offer, Publisher};
use crate::topic::Topic;

/// How long replies are kept: who asks again gets a new one.
const RETENTION: Duration = Duration::from_secs(3600);

/// Sends commands, and waits for their replies.
#[derive(Debug)]
pub struct Caller {
    connection: Connection,
    replies: Topic,
}

impl Caller {
    /// Reaches the broker, and makes the sender's reply topic if it is missing.
    ///
    /// # Errors
    /// No broker answers, or it refuses to make the topic; the sender's name cannot be part of a topic's name.
    pub async fn new(connection: Connection, sender: &str, partitions: i32) -> anyhow::Result<Self> {
        let replies = Topic::replies(sender)?;
        let spec = TopicSpec { retention: Some(RETENTION), ..TopicSpec::new(replies.clone(), partitions) };
        ensure_topics(&connection, vec![spec]).await?;
        Ok(Self { connection, replies })
    }

    /// Sends a command and does not wait for its reply. It is in Kafka when this returns, at the latest after the wait.
    ///
    /// # Errors
    /// There is no such service, or Kafka did not acknowledge the command in time.
    pub async fn send(&self, to: &str, command: &Command, wait: Duration) -> anyhow::Result<()> {
        let topic = Topic::commands(to)?;
        anyhow::ensure!(
            has_topic(&self.connection, &topic).await?,
            "there is no topic {topic}: no service of the name {to:?} has ever taken commands here. Start it, or say which \
             with --to"
        );
        let publisher = Publisher::new(&self.connection)?;
        let offered = publisher.publish(command.event(), &topic, 1).await;
        let report = publisher.finish(wait).await;
        if let Some(failure) = report.failures.first() {
            anyhow::bail!("the command was not acknowledged: {}", failure.reason);
        }
        anyhow::ensure!(offered? == Offer::Taken, "the command was not acknowledged");
        Ok(())
    }

    /// Sends a command and waits for its reply, so long in all. `None` where none has come: the command may still be
    /// carried out. Asked again under the same id, it takes effect once, and its reply comes again.
    ///
    /// # Errors
    /// As [`send`](Self::send), or replies cannot be read.
    pub async fn call(&self, to: &str, command: &Command, wait: Duration) -> anyhow::Result<Option<Reply>> {
        let start = Instant::now();
        // Where the replies end is looked up before the command is there: its reply comes behind that.
        let id = command.event().id.clone();
        let mut inbox = Inbox::open(&self.connection, self.replies.clone(), id).await?;
        self.send(to, command, wait).await?;
        let left = wait.saturating_sub(start.elapsed());
        tokio::time::timeout(left, inbox.reply()).await.ok().transpose()
    }
}
