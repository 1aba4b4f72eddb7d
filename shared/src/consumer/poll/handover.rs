//! The part of the poll thread that answers the group, and lets partitions go.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::PollThread;
use crate::consumer::SlotId;
use crate::consumer::messages::{FromLane, ToLane};
use crate::consumer::rebalance::Change;

/// How long the group's coordinator may take to show that it is there, before a commit.
const REACHED: Duration = Duration::from_secs(2);

impl PollThread {
    /// `false` where the store or the broker does not answer: to be tried again, after polling.
    pub(super) fn rebalance(&mut self, change: &Change) -> anyhow::Result<bool> {
        match change {
            Change::Assign(partitions) => self.assign(partitions),
            Change::Revoke(partitions) => {
                let lost = self.consumer.assignment_lost();
                if lost {
                    tracing::warn!("lost {}: another member may have them by now", names(partitions));
                    (self.assigned, self.waits_since) = (false, Some(Instant::now()));
                }
                self.let_go(&self.assignment.ids_of(partitions), !lost);
                tracing::info!("revoked {}", names(partitions));
                self.consumer.incremental_unassign(partitions).context("cannot give partitions back")?;
                Ok(true)
            }
        }
    }

    /// Lets go of partitions: everything below the highest offset started is brought to its end, nothing above
    /// starts, then the offsets are committed. Polling stands still meanwhile.
    pub(super) fn let_go(&mut self, slots: &[SlotId], commit: bool) {
        if slots.is_empty() {
            return;
        }
        if commit {
            self.drain(slots, Instant::now() + self.options.shutdown_deadline);
        }
        self.tell_all(slots, ToLane::Forget);
        if commit {
            self.commit(slots);
        }
        for id in slots {
            let Some(slot) = self.assignment.remove(*id) else { continue };
            let (repeats, topic, partition) = (slot.repeats(), slot.topic, slot.partition);
            if repeats > 0 {
                self.common.counts.duplicates_possible.fetch_add(repeats, Ordering::Relaxed);
                tracing::warn!(
                    "{topic}/{partition} let go before all was settled and committed: up to {repeats} events may be \
                     handled again"
                );
            }
        }
    }

    fn drain(&mut self, slots: &[SlotId], deadline: Instant) {
        if self.failed.is_some() {
            return; // Nothing can be settled any more, and the lane that said so answers no more.
        }
        self.intake.dispatch();
        let mut limits: HashMap<SlotId, i64> = slots.iter().map(|slot| (*slot, -1)).collect();
        self.tell_all(slots, ToLane::Halt);
        let mut answers = slots.len() * self.intake.lanes().len();
        while answers > 0 {
            match self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(FromLane::Halted(slot, highest)) => {
                    // Of another slot: an answer to an earlier question, after its deadline.
                    let Some(limit) = limits.get_mut(&slot) else { continue };
                    answers -= 1;
                    *limit = highest.map_or(*limit, |highest| highest.max(*limit));
                }
                Ok(FromLane::Failed(error)) => {
                    self.failed = Some(error);
                    return;
                }
                Ok(report) => self.take_report(report),
                Err(_) => return tracing::warn!("a handler blocks its lane: it did not answer in time"),
            }
        }
        for (slot, limit) in &limits {
            self.assignment.truncate(*slot, *limit);
        }
        self.tell_all(slots, |slot| ToLane::Finish(slot, limits.get(&slot).copied().unwrap_or(-1)));
        let mut answers = slots.len() * self.intake.lanes().len();
        while answers > 0 {
            match self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(FromLane::Finished(slot)) => answers -= usize::from(limits.contains_key(&slot)),
                Ok(FromLane::Failed(error)) => {
                    self.failed = Some(error);
                    return;
                }
                Ok(report) => self.take_report(report),
                Err(_) => {
                    let deadline = self.options.shutdown_deadline;
                    return tracing::warn!("not everything under way was settled within {deadline:?}");
                }
            }
        }
    }

    fn tell_all(&self, slots: &[SlotId], message: impl Fn(SlotId) -> ToLane) {
        for (lane, slot) in
            self.intake.lanes().iter().flat_map(|lane| slots.iter().map(move |slot| (lane, slot)))
        {
            let _ = lane.send(message(*slot));
        }
    }

    /// Commits where the slots stand, and waits for the answer: where the group's coordinator answers at all, because
    /// the commit itself has no timeout but the session's.
    fn commit(&mut self, slots: &[SlotId]) {
        let positions = self.assignment.positions(slots);
        if positions.count() == 0 {
            return;
        }
        // Stored as well: what librdkafka commits by itself at the end must not be older.
        if let Err(error) = self.consumer.store_offsets(&positions) {
            tracing::debug!("offsets not stored: {error}");
        }
        let reached = self.consumer.committed_offsets(positions.clone(), REACHED);
        // Any other error is an answer. Where it says that another is the coordinator now, the commit goes there.
        if let Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OperationTimedOut)) = reached {
            return tracing::warn!("offsets not committed: no answer from the group's coordinator");
        }
        if let Err(error) = self.consumer.commit(&positions, CommitMode::Sync) {
            return tracing::warn!("offsets not committed: {error}");
        }
        // rdkafka hides what the answer says of each partition: read back, or it is not known to be committed.
        match self.consumer.committed_offsets(positions, REACHED) {
            Ok(committed) => {
                for element in committed.elements() {
                    if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset()) {
                        self.assignment.committed(element.topic(), element.partition(), offset);
                    }
                }
            }
            Err(error) => tracing::warn!("committed offsets not read back: {error}"),
        }
    }
}

pub(super) fn names(partitions: &TopicPartitionList) -> String {
    let elements = partitions.elements();
    elements.iter().map(|e| format!("{}/{}", e.topic(), e.partition())).collect::<Vec<_>>().join(", ")
}
