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
//!   [`store`].
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
#[cfg(any(test, feature = "cost"))]
#[doc(hidden)]
pub mod cost;
mod counts;
mod handler;
mod handlers;
mod key_queues;
mod lane;
mod outcome;
mod pauses;
mod poll;
mod rebalance;
mod recent;
mod retry;
mod threads;
mod tracker;
mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::sync::{Notify, Semaphore};

pub use self::counts::{Counts, Summary};
pub(crate) use self::handler::AnyHandler;
pub use self::handler::{Data, HandleError, Handler, Json};
pub use self::handlers::{Handlers, HandlersError};
pub use self::retry::RetryPolicy;
// With these a handler says what it wants: whoever writes one finds all in one place.
pub use crate::store::{Effects, Migration, Schema, Statement, Value};

use self::brake::SharedBrake;
use self::key_queues::Load;
use self::lane::Common;
use self::pauses::SharedPauses;
use self::threads::Threads;
use crate::client::{Connection, Group};
use crate::relay::Relay;
use crate::store::{self, Store, StoreUrl, until_available};
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
    let schemas = handlers.schemas();
    let store = tokio::select! {
        store = until_available("be opened", || Box::pin(store::open(&options.store, &schemas))) => store?,
        () = &mut shutdown => return Ok(counts.summary()),
    };
    let relay = Relay::start(connection, Arc::clone(&store))?;
    let (handlers, for_commands) = handlers.split();
    let (deadline, until_caught_up) = (options.shutdown_deadline, options.until_caught_up);
    let of_events = common(&options, handlers, Arc::clone(&store), relay.bell(), Arc::clone(&counts))?;
    let of_events = Arc::new(of_events);
    // Before the first event: what was paused when the last run ended stays so.
    tokio::select! {
        looked = pauses::look(&of_events.pauses, &*store, &options.group.id) => looked?,
        () = &mut shutdown => return Ok(counts.summary()),
    }
    let mut parts = Vec::with_capacity(2);
    if let Some(of_commands) = options.of_commands() {
        // Counted are events.
        let common = common(&of_commands, for_commands, Arc::clone(&store), relay.bell(), Arc::default())?;
        let common = Common { answers_as: Some(options.group.id.clone()), ..common };
        parts.push(Threads::start(connection, of_commands, Arc::new(common))?);
    }
    let mut watching = tokio::task::JoinSet::new();
    watching.spawn(pauses::watch(Arc::clone(&of_events), store, options.group.id.clone()));
    parts.push(Threads::start(connection, options, of_events)?);

    let ended = tokio::select! {
        (ended, ..) = select_all(parts.iter_mut().map(|part| Box::pin(part.end()))) => match ended {
            Some(result) => result,
            None => anyhow::bail!("a lane broke off: a bug. What was not settled is handled by the next run"),
        },
        () = shutdown => Ok(()),
    };
    let stopped = join_all(parts.iter_mut().map(Threads::stop));
    let Ok(stopped) = tokio::time::timeout(deadline + COMMIT, stopped).await else {
        ended?;
        tracing::warn!("the Kafka client did not commit in time: the last events may be handled again");
        return Ok(counts.summary());
    };
    let result = ended.and_then(|()| stopped.into_iter().collect::<anyhow::Result<()>>());
    if tokio::time::timeout(LANES, join_all(parts.iter_mut().map(Threads::lanes_end))).await.is_err() {
        tracing::warn!("a handler blocks its thread: it is left behind");
    }
    if until_caught_up && tokio::time::timeout(deadline, relay.drained()).await.is_err() {
        tracing::warn!("the outbox is not empty: what is left in it is published by the next run");
    }
    relay.stop(deadline).await;
    result?;
    if tokio::time::timeout(CLOSE, join_all(parts.iter_mut().map(Threads::closed))).await.is_err() {
        tracing::warn!("left without telling the group: the others notice after the session timeout");
    }
    Ok(counts.summary())
}

/// How long the last commit may take, after the deadline for what is under way.
const COMMIT: Duration = Duration::from_secs(10);
/// How long lanes may take to end, once they have nothing to do.
const LANES: Duration = Duration::from_secs(3);
/// How long leaving the group may take.
const CLOSE: Duration = Duration::from_secs(3);

/// The dead-letter topic of each topic.
fn dead_letters(options: &Options) -> anyhow::Result<HashMap<String, Topic>> {
    let of = |topic: &Topic| Ok((topic.to_string(), topic.dead_letters(&options.group.id)?));
    options.topics.iter().map(of).collect()
}

/// How many keys have to fail, without a success in between, before it is called an outage.
const OUTAGE_KEYS: usize = 5;
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LONGEST_PROBE: Duration = Duration::from_secs(60);

fn common(
    options: &Options,
    handlers: Handlers,
    store: Arc<dyn Store>,
    relay: Arc<Notify>,
    counts: Arc<Counts>,
) -> anyhow::Result<Common> {
    let settings = brake::Settings {
        keys: OUTAGE_KEYS,
        first_pause: FIRST_PROBE,
        longest_pause: LONGEST_PROBE,
        longest_attempt: options.handler_timeout.saturating_add(Duration::from_secs(1)),
        concurrency: options.concurrency,
    };
    let topics = options.topics.iter().map(ToString::to_string).collect();
    Ok(Common {
        pauses: SharedPauses::new(topics, handlers.patterns().map(ToString::to_string).collect()),
        brake: SharedBrake::new(settings, handlers.len()),
        handlers,
        unhandled: options.unhandled,
        retry: options.retry,
        handler_timeout: options.handler_timeout,
        // A quarter of the window: it opens again at half, and one slow key must not keep it from there.
        key_bound: Load { events: (options.window / 4).max(1), bytes: (options.window_bytes / 4).max(1) },
        deferred_max: options.deferred_max,
        on_dead: options.on_dead,
        every_event_has_a_row: options.delivery == Delivery::EffectivelyOnce,
        permits: Arc::new(Semaphore::new(options.concurrency)),
        concurrency: options.concurrency,
        group: options.group.id.clone(),
        answers_as: None,
        store,
        dead_letters: dead_letters(options)?,
        relay,
        counts,
    })
}
