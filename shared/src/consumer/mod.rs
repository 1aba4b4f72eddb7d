//! The consumer runtime: from a Kafka topic to a handler, and the offset moves only behind what is settled.
//!
//! ```text
//! poll thread ──batches──▶ lanes ──▶ handler ──▶ outcome: done, retry (pause, then the lane again), dead letter
//!      ▲                     │
//!      └──settled offsets────┘   tracker ──▶ stored offset ──▶ committed
//! ```
//!
//! Promises, and what stands behind each:
//! - An offset is stored only when every record before it is settled: `tracker.rs`, stored from `poll.rs` alone.
//! - One event of a key at a time, in order, also while one is tried again: `key_queues.rs`.
//! - A clean rebalance or stop repeats nothing: `poll.rs` halts the lanes, brings to its end everything below
//!   the highest offset started, commits, and only then lets go.
//! - A bad record stops nothing: `dead_letter.rs`, awaited before its offset counts as settled.
//!
//! What breaks the order of a key: a partition count that changes. What breaks "repeats nothing": kill -9, or
//! handlers that outlast the deadline; both are repeats, never losses.

mod assignment;
mod brake;
mod dead_letter;
mod handler;
mod handlers;
mod key_queues;
mod lane;
mod outcome;
mod poll;
mod rebalance;
mod retry;
mod tracker;
mod window;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub(crate) use self::handler::AnyHandler;
pub use self::handler::{Data, HandleError, Handler, Json};
pub use self::handlers::{Handlers, HandlersError};
pub use self::retry::RetryPolicy;
// With these a handler says what it wants: whoever writes one finds all in one place.
pub use crate::store::{Effects, Migration, Schema, Statement, Value};

use self::dead_letter::KafkaDeadLetters;
use self::lane::{Common, Lane};
use self::poll::PollThread;
use crate::client::{Connection, Group};
use crate::topic::Topic;

/// How the runtime works. The defaults are those of service-b.
#[derive(Debug, Clone)]
pub struct Options {
    /// The topics to subscribe to.
    pub topics: Vec<Topic>,
    /// The group, and how it hands out partitions.
    pub group: Group,
    /// Workers; about one a core.
    pub lanes: usize,
    /// How many handlers may be under way over all lanes.
    pub concurrency: usize,
    /// How many events may be under way before intake pauses.
    pub window: usize,
    /// How many bytes of them.
    pub window_bytes: usize,
    /// How long a handler may take before the attempt counts as failed.
    pub handler_timeout: Duration,
    /// When a transient failure is tried again.
    pub retry: RetryPolicy,
    /// What happens to events that no handler is for.
    pub unhandled: Unhandled,
    /// Handle what was there at the start, then end.
    pub until_caught_up: bool,
    /// How long a stop or a rebalance waits for what is under way.
    pub shutdown_deadline: Duration,
}

/// What happens to an event whose type no handler is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unhandled {
    /// It becomes a dead letter: somebody should know.
    DeadLetter,
    /// It is settled as if handled.
    Skip,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events whose handler succeeded.
    pub handled: u64,
    /// Records that became dead letters, each acknowledged by the broker.
    pub dead_letters: u64,
    /// Attempts that failed transiently.
    pub retries: u64,
    /// Events settled without their offset committed, at most: their next owner handles them again.
    pub duplicates_possible: u64,
}

/// Counted while the runtime works.
#[derive(Debug, Default)]
pub struct Counts {
    handled: AtomicU64,
    dead_letters: AtomicU64,
    retries: AtomicU64,
    duplicates_possible: AtomicU64,
}

impl Counts {
    /// The counts so far.
    pub fn summary(&self) -> Summary {
        Summary {
            handled: self.handled.load(Ordering::Relaxed),
            dead_letters: self.dead_letters.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            duplicates_possible: self.duplicates_possible.load(Ordering::Relaxed),
        }
    }
}

/// A partition while it is assigned. Assigned again it is another slot, so that late results of the first
/// time match nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SlotId(u32);

/// What stands for slot and key in the lanes: a hash with a random seed. Should two keys ever collide, they
/// share a queue: slower, and still in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(u64);

/// Consumes until `shutdown` completes (or the backlog is handled), drains, commits and leaves the group.
///
/// # Errors
/// Kafka refuses for good: no permission, fenced, a committed offset that is gone. What was settled by then
/// is committed as far as Kafka lets us.
pub async fn run(
    connection: &Connection,
    options: Options,
    handlers: Handlers,
    counts: Arc<Counts>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Summary> {
    let common = Arc::new(Common {
        handlers,
        unhandled: options.unhandled,
        retry: options.retry,
        handler_timeout: options.handler_timeout,
        // Half the window: one slow key may fill that, and the other partitions still have the rest.
        key_bound: (options.window / 2).max(2),
        permits: Arc::new(Semaphore::new(options.concurrency)),
        dead_letters: Arc::new(dead_letters(connection, &options)?),
        counts: Arc::clone(&counts),
    });
    let (reports, from_lanes) = std_mpsc::channel();
    let (mut inboxes, mut lanes) = (Vec::new(), tokio::task::JoinSet::new());
    for _ in 0..options.lanes {
        let (to_lane, inbox) = mpsc::unbounded_channel();
        inboxes.push(to_lane);
        lanes.spawn(Lane::new(Arc::clone(&common), inbox, reports.clone()).run());
    }
    drop(reports);
    let stop = Arc::new(AtomicBool::new(false));
    let deadline = options.shutdown_deadline;
    let poll =
        PollThread::new(connection, options, inboxes, from_lanes, Arc::clone(&counts), Arc::clone(&stop))?;
    let (ended, mut end) = oneshot::channel();
    let (closing, closed) = oneshot::channel::<()>();
    std::thread::Builder::new().name("poll".to_owned()).spawn(move || {
        poll.run(ended);
        drop(closing);
    })?;

    let result = tokio::select! {
        result = &mut end => result,
        () = shutdown => {
            stop.store(true, Ordering::Release);
            let Ok(result) = tokio::time::timeout(deadline + COMMIT, end).await else {
                tracing::warn!("the Kafka client did not commit in time: the last events may be handled again");
                return Ok(counts.summary());
            };
            result
        }
    };
    result.context("the poll thread ended without a word: a bug")??;
    while lanes.join_next().await.is_some() {}
    if tokio::time::timeout(CLOSE, closed).await.is_err() {
        tracing::warn!("left without telling the group: the others notice after the session timeout");
    }
    Ok(counts.summary())
}

/// How long the last commit may take, after the deadline for what is under way.
const COMMIT: Duration = Duration::from_secs(10);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(3);

fn dead_letters(connection: &Connection, options: &Options) -> anyhow::Result<KafkaDeadLetters> {
    let group = &options.group.id;
    let of = |topic: &Topic| Ok((topic.as_str().to_owned(), topic.dead_letters(group)?));
    let topics = options.topics.iter().map(of).collect::<anyhow::Result<HashMap<_, _>>>()?;
    KafkaDeadLetters::new(connection, group, topics)
}
