//! What the lanes of a set share with each other and with their poll thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::brake::{self, SharedBrake};
use super::key_queues::Load;
use super::pauses::SharedPauses;
use super::{Counts, Delivery, Handlers, OnDead, Options, RetryPolicy, Unhandled};
use crate::store::Store;
use crate::topic::Topic;

/// How many keys have to fail, without a success in between, before it is called an outage.
const OUTAGE_KEYS: usize = 5;
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LONGEST_PROBE: Duration = Duration::from_secs(60);

/// What all lanes share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) handlers: Handlers,
    pub(super) unhandled: Unhandled,
    pub(super) retry: RetryPolicy,
    pub(super) handler_timeout: Duration,
    /// How much of one key may wait in memory.
    pub(super) key_bound: Load,
    /// How many of them may wait in the ledger.
    pub(super) deferred_max: usize,
    pub(super) on_dead: OnDead,
    /// Whether an event that is handled and has no effects gets its row, too.
    pub(super) every_event_has_a_row: bool,
    pub(super) permits: Arc<Semaphore>,
    /// How many permits there are.
    pub(super) concurrency: usize,
    pub(super) group: String,
    /// Which service answers: these are lanes of commands. `None` for events, which have nobody to answer.
    pub(super) answers_as: Option<String>,
    pub(super) store: Arc<dyn Store>,
    /// The dead-letter topic of each topic.
    pub(super) dead_letters: HashMap<String, Topic>,
    /// Told when the outbox has something new.
    pub(super) relay: Arc<Notify>,
    pub(super) counts: Arc<Counts>,
    pub(super) brake: SharedBrake,
    pub(super) pauses: SharedPauses,
}

impl Common {
    /// For a member of these topics with these handlers; its lanes ring the relay and count.
    ///
    /// # Errors
    /// A topic whose dead-letter topic would have no name that Kafka allows.
    pub(super) fn new(
        options: &Options,
        handlers: Handlers,
        store: Arc<dyn Store>,
        relay: Arc<Notify>,
        counts: Arc<Counts>,
    ) -> anyhow::Result<Self> {
        let settings = brake::Settings {
            keys: OUTAGE_KEYS,
            first_pause: FIRST_PROBE,
            longest_pause: LONGEST_PROBE,
            longest_attempt: options.handler_timeout.saturating_add(Duration::from_secs(1)),
            concurrency: options.concurrency,
        };
        let topics = options.topics.iter().map(ToString::to_string).collect();
        Ok(Self {
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
}

/// The dead-letter topic of each topic.
fn dead_letters(options: &Options) -> anyhow::Result<HashMap<String, Topic>> {
    let of = |topic: &Topic| Ok((topic.to_string(), topic.dead_letters(&options.group.id)?));
    options.topics.iter().map(of).collect()
}
