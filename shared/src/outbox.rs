//! The outbox of a service that only publishes: events go into the store together with how far their source has been read,
//! and from there to Kafka, in order.
//!
//! Promise: an event that was added is published, with the id that it has, through any number of crashes; a source that
//! says how far it was read is never added twice from the same place. What breaks it: a store that is deleted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::client::{Connection, TopicSpec, ensure_topics};
use crate::event::NewEvent;
use crate::relay::{LAST, Relay};
use crate::store::{
    self, Advance, OutboxRecord, Pausable, SOURCES, SourcePosition, Store, StoreError, StoreUrl,
};
use crate::topic::Topic;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A store's outbox, and the relay that publishes what is in it.
#[derive(Debug)]
pub struct Outbox {
    store: Arc<dyn Store>,
    relay: Relay,
    /// How many rows it may hold.
    bound: usize,
}

/// How far an event source has been read: what counts is up to the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes of a file, events of a counter.
    pub at: u64,
    /// Lines, for messages.
    pub number: u64,
}

/// Events on their way into the outbox, all or none.
#[derive(Default, Clone)]
pub struct Batch {
    records: Vec<OutboxRecord>,
    bytes: usize,
}

/// What the outbox has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events handed to Kafka, whoever put them into the outbox.
    pub published: u64,
    /// Of these, acknowledged.
    pub acknowledged: u64,
    /// What the outbox still holds; `None` if the store does not say.
    pub remaining: Option<u64>,
    /// Of these, refused by the broker: later events of their keys wait behind them.
    pub refused: u64,
}

impl Outbox {
    /// Opens the store, or makes it, and begins to relay once the broker is there and has the topic.
    ///
    /// # Errors
    /// The store cannot be opened, or librdkafka refuses a setting.
    pub async fn open(
        url: &StoreUrl,
        bound: usize,
        connection: &Connection,
        topic: TopicSpec,
    ) -> anyhow::Result<Self> {
        let store = store::open(url, &[]).await?;
        let ready = topic_is_there(connection.clone(), topic);
        let relay = Relay::start_after(ready, connection, Arc::clone(&store))?;
        Ok(Self { store, relay, bound })
    }

    /// How far that event source has been read: the beginning, for one that is unknown.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn position(&self, source: &str) -> Result<Position, StoreError> {
        let position = self.store.position(source).await?;
        Ok(position.map_or_else(Position::default, |SourcePosition { at, number, .. }| Position {
            at: at.cast_unsigned(),
            number: number.cast_unsigned(),
        }))
    }

    /// Since when an operator has that event source paused, if so.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn paused_since(&self, source: &str) -> Result<Option<Timestamp>, StoreError> {
        let Some(table) = self.store.pause_table() else { return Ok(None) };
        let pauses = table.pauses(SOURCES).await?;
        let found = pauses.into_iter().find(|pause| pause.what == Pausable::Source && pause.name == source);
        Ok(found.map(|pause| pause.since))
    }

    /// Adds events, with the source that was read for them, from where to where. `false`, and nothing is added, while the
    /// outbox is full. A store that is away is waited for. If this is dropped, it may still have been added.
    ///
    /// # Errors
    /// The store cannot be used, or another process reads the same source.
    pub async fn add(
        &self,
        batch: &Batch,
        read: Option<(&str, Position, Position)>,
    ) -> Result<bool, StoreError> {
        let (mut pause, mut is_unsure) = (FIRST_PAUSE, false);
        loop {
            match self.store.enqueue(batch.records.clone(), read.map(advance), self.bound).await {
                Ok(is_added) => {
                    self.relay.wake();
                    return Ok(is_added);
                }
                Err(StoreError::Unavailable(reason)) => {
                    tracing::warn!("the outbox takes nothing, trying again in {pause:?}: {reason}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    is_unsure = true;
                }
                Err(unusable) if !is_unsure => return Err(unusable),
                // It may be ourselves who have moved the source: a commit that was waited for in vain, and came late.
                Err(unusable) => return if self.is_added(read).await { Ok(true) } else { Err(unusable) },
            }
            // The answer may have been lost, and not the question.
            if self.is_added(read).await {
                return Ok(true);
            }
        }
    }

    async fn is_added(&self, read: Option<(&str, Position, Position)>) -> bool {
        let Some((source, _, to)) = read else { return false };
        self.position(source).await == Ok(to)
    }

    /// Waits until everything that is in the outbox, and can be published, has been.
    pub async fn drained(&self) {
        self.relay.drained().await;
    }

    /// Relays until the outbox is empty or the deadline over, and says what it came to. What remains is published by who
    /// opens the store next.
    pub async fn finish(self, deadline: Duration) -> Outcome {
        let end = tokio::time::Instant::now().checked_add(deadline);
        let _ = tokio::time::timeout(deadline, self.relay.drained()).await;
        let left = || end.map_or(deadline, |end| end.saturating_duration_since(tokio::time::Instant::now()));
        let progress = self.relay.stop(left()).await;
        let remaining = tokio::time::timeout(left().max(LAST), self.store.remaining()).await;
        let remaining = remaining.ok().and_then(Result::ok);
        Outcome {
            published: progress.relayed + progress.in_flight as u64,
            acknowledged: progress.relayed,
            remaining: remaining.map(|remaining| remaining.rows),
            refused: remaining.map_or(0, |remaining| remaining.refused),
        }
    }
}

fn advance((source, from, to): (&str, Position, Position)) -> Advance {
    let Position { at, number } = to;
    let to = SourcePosition { source: source.to_owned(), at: at.cast_signed(), number: number.cast_signed() };
    Advance { from: from.at.cast_signed(), to }
}

impl Batch {
    /// Adds an event at the end.
    pub fn push(&mut self, event: &NewEvent, topic: &Topic) {
        let record = OutboxRecord::of(event, topic);
        self.bytes += record.packed.len();
        self.records.push(record);
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many bytes they have together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} events, {} bytes)", self.len(), self.bytes)
    }
}

/// Waits for a broker, and makes the topic. Before that nothing may be sent: a broker may make a topic by itself, with
/// settings of its own.
async fn topic_is_there(connection: Connection, topic: TopicSpec) {
    let mut pause = FIRST_PAUSE * 5;
    loop {
        let Err(error) = ensure_topics(&connection, vec![topic.clone()]).await else { return };
        tracing::warn!("what is in the outbox waits for Kafka, trying again in {pause:?}: {error:#}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::relay::memory::Memory;

    /// Catches: events that are added again although only the answer was lost.
    #[tokio::test(start_paused = true)]
    async fn what_was_added_is_not_added_again_when_the_answer_is_lost() {
        let store = Arc::<Memory>::default();
        let connection = Connection { bootstrap_servers: "127.0.0.1:1".to_owned(), properties: Vec::new() };
        let never = std::future::pending();
        let relay = Relay::start_after(never, &connection, Arc::clone(&store) as Arc<dyn Store>);
        let outbox =
            Outbox { store: Arc::clone(&store) as Arc<dyn Store>, relay: relay.expect("a relay"), bound: 10 };
        let mut batch = Batch::default();
        batch.push(&NewEvent::new("/a", "t"), &"topic1".parse().expect("a topic"));
        store.loses_answer.store(true, Ordering::Relaxed);
        let read = ("file", Position::default(), Position { at: 9, number: 1 });
        assert_eq!(outbox.add(&batch, Some(read)).await, Ok(true));
        assert_eq!(store.rows().len(), 1);
    }
}
