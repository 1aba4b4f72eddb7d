//! The relay: publishes the rows of the outbox, in order, and deletes what Kafka has acknowledged.
//!
//! # Promises
//! - Every row is published: it is deleted only after its acknowledgement. A crash in between publishes it again, with the
//!   same bytes.
//! - The rows of a topic and key are published in the order of their numbers. A row stays in flight until the broker has
//!   answered, however long that takes; after a failure nothing is sent until all that is in flight has been answered or
//!   given up. What is published again comes after its first appearance and before anything later has its own.
//! - A row that the broker refuses for itself (too large, invalid) holds the later rows of its topic and key, and nobody
//!   else: it stays, with the reason. A dead letter is never refused for its size: it goes out as a
//!   [pointer](crate::dead_letter::pointer).
//! - The outbox is never read behind a cursor: with PostgreSQL a lower number may become visible after a higher one, so
//!   that every look begins at the lowest row.
//!
//! One relay a store works at a time, by a lease; the others stand by. A producer that was given up may still have a
//! request under way: it holds nothing that its successor does not publish again. What breaks the order: a broker that does
//! not check a producer's numbers (the embedded one), while it refuses single requests.
//!
//! # Layout
//! - `pump`: the loop; `pump/look`: a look at the outbox, and what to send of it; `pump/verdict`: what becomes of a failure.
//! - `window`: which rows may be sent now; pure. `line`: the producer. `fault`: whose fault an error is; pure.
//! - `lease`: which process relays. `trouble`: pauses that grow.

mod fault;
mod lease;
mod line;
#[cfg(test)]
pub(crate) mod memory;
mod pump;
#[cfg(test)]
mod tests;
mod trouble;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use self::pump::Pump;
use crate::client::Connection;
use crate::store::Store;

/// How long the store may take after the deadline, to delete what was published and to say what remains.
pub(crate) const LAST: Duration = Duration::from_secs(2);

/// A relay at work. Dropping it without [`stop`](Self::stop) ends it where it stands: what is in flight is sent again.
#[derive(Debug)]
pub(crate) struct Relay {
    bell: Arc<Notify>,
    progress: watch::Receiver<Progress>,
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<()>,
}

/// How far the relay is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Looks at the outbox so far.
    pub(crate) looks: u64,
    /// Nothing is in flight, and the last look found nothing to send.
    pub(crate) is_idle: bool,
    /// Rows acknowledged by Kafka and deleted.
    pub(crate) relayed: u64,
    /// Rows sent and not answered.
    pub(crate) in_flight: usize,
    /// Rows that the last look found refused, and rows behind them.
    pub(crate) stuck: usize,
}

impl Relay {
    /// Starts to relay, in the background. A broker that is away is waited for.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub(crate) fn start(connection: &Connection, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        Self::start_after(std::future::ready(()), connection, store)
    }

    /// The same, once that is done: when the topics are there, for example.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub(crate) fn start_after(
        ready: impl Future<Output = ()> + Send + 'static,
        connection: &Connection,
        store: Arc<dyn Store>,
    ) -> anyhow::Result<Self> {
        let config = line::config(connection)?;
        let (bell, (teller, progress)) = (Arc::<Notify>::default(), watch::channel(Progress::default()));
        let (stop, mut stopped) = oneshot::channel();
        let pump = Pump::new(config, store, Arc::clone(&bell), teller);
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = &mut stopped => {}
                () = ready => pump.run(stopped).await,
            }
        });
        Ok(Self { bell, progress, stop: Some(stop), task })
    }

    /// Something has been put into the outbox.
    pub(crate) fn wake(&self) {
        self.bell.notify_one();
    }

    /// What to ring for that, for who does not hold the relay.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until everything that is in the outbox now, and can be published, has been.
    pub(crate) async fn drained(&self) {
        let mut progress = self.progress.clone();
        // A look that is under way may have missed what was added last; the one after it has not.
        let looks = progress.borrow().looks + 2;
        let is_drained = |progress: &Progress| {
            if progress.is_idle && progress.looks < looks {
                self.wake();
            }
            progress.is_idle && progress.looks >= looks
        };
        // It fails only if the relay has ended.
        let _ = progress.wait_for(is_drained).await;
    }

    /// Sends nothing new, waits for the answers to what is in flight until the deadline, and ends. Says how far it came.
    pub(crate) async fn stop(mut self, deadline: Duration) -> Progress {
        if let Some(stop) = self.stop.take() {
            // It cannot fail before the end.
            let _ = stop.send(deadline);
        }
        if tokio::time::timeout(deadline.saturating_add(LAST), &mut self.task).await.is_err() {
            tracing::warn!(
                "outbox: the store did not answer: what has been published may be published again"
            );
        }
        self.progress()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
