//! Why nothing moves, where that is nobody's doing here: said, or the reason to end.

use std::time::Duration;

use super::PollThread;
use crate::store::{Pausable, Pause};

/// How long the group may take to say what the store has said already: longer than a session lasts.
const FENCED_FOR: Duration = Duration::from_secs(30);
/// How long the group may take to give this member an answer before that is worth a line.
const TELL_WAITING: Duration = Duration::from_secs(5);

impl PollThread {
    /// A group waits for a member that died until its session is over, and for one that lets go until it has. Who was
    /// started meanwhile stands still, and an operator should see why.
    pub(super) fn tell_waiting(&mut self) {
        let is_unanswered = !self.assigned && self.taking.is_none() && self.asked_at.is_none();
        if is_unanswered && self.waits_since.take_if(|since| since.elapsed() > TELL_WAITING).is_some() {
            tracing::info!(
                "group {} gives out no partitions yet: it may be waiting for a member that was killed, until its session is \
                 over or it is back under the same --instance-id, or for one that finishes its work",
                self.options.group.id
            );
        }
    }

    /// Another member has taken a partition over in the store. The group says so to this one, too, before long; where it
    /// does not, nothing of the partition would ever be handled again.
    pub(super) fn check_fenced(&mut self) -> anyhow::Result<()> {
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

    /// Who ends when a backlog is handled would wait for an operator, and whoever waits for the end would not know why.
    pub(super) fn check_paused(&self) -> anyhow::Result<()> {
        let Some(Pause { what, name, since }) = self.common.pauses.first() else { return Ok(()) };
        anyhow::ensure!(
            !self.options.until_caught_up,
            "the {} {name} is paused since {since:.0}, so that --until-caught-up would not come to its end: resume it first, \
             see `service-b {} list`",
            what.as_str(),
            if what == Pausable::Topic { "streams" } else { "handlers" }
        );
        Ok(())
    }
}
