//! Taking partitions over and letting them go: the part of the poll thread that answers the group.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::PollThread;
use crate::consumer::SlotId;
use crate::consumer::assignment::Slot;
use crate::consumer::lane::{FromLane, ToLane};
use crate::consumer::rebalance::Change;
use crate::topic::Topic;

/// How long the broker may take for a question asked between two polls.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// How long a broker may take to show that it is there, before a commit.
const REACHED: Duration = Duration::from_secs(2);

impl PollThread {
    pub(super) fn rebalance(&mut self, change: Change) -> anyhow::Result<()> {
        match change {
            Change::Assign(partitions) => self.assign(&partitions),
            Change::Revoke(partitions) => {
                let lost = self.consumer.assignment_lost();
                if lost {
                    tracing::warn!("lost {}: another member has them by now", names(&partitions));
                }
                self.let_go(&self.assignment.ids_of(&partitions), !lost);
                tracing::info!("revoked {}", names(&partitions));
                self.consumer.incremental_unassign(&partitions).context("cannot give partitions back")
            }
        }
    }

    /// Starts each partition where the group stands; one without a committed offset at its beginning.
    fn assign(&mut self, partitions: &TopicPartitionList) -> anyhow::Result<()> {
        let mut start = TopicPartitionList::new();
        {
            // In a scope of its own: this list holds references that would keep the consumer from closing.
            let committed = self.committed(partitions)?;
            for element in committed.elements() {
                let offset = match element.offset() {
                    Offset::Offset(offset) => Offset::Offset(offset),
                    _ => Offset::Beginning,
                };
                start.add_partition_offset(element.topic(), element.partition(), offset)?;
            }
        }
        for element in start.elements() {
            let target = if self.options.until_caught_up { self.target(&element)? } else { None };
            let from = element.offset().to_raw().filter(|offset| *offset >= 0);
            self.assignment.assign(element.topic(), element.partition(), from, target);
        }
        tracing::info!("assigned {}", names(&start));
        self.assigned = true;
        self.heard_at = Instant::now();
        self.consumer.incremental_assign(&start).context("cannot take partitions")
    }

    /// Where the group stands. Asks until a broker answers: to guess would lose or repeat events.
    fn committed(&self, partitions: &TopicPartitionList) -> anyhow::Result<TopicPartitionList> {
        loop {
            let answer = self.consumer.committed_offsets(partitions.clone(), ANSWER).and_then(|committed| {
                // The answer as a whole may be good and that for one partition not.
                committed.elements().iter().try_for_each(TopicPartitionListElem::error)?;
                Ok(committed)
            });
            match answer {
                Ok(committed) => return Ok(committed),
                Err(error) if self.stop.load(Ordering::Acquire) => {
                    return Err(error).context("stopped before the group's offsets could be read");
                }
                Err(error) => tracing::warn!("cannot read the group's offsets, trying again: {error}"),
            }
        }
    }

    /// Where the partition ends now; `None` where the group is there already.
    fn target(&self, element: &TopicPartitionListElem<'_>) -> anyhow::Result<Option<i64>> {
        let (low, high) = self.consumer.fetch_watermarks(element.topic(), element.partition(), ANSWER)?;
        let start = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => low,
        };
        Ok((start < high).then_some(high))
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
                self.counts.duplicates_possible.fetch_add(repeats, Ordering::Relaxed);
                tracing::warn!(
                    "{topic}/{partition} let go before all was settled and committed: up to {repeats} events may be \
                     handled again"
                );
            }
        }
    }

    fn drain(&mut self, slots: &[SlotId], deadline: Instant) {
        self.dispatch();
        let mut limits: HashMap<SlotId, i64> = slots.iter().map(|slot| (*slot, -1)).collect();
        self.tell_all(slots, ToLane::Halt);
        let mut answers = slots.len() * self.lanes.len();
        while answers > 0 {
            match self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(FromLane::Halted(slot, highest)) => {
                    answers -= 1;
                    if let (Some(limit), Some(highest)) = (limits.get_mut(&slot), highest) {
                        *limit = highest.max(*limit);
                    }
                }
                Ok(report) => self.take_report(report),
                Err(_) => return tracing::warn!("a handler blocks its lane: it did not answer in time"),
            }
        }
        for (slot, limit) in &limits {
            self.assignment.truncate(*slot, *limit);
        }
        self.tell_all(slots, |slot| ToLane::Finish(slot, limits.get(&slot).copied().unwrap_or(-1)));
        while !slots.iter().all(|id| self.assignment.get(*id).is_none_or(Slot::is_drained)) {
            if !self.wait_for_report(deadline) {
                return tracing::warn!(
                    "not everything under way was settled within {:?}",
                    self.options.shutdown_deadline
                );
            }
        }
    }

    fn tell_all(&self, slots: &[SlotId], message: impl Fn(SlotId) -> ToLane) {
        for (lane, slot) in self.lanes.iter().flat_map(|lane| slots.iter().map(move |slot| (lane, slot))) {
            let _ = lane.send(message(*slot));
        }
    }

    /// Commits where the slots stand, and waits for the answer: where a broker answers at all, because the
    /// commit itself has no timeout but the session's.
    fn commit(&mut self, slots: &[SlotId]) {
        let positions = self.assignment.positions(slots);
        if positions.count() == 0 {
            return;
        }
        // Stored as well: what librdkafka commits by itself at the end must not be older.
        if let Err(error) = self.consumer.store_offsets(&positions) {
            tracing::debug!("offsets not stored: {error}");
        }
        let topic = self.options.topics.first().map(Topic::as_str);
        if let Err(error) = self.consumer.fetch_metadata(topic, REACHED) {
            return tracing::warn!("offsets not committed, no broker answers: {error}");
        }
        if let Err(error) = self.consumer.commit(&positions, CommitMode::Sync) {
            return tracing::warn!("offsets not committed: {error}");
        }
        for element in positions.elements() {
            if let Offset::Offset(offset) = element.offset() {
                self.assignment.committed(element.topic(), element.partition(), offset);
            }
        }
    }
}

fn names(partitions: &TopicPartitionList) -> String {
    let elements = partitions.elements();
    elements.iter().map(|e| format!("{}/{}", e.topic(), e.partition())).collect::<Vec<_>>().join(", ")
}
