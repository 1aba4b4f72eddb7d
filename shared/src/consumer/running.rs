//! A member while it works: its threads and lanes, the relay beside them, and the order in which they end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::task::JoinSet;

use super::common::Common;
use super::threads::Threads;
use super::{Counts, Handlers, Options, pauses};
use crate::client::Connection;
use crate::relay::Relay;
use crate::store::{self, until_available};

/// How long the last commit may take, after the deadline for what is under way.
const COMMIT: Duration = Duration::from_secs(10);
/// How long lanes may take to end, once they have nothing to do.
const LANES: Duration = Duration::from_secs(3);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(3);

pub(super) struct Running {
    /// Those of events, and those of commands, if any come.
    parts: Vec<Threads>,
    relay: Relay,
    /// Ends when it is dropped.
    _watching: JoinSet<()>,
    deadline: Duration,
    until_caught_up: bool,
}

impl Running {
    /// Opens the store, sees what is paused, and starts to consume.
    ///
    /// # Errors
    /// The store cannot be used; librdkafka refuses a setting; a topic has no room in its name for a dead-letter topic.
    pub(super) async fn start(
        connection: &Connection,
        options: Options,
        handlers: Handlers,
        counts: Arc<Counts>,
    ) -> anyhow::Result<Self> {
        let schemas = handlers.schemas();
        let store = until_available("be opened", || Box::pin(store::open(&options.store, &schemas))).await?;
        let relay = Relay::start(connection, Arc::clone(&store))?;
        let (handlers, for_commands) = handlers.split();
        let of_events = Common::new(&options, handlers, Arc::clone(&store), relay.bell(), counts)?;
        // Before the first event: what was paused when the last run ended stays so.
        pauses::look(&of_events.pauses, &*store, &options.group.id).await?;
        let of_events = Arc::new(of_events);
        let mut parts = Vec::with_capacity(2);
        if let Some(of_commands) = options.of_commands() {
            // Counted are events.
            let counts = Arc::default();
            let common = Common::new(&of_commands, for_commands, Arc::clone(&store), relay.bell(), counts)?;
            let common = Common { answers_as: Some(options.group.id.clone()), ..common };
            parts.push(Threads::start(connection, of_commands, Arc::new(common))?);
        }
        let mut watching = JoinSet::new();
        watching.spawn(pauses::watch(Arc::clone(&of_events), store, options.group.id.clone()));
        let (deadline, until_caught_up) = (options.shutdown_deadline, options.until_caught_up);
        parts.push(Threads::start(connection, options, of_events)?);
        Ok(Self { parts, relay, _watching: watching, deadline, until_caught_up })
    }

    /// Waits until it ends by itself. Cancel safe.
    ///
    /// # Errors
    /// Why it had to; a lane that broke off.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        let (ended, ..) = select_all(self.parts.iter_mut().map(|part| Box::pin(part.end()))).await;
        let Some(result) = ended else {
            anyhow::bail!("a lane broke off: a bug. What was not settled is handled by the next run");
        };
        result
    }

    /// Finishes what is under way, commits, empties the outbox where a backlog was to be handled, stops the relay, and
    /// leaves the group.
    ///
    /// # Errors
    /// Why it ended, unless it was told to; what went wrong on the way.
    pub(super) async fn stop(mut self, ended: anyhow::Result<()>) -> anyhow::Result<()> {
        let stopped = join_all(self.parts.iter_mut().map(Threads::stop));
        let Ok(stopped) = tokio::time::timeout(self.deadline + COMMIT, stopped).await else {
            ended?;
            tracing::warn!("the Kafka client did not commit in time: the last events may be handled again");
            return Ok(());
        };
        let result = ended.and_then(|()| stopped.into_iter().collect::<anyhow::Result<()>>());
        let lanes_end = join_all(self.parts.iter_mut().map(Threads::lanes_end));
        if tokio::time::timeout(LANES, lanes_end).await.is_err() {
            tracing::warn!("a handler blocks its thread: it is left behind");
        }
        if self.until_caught_up && tokio::time::timeout(self.deadline, self.relay.drained()).await.is_err() {
            tracing::warn!("the outbox is not empty: what is left in it is published by the next run");
        }
        self.relay.stop(self.deadline).await;
        result?;
        if tokio::time::timeout(CLOSE, join_all(self.parts.iter_mut().map(Threads::closed))).await.is_err() {
            tracing::warn!("left without telling the group: the others notice after the session timeout");
        }
        Ok(())
    }
}
