//! Whether a backlog has come to its end.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::PollThread;
use super::take_over::ANSWER;
use crate::client::GroupProtocol;
use crate::consumer::assignment::Slot;

/// How long nothing may arrive before the end of a backlog counts as reached: behind its last record there may
/// be offsets that hold none (transaction markers, compaction).
const QUIET: Duration = Duration::from_secs(5);

impl PollThread {
    pub(super) fn is_over(&mut self) -> bool {
        self.stop.load(Ordering::Acquire) || (self.options.until_caught_up && self.is_caught_up())
    }

    pub(super) fn is_caught_up(&mut self) -> bool {
        let is_blocked = self.common.counts.has_blocked_keys();
        let is_held = self.assignment.slots().any(|slot| slot.paused);
        if is_blocked || is_held || self.assignment.window().events() > 0 {
            // Nothing may come while there is no room for it: that is no silence.
            self.heard_at = Instant::now();
        }
        if is_blocked || self.consumer.context().has_next() || !self.has_answer() {
            return false;
        }
        if self.assignment.slots().all(Slot::is_caught_up) {
            return self.assignment.slots().next().is_some() || self.is_quiet();
        }
        if !self.is_quiet() {
            return false;
        }
        // Quiet because that was all, or because a broker is away? Or was, until it answered: then something comes now.
        let mut ends = TopicPartitionList::new();
        for slot in self.assignment.slots().filter(|slot| !slot.is_caught_up()) {
            let _ = ends.add_partition(slot.topic, slot.partition).set_offset(Offset::End);
        }
        let answered = self
            .consumer
            .offsets_for_times(ends, ANSWER)
            .is_ok_and(|ends| ends.elements().iter().all(|end| end.error().is_ok()));
        let was_quiet_since = self.answered_at == Some(self.heard_at);
        self.heard_at = Instant::now();
        self.answered_at = answered.then_some(self.heard_at);
        answered && was_quiet_since
    }

    /// Whether the group has told this member what it gets. Where that is nothing, `group.protocol=consumer` says so by
    /// taking the member in, and by no more than that.
    fn has_answer(&mut self) -> bool {
        if self.assigned || self.options.group.protocol == GroupProtocol::Classic || !self.is_quiet() {
            return self.assigned;
        }
        self.assigned = self.consumer.is_member();
        self.heard_at = Instant::now();
        false
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.heard_at.elapsed() > QUIET
    }
}
