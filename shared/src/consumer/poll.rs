//! The poll thread: owns the Kafka consumer, never runs a handler, and is the one place that stores offsets.

mod handover;
mod take_over;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::take_over::{ANSWER, Taking};
use super::assignment::Assignment;
use super::lane::{Common, FromLane, Incoming, ToLane};
use super::rebalance::{Change, Changes};
use super::tracker::Received;
use super::{Key, Options, SlotId};
use crate::client::Connection;
use crate::raw;
use crate::record::RecordBuilder;
use crate::store::StoreError;
use crate::topic::Topic;

/// Records are handed to the lanes at the latest when there are so many.
const BATCH: usize = 512;
/// How long `poll` may wait while nothing is under way: what a stop waits for at most.
const IDLE: Duration = Duration::from_millis(100);
/// How long it may wait while lanes have something to report, or the end of a backlog may have come.
const BUSY: Duration = Duration::from_millis(10);
/// How long a full window is waited out before partitions are paused, which costs their prefetched records.
const BEFORE_PAUSE: Duration = Duration::from_millis(100);
/// How often offsets go to librdkafka, which commits them every second.
const STORE_EVERY: Duration = Duration::from_millis(50);
/// How often rows of the ledger are deleted that nobody will ask for again.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// How long the group may take to say what the store has said already: longer than a session lasts.
const FENCED_FOR: Duration = Duration::from_secs(30);
/// How long nothing may arrive before the end of a backlog counts as reached: behind its last record there may
/// be offsets that hold none (transaction markers, compaction).
const QUIET: Duration = Duration::from_secs(5);

pub(super) struct PollThread {
    consumer: BaseConsumer<Changes>,
    options: Options,
    assignment: Assignment,
    lanes: Vec<UnboundedSender<ToLane>>,
    batches: Vec<Vec<Incoming>>,
    reports: Receiver<FromLane>,
    common: Arc<Common>,
    stop: Arc<AtomicBool>,
    builder: RecordBuilder,
    hasher: Hasher,
    stored_at: Instant,
    /// When a record came last, or could not come.
    heard_at: Instant,
    /// Whether the group has answered at all, be it with no partition.
    assigned: bool,
    runtime: Handle,
    /// When the store, or the broker, was last asked about partitions that are to be taken over.
    asked_at: Option<Instant>,
    /// What the store has not answered yet.
    taking: Option<Taking>,
    /// Slots that another has taken over in the store, and since when.
    fenced: Vec<(SlotId, Instant)>,
    /// How many partitions each topic had when it was last looked at.
    partitions: HashMap<Topic, usize>,
    /// Why no event can be settled any more.
    failed: Option<StoreError>,
    pruned_at: Instant,
    pruning: Option<JoinHandle<()>>,
}

impl PollThread {
    pub(super) fn new(
        connection: &Connection,
        options: Options,
        common: Arc<Common>,
        lanes: Vec<UnboundedSender<ToLane>>,
        reports: Receiver<FromLane>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let config = connection.consumer(&options.group)?;
        let consumer = BaseConsumer::from_config_and_context(&config, Changes::default())?;
        let now = Instant::now();
        Ok(Self {
            consumer,
            assignment: Assignment::new(options.window, options.window_bytes, common.store.id()),
            options,
            batches: lanes.iter().map(|_| Vec::new()).collect(),
            lanes,
            reports,
            common,
            stop,
            builder: RecordBuilder::default(),
            hasher: Hasher::default(),
            stored_at: now,
            heard_at: now,
            assigned: false,
            runtime: Handle::current(),
            asked_at: None,
            taking: None,
            fenced: Vec::new(),
            partitions: HashMap::new(),
            failed: None,
            pruned_at: now,
            pruning: None,
        })
    }

    /// Polls until told to stop or caught up, drains and commits; `ended` gets the result then. Leaves the group
    /// last: with a broker that is away that takes a session timeout, and nothing hangs on it.
    pub(super) fn run(mut self, ended: oneshot::Sender<anyhow::Result<()>>) {
        let result = self.consume();
        self.let_go(&self.assignment.ids(), true);
        self.consumer.context().close();
        self.decline();
        // The lanes end with their inboxes.
        self.lanes.clear();
        let _ = ended.send(result);
    }

    /// Answers what the group still waits for: without that it could not be left.
    fn decline(&self) {
        while let Some(change) = self.consumer.context().next() {
            let answered = match change {
                Change::Assign(_) => self.consumer.incremental_assign(&TopicPartitionList::new()),
                Change::Revoke(partitions) => self.consumer.incremental_unassign(&partitions),
            };
            if let Err(error) = answered {
                tracing::debug!("ending: {error}");
            }
        }
    }

    fn consume(&mut self) -> anyhow::Result<()> {
        let topics: Vec<&str> = self.options.topics.iter().map(Topic::as_str).collect();
        self.consumer.subscribe(&topics).context("cannot subscribe")?;
        while !self.is_over() {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        self.take_reports();
        self.store();
        self.hold_back();
        let idle = self.assignment.window().events() == 0 && !self.options.until_caught_up;
        let wait = if idle { IDLE } else { BUSY };
        self.poll(wait)?;
        for (topic, partition, offset) in self.consumer.context().take_committed() {
            self.assignment.committed(&topic, partition, offset);
        }
        while let Some(change) = self.consumer.context().next() {
            let result = self.rebalance(&change);
            if !matches!(result, Ok(true)) {
                self.consumer.context().put_back(change);
                result?;
                break;
            }
        }
        self.prune();
        self.check_fenced()?;
        self.failed.clone().map_or(Ok(()), |error| Err(anyhow::Error::new(error).context("the store failed")))
    }

    /// Takes what has arrived, up to a batch, and hands it to the lanes.
    fn poll(&mut self, mut wait: Duration) -> anyhow::Result<()> {
        let mut error = None;
        for _ in 0..BATCH {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let incoming = incoming(&mut self.assignment, &mut self.builder, &self.hasher, &message)?;
                    if let Some(incoming) = incoming {
                        let lane = lane_of(incoming.key, self.lanes.len());
                        self.batches[lane].push(incoming);
                    }
                }
                Some(Err(reason)) => {
                    error = Some(reason);
                    break;
                }
                None => break,
            }
            wait = Duration::ZERO;
            if self.assignment.window().is_full() {
                break;
            }
        }
        if self.dispatch() {
            self.heard_at = Instant::now();
        }
        error.map_or(Ok(()), |error| self.failed(&error))
    }

    /// Hands over what was collected; `false` where that was nothing.
    fn dispatch(&mut self) -> bool {
        let mut any = false;
        for (lane, batch) in self.lanes.iter().zip(&mut self.batches) {
            if !batch.is_empty() {
                any = true;
                let _ = lane.send(ToLane::Batch(std::mem::take(batch)));
            }
        }
        any
    }

    /// Which errors end the run, and in which words.
    fn failed(&mut self, error: &KafkaError) -> anyhow::Result<()> {
        self.refusal(error)?;
        self.consumer.context().error(error.clone(), &error.to_string());
        Ok(())
    }

    /// An error that does not pass by itself.
    fn refusal(&self, error: &KafkaError) -> anyhow::Result<()> {
        use RDKafkaErrorCode as Code;
        if let KafkaError::MessageConsumptionFatal(code) = error {
            anyhow::bail!(
                "Kafka has shut this member out: {code}. Another instance with the same --instance-id?"
            );
        }
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => anyhow::bail!(
                "a committed offset of group {} is not in its partition any more: its records were deleted before \
                 they were handled. Say --on-missing-offsets earliest (handle what is left) or latest (skip it)",
                self.options.group.id
            ),
            // librdkafka goes on behind the batch: what was in it would be skipped without a word.
            Some(Code::BadMessage) => anyhow::bail!(
                "a batch of records is damaged on the broker or on the way. Nothing behind it is handled: mend the \
                 broker's log, or move group {} past the batch with Kafka's own tools",
                self.options.group.id
            ),
            Some(code @ (Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed)) => {
                anyhow::bail!(
                    "{code}: this user may not read the topics, or not as group {}",
                    self.options.group.id
                )
            }
            _ => Ok(()),
        }
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.take_report(report);
        }
    }

    fn take_report(&mut self, report: FromLane) {
        match report {
            FromLane::Settled(settled) => {
                for (slot, offset) in settled {
                    self.assignment.settled(slot, offset);
                }
            }
            FromLane::KeyFull(slot) => self.assignment.key_full(slot),
            FromLane::KeyOpen(slot) => self.assignment.key_open(slot),
            FromLane::Failed(error) => self.failed = Some(error),
            FromLane::Fenced(slot) => self.fenced.push((slot, Instant::now())),
            // Answers that came after their deadline.
            FromLane::Halted(..) | FromLane::Finished(_) => {}
        }
    }

    /// Gives librdkafka the offsets behind which everything is settled.
    fn store(&mut self) {
        if self.stored_at.elapsed() < STORE_EVERY {
            return;
        }
        self.stored_at = Instant::now();
        let moved = self.assignment.take_moved();
        if moved.count() > 0
            && let Err(error) = self.consumer.store_offsets(&moved)
        {
            tracing::warn!("offsets not stored: {error}");
        }
    }

    /// Another member has taken a partition over in the store. The group says so to this one, too, before long; where it
    /// does not, nothing of the partition would ever be handled again.
    fn check_fenced(&mut self) -> anyhow::Result<()> {
        self.fenced.retain(|(slot, _)| self.assignment.has(*slot));
        let since = self.fenced.iter().find(|(_, since)| since.elapsed() > FENCED_FOR);
        anyhow::ensure!(
            since.is_none(),
            "another process has taken over a partition in the store, and the group goes on giving it to this one. Started \
             again, this one takes it back; if that repeats, two clusters or groups of the same name share one store: give \
             each its own"
        );
        Ok(())
    }

    /// Has rows deleted that nobody will ask for again, now and then, while everything else goes on.
    fn prune(&mut self) {
        let is_busy = self.pruning.as_ref().is_some_and(|pruning| !pruning.is_finished());
        if self.pruned_at.elapsed() < PRUNE_EVERY || is_busy {
            return;
        }
        self.pruned_at = Instant::now();
        let (store, below, older_than) =
            (Arc::clone(&self.common.store), self.assignment.prunable(), self.options.dedupe_for);
        self.pruning = Some(self.runtime.spawn(async move {
            // A store that does not answer now is asked again in a minute.
            while let Ok(1..) = store.prune(below.clone(), older_than).await {
                tokio::task::yield_now().await;
            }
        }));
    }

    /// Pauses and resumes. A full window is first waited out for a moment; while partitions are paused, reports
    /// are waited for here, so that the first one that makes room is acted on at once.
    fn hold_back(&mut self) {
        let give_up = Instant::now() + BEFORE_PAUSE;
        while self.assignment.window().is_full() && self.wait_for_report(give_up) {}
        let hold = self.assignment.window().is_full() || !self.common.brake.intake_flows();
        let (pause, resume) = self.assignment.take_pauses(hold);
        for (list, result) in [
            (&pause, (pause.count() > 0).then(|| self.consumer.pause(&pause))),
            (&resume, (resume.count() > 0).then(|| self.consumer.resume(&resume))),
        ] {
            match result {
                Some(Err(error)) => tracing::warn!("cannot pause or resume: {error}"),
                Some(Ok(())) => tracing::debug!("paused or resumed {} partitions", list.count()),
                None => {}
            }
        }
    }

    /// Takes one report; `false` when none came before the deadline.
    fn wait_for_report(&mut self, deadline: Instant) -> bool {
        match self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(report) => {
                self.take_report(report);
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    fn is_over(&mut self) -> bool {
        self.stop.load(Ordering::Acquire) || (self.options.until_caught_up && self.is_caught_up())
    }

    fn is_caught_up(&mut self) -> bool {
        let is_blocked = self.common.counts.has_blocked_keys();
        let is_held = self.assignment.slots().any(|slot| slot.paused);
        if is_blocked || is_held || self.assignment.window().events() > 0 {
            // Nothing may come while there is no room for it: that is no silence.
            self.heard_at = Instant::now();
        }
        if !self.assigned || is_blocked {
            return false;
        }
        let behind = self.assignment.slots().find(|slot| !slot.is_caught_up());
        let Some(behind) = behind else { return self.assignment.slots().next().is_some() || self.is_quiet() };
        let (topic, partition) = (behind.topic, behind.partition);
        if !self.is_quiet() {
            return false;
        }
        // Quiet because that was all, or because the broker is away?
        let answered = self.consumer.fetch_watermarks(topic, partition, ANSWER).is_ok();
        self.heard_at = Instant::now();
        answered
    }

    fn is_quiet(&self) -> bool {
        self.heard_at.elapsed() > QUIET
    }
}

/// Copies a record out of the client. `None` for one that is none of ours any more, or under way already.
///
/// # Errors
/// The partition begins anew in the middle: what it holds now was not settled, though its offsets say so.
fn incoming(
    assignment: &mut Assignment,
    builder: &mut RecordBuilder,
    hasher: &Hasher,
    message: &BorrowedMessage<'_>,
) -> anyhow::Result<Option<Incoming>> {
    let Some((topic, slot)) = assignment.slot_of(message.topic(), message.partition()) else {
        return Ok(None);
    };
    let (record, is_readable) = raw::copy(message, topic, builder);
    let key = key_of(hasher, (topic, message.partition()), record.key(), message.offset());
    match assignment.received(slot, message.offset(), record.size()) {
        Received::New => Ok(Some(Incoming { slot, key, record, is_readable })),
        Received::Again => Ok(None),
        Received::Behind => anyhow::bail!(
            "{topic}/{} has gone back to offset {}: it was cut off, or made anew. Start service-b again, and it goes on \
             there as --on-missing-offsets says",
            message.partition(),
            message.offset()
        ),
    }
}

type Hasher = foldhash::fast::RandomState;

fn lane_of(key: Key, lanes: usize) -> usize {
    (key.0 >> 32) as usize % lanes
}

/// The same each time that the partition is assigned: its key stays in its lane, behind what may still be there of it.
fn key_of(hasher: &Hasher, (topic, partition): (&'static str, i32), key: Option<&[u8]>, offset: i64) -> Key {
    let mut state = hasher.build_hasher();
    // A topic's name is interned: its address is as good as its letters.
    (topic.as_ptr().addr(), partition).hash(&mut state);
    match key {
        Some(key) => key.hash(&mut state),
        // A null key orders nothing: every such record is a key of its own.
        None => offset.hash(&mut state),
    }
    Key(state.finish())
}
