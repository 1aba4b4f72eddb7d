//! The poll thread: owns the Kafka consumer, never runs a handler, and is the one place that stores offsets.

mod caught_up;
mod handover;
mod intake;
mod refusal;
mod standstill;
mod take_over;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::ClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::intake::Intake;
use self::refusal::refusal;
use self::take_over::Taking;
use self::watch::Watch;
use super::assignment::Assignment;
use super::common::Common;
use super::messages::{FromLane, ToLane};
use super::rebalance::{Change, Changes};
use super::{Options, SlotId};
use crate::client::Connection;
use crate::raw::{BatchConsumer, FetchError, Fetched};
use crate::store::StoreError;
use crate::topic::Topic;

/// Records are handed to the lanes at the latest when there are so many.
const BATCH: usize = 512;
/// How long `poll` may wait while nothing is under way: what a stop waits for at most.
const IDLE: Duration = Duration::from_millis(100);
/// How long it may wait while lanes have something to report, or the end of a backlog may have come.
const BUSY: Duration = Duration::from_millis(10);
/// How long a turn waits for room while the window is full: what a rebalance or a stop waits for at most then.
const FULL: Duration = Duration::from_millis(100);
/// How often offsets go to librdkafka, which commits them every second.
const STORE_EVERY: Duration = Duration::from_millis(50);
/// How often rows of the ledger are deleted that nobody will ask for again.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

pub(super) struct PollThread {
    consumer: BatchConsumer<Changes>,
    options: Options,
    assignment: Assignment,
    intake: Intake,
    reports: Receiver<FromLane>,
    common: Arc<Common>,
    stop: Arc<AtomicBool>,
    stored_at: Instant,
    /// When a record came last, or could not come.
    heard_at: Instant,
    /// When the brokers last answered whether the end of a backlog has come; `heard_at` is the same until a record comes.
    answered_at: Option<Instant>,
    /// Whether the group has answered, be it with no partition; with `group.protocol=consumer` it does not say that. Not
    /// after a loss, until the next assignment.
    assigned: bool,
    /// Since when the group is waited for; `None` once that was said.
    waits_since: Option<Instant>,
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
    watch: Watch,
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
        let consumer = BatchConsumer::new(&config, Changes::default())?;
        let now = Instant::now();
        Ok(Self {
            consumer,
            assignment: Assignment::new(options.window, options.window_bytes, common.store.id()),
            options,
            intake: Intake::new(lanes),
            reports,
            common,
            stop,
            stored_at: now,
            heard_at: now,
            answered_at: None,
            assigned: false,
            waits_since: Some(now),
            runtime: Handle::current(),
            asked_at: None,
            taking: None,
            fenced: Vec::new(),
            partitions: HashMap::new(),
            failed: None,
            pruned_at: now,
            pruning: None,
            watch: Watch::new(),
        })
    }

    /// Polls until told to stop or caught up, drains and commits; `ended` gets the result then. Leaves the group
    /// last: with a broker that is away that takes a session timeout, and nothing hangs on it.
    pub(super) fn run(mut self, ended: oneshot::Sender<anyhow::Result<()>>) {
        let result = self.consume();
        self.let_go(&self.assignment.ids(), true);
        self.consumer.context().close();
        self.decline();
        self.intake.close();
        let _ = ended.send(result);
        self.consumer.close();
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
        self.tell_waiting();
        self.prune();
        self.watch();
        self.check_fenced()?;
        self.check_paused()?;
        self.failed.clone().map_or(Ok(()), |error| Err(anyhow::Error::new(error).context("the store failed")))
    }

    /// Takes what has arrived, up to a batch, and hands it to the lanes.
    fn poll(&mut self, wait: Duration) -> anyhow::Result<()> {
        // What was heard is acted on before anything is waited for.
        let wait = if self.poll_events()? { Duration::ZERO } else { wait };
        let most = BATCH.min(self.assignment.window().room());
        let mut passing = Vec::new();
        self.assignment.next_batch();
        for fetched in self.consumer.fetch(wait, most) {
            match fetched {
                Ok(fetched) => self.intake.take(&fetched, &mut self.assignment)?,
                Err(failed) => {
                    // Nothing behind one that ends the run is taken: it would be committed, and the damage skipped.
                    refusal(&failed.error, &self.options.group.id)?;
                    passing.push(failed);
                }
            }
        }
        if self.intake.dispatch() {
            self.heard_at = Instant::now();
        }
        for failed in passing {
            self.go_back(failed);
        }
        Ok(())
    }

    /// librdkafka has counted an error as a record that was taken: back to where this partition is.
    fn go_back(&mut self, failed: FetchError) {
        let FetchError { topic, partition, error, reason } = failed;
        self.consumer.context().error(error, &reason);
        if let Some(next) = self.assignment.next(&topic, partition)
            && let Err(error) = self.consumer.seek(&topic, partition, next, Duration::ZERO)
        {
            tracing::warn!("{topic}/{partition}: cannot go back to {next:?}: {error}");
        }
    }

    /// What librdkafka has to say besides records: its context is told of rebalances and commits. Whether there was any.
    fn poll_events(&mut self) -> anyhow::Result<bool> {
        let mut heard = false;
        while self.consumer.has_events() {
            heard = true;
            match self.consumer.poll(Duration::ZERO) {
                // Of a partition that is not forwarded.
                Some(Ok(message)) => {
                    if let Some(fetched) = Fetched::of(&message) {
                        self.intake.take(&fetched, &mut self.assignment)?;
                    }
                }
                Some(Err(error)) => {
                    refusal(&error, &self.options.group.id)?;
                    let reason = error.to_string();
                    self.consumer.context().error(error, &reason);
                }
                None => {}
            }
        }
        Ok(heard)
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

    /// Waits for room, and pauses and resumes what else is to stand still.
    ///
    /// A full window pauses nothing: records that the client has fetched ahead, which is bounded, are not taken until there
    /// is room. A pause would throw them away, and where all partitions are resumed nothing wakes the thread in librdkafka
    /// that fetches: it may sleep for a second (`rd_kafka_broker_consumer_serve`), each time that the window was full.
    fn hold_back(&mut self) {
        self.assignment.stand_still(|topic| self.common.pauses.holds_topic(topic));
        let give_up = Instant::now() + FULL;
        while self.assignment.window().is_full() && self.wait_for_report(give_up) {}
        let (pause, resume) = self.assignment.take_pauses(!self.common.brake.intake_flows());
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
}
