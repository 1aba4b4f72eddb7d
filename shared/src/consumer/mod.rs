//! The consumer runtime: from a Kafka topic to a handler, and the offset moves only behind what is settled.
//!
//! ```text
//! poll thread ──batches──▶ lanes ──▶ handler ──▶ outcome ──▶ ledger: done, dead, or deferred ──▶ due: the lane again
//!      ▲                                                       │
//!      └───────────────────── settled offsets ◀────────────────┘
//!      tracker ──▶ stored offset ──▶ committed
//! ```
//!
//! Promises, and what stands behind each:
//! - An offset is stored only when every record before it is settled: `tracker.rs`, stored from `poll.rs` alone. Settled
//!   is what the ledger has: handled, dead, or deferred.
//! - One event of a key at a time, in order, also while one is tried again: `key_queues.rs` in memory, `blocked_keys.rs`
//!   for what waits in the ledger.
//! - No effect twice: effects and the event's row are one transaction, fenced by the partition's epoch; see
//!   [`store`](crate::store).
//! - A clean rebalance or stop repeats nothing: `poll.rs` halts the lanes, brings to its end everything below
//!   the highest offset started, commits, and only then lets go.
//! - A bad record stops nothing: it is dead in the ledger, its letter in the outbox, in one transaction.
//! - An outage is not a poison record: `brake.rs`.
//! - What an operator has paused starts nothing, also after a restart: `pauses.rs`; its events are put aside in
//!   `lane/pausing.rs`, so that all others go on.
//!
//! What breaks the order of a key: a partition count that changes (it is logged). What breaks "repeats nothing": kill -9, or
//! handlers that outlast the deadline; both are repeats of handlers, never of effects, and never losses.

mod assignment;
mod blocked_keys;
mod brake;
mod common;
#[cfg(any(test, feature = "cost"))]
#[doc(hidden)]
pub mod cost;
mod counts;
mod handler;
mod handlers;
mod key_queues;
mod lane;
mod messages;
mod outcome;
mod pauses;
mod poll;
mod rebalance;
mod recent;
mod retry;
mod running;
mod threads;
mod tracker;
mod window;

use std::sync::Arc;
use std::time::Duration;

pub use self::counts::{Counts, Summary};
pub(crate) use self::handler::AnyHandler;
pub use self::handler::{Data, HandleError, Handler, Json};
pub use self::handlers::{Handlers, HandlersError};
pub use self::retry::RetryPolicy;
// With these a handler says what it wants: whoever writes one finds all in one place.
pub use crate::store::{Effects, Migration, Schema, Statement, Value};

use self::running::Running;
use crate::client::{Connection, Group};
use crate::store::StoreUrl;
use crate::topic::Topic;

/// How the runtime works. The defaults are those of service-b.
#[derive(Debug, Clone)]
pub struct Options {
    /// The topics to subscribe to.
    pub topics: Vec<Topic>,
    /// By which topic commands come, if any do. Its name is also that of the group in which they are handled.
    pub commands: Option<Topic>,
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
    /// Where the ledger is.
    pub store: StoreUrl,
    /// Go on with this store where the group has worked with another.
    pub adopt_store: bool,
    /// Which events have a row in the ledger.
    pub delivery: Delivery,
    /// How many events of one key may wait in the ledger before its partition is held.
    pub deferred_max: usize,
    /// What a dead event does to the later ones of its key.
    pub on_dead: OnDead,
    /// How long the ledger knows an event that is settled, at least.
    pub dedupe_for: Duration,
    /// What happens to events that no handler is for.
    pub unhandled: Unhandled,
    /// Handle what was there at the start, then end.
    pub until_caught_up: bool,
    /// How long a stop or a rebalance waits for what is under way.
    pub shutdown_deadline: Duration,
}

impl Options {
    /// How commands are handled: as events are, in a group of their own. So they take no member's share of the events away,
    /// and wait for none: not behind a full window, nor before a brake.
    fn of_commands(&self) -> Option<Self> {
        let commands = self.commands.clone()?;
        Some(Self {
            group: Group { id: commands.to_string(), ..self.group.clone() },
            topics: vec![commands],
            commands: None,
            lanes: 1,
            // A reply is kept with a row.
            delivery: Delivery::EffectivelyOnce,
            unhandled: Unhandled::DeadLetter,
            on_dead: OnDead::FlowOn,
            ..self.clone()
        })
    }
}

/// What happens to an event whose type no handler is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unhandled {
    /// It becomes a dead letter: somebody should know.
    DeadLetter,
    /// It is settled as if handled.
    Skip,
}

/// What the ledger promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Delivery {
    /// Every event has its row: however often it arrives, its effects are applied once.
    EffectivelyOnce,
    /// An event that was handled and has no effects leaves no row: it may be handled again after a crash.
    AtLeastOnce,
}

/// What a dead event does to the later ones of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnDead {
    /// Nothing: they are handled.
    FlowOn,
    /// They wait for an operator.
    HoldKey,
}

/// A partition while it is assigned. Assigned again it is another slot, so that late results of the first
/// time match nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct SlotId(u32);

/// What stands for partition and key in the lanes: a hash with a random seed. Should two keys of a partition ever
/// collide, they share a queue: slower, and still in order. For two of different partitions the odds are 2^-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(u64);

/// Consumes until `shutdown` completes (or the backlog is handled), drains, commits and leaves the group.
///
/// # Errors
/// Kafka refuses for good: no permission, fenced, a committed offset that is gone. The store cannot be used: a newer
/// schema, a statement that does not parse, another store than the group has worked with. What was settled by then is
/// committed as far as Kafka lets us.
pub async fn run(
    connection: &Connection,
    options: Options,
    handlers: Handlers,
    counts: Arc<Counts>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Summary> {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut running = tokio::select! {
        running = Running::start(connection, options, handlers, Arc::clone(&counts)) => running?,
        () = &mut shutdown => return Ok(counts.summary()),
    };
    let ended = tokio::select! {
        ended = running.end() => ended,
        () = shutdown => Ok(()),
    };
    running.stop(ended).await?;
    Ok(counts.summary())
}
