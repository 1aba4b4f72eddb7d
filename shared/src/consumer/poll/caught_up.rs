//! Whether a backlog has come to its end.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::PollThread;
use super::take_over::ANSWER;

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

    pub(super) fn is_quiet(&self) -> bool {
        self.heard_at.elapsed() > QUIET
    }
}
