//! What starts, and when: as many as there are permits, and as the brake lets them.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::settling::Unsettled;
use super::under_way::Work;
use super::{FromLane, Lane};
use crate::consumer::HandleError;
use crate::consumer::brake::{Change, Failed, Permission, SharedBrake};
use crate::consumer::key_queues::Room;
use crate::store::Effects;
use crate::telemetry::Printable;

impl Lane {
    /// Whether trying to start something makes sense.
    pub(super) fn may_have_ready(&self) -> bool {
        self.beginning.has_begun()
            || (self.queues.has_ready() && !self.is_braked && self.beginning.has_room())
    }

    pub(super) fn has_permit(&mut self) -> bool {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.common.permits).try_acquire_owned().ok();
        }
        self.permit.is_some()
    }

    pub(super) fn start_ready(&mut self) {
        let mut not_these = Vec::new();
        while self.may_have_ready() && self.has_permit() {
            // The brake has let these go before the ledger did.
            if let Some(work) = self.beginning.take_begun() {
                self.start(work);
                continue;
            }
            let Some((work, room)) = self.queues.next() else { break };
            if room == Room::BecameOpen {
                self.report(FromLane::KeyOpen(work.slot));
            }
            match self.may_start(&work) {
                Permission::Granted => self.start(work),
                // A stop does not wait for the brake: the next owner has what did not start.
                _ if self.slots.is_finishing(work.slot) => self.drop_key(&work),
                Permission::NotThis if self.is_paused(&work) => self.put_aside(work),
                Permission::NotThis => not_these.push(work),
                Permission::NotNow => {
                    self.is_braked = true;
                    self.queues.again(work.key, work);
                }
            }
        }
        self.is_braked |= !not_these.is_empty();
        for work in not_these {
            self.queues.again(work.key, work);
        }
    }

    pub(super) fn may_start(&self, work: &Work) -> Permission {
        if self.is_paused(work) {
            return Permission::NotThis;
        }
        match work.handler {
            Some(handler) => self.common.brake.may_start(handler, work.key.0, work.row.is_none()),
            None if self.common.brake.intake_flows() => Permission::Granted,
            None => Permission::NotNow,
        }
    }

    /// Drops the event, and what waits behind it here: none has started.
    pub(super) fn drop_key(&mut self, work: &Work) {
        let (waiting, _) = self.queues.take_waiting(work.key);
        self.queues.done(work.key);
        self.slots.closed(work.slot, 1 + waiting.len());
    }

    /// Counts the attempt. `None` where it was the outage's: the event waits as if it had not been tried.
    pub(super) fn tell_brake(
        &mut self,
        mut work: Work,
        result: &Result<Effects, HandleError>,
    ) -> Option<Work> {
        let (Some(handler), key) = (work.handler, work.key.0) else { return Some(work) };
        let brake = &self.common.brake;
        match result {
            Ok(effects) if effects.is_empty() => self.say(brake.succeeded(handler, key), ""),
            // Not before the database has taken them: see `took_effect`.
            Ok(_) => {}
            Err(HandleError::Permanent(_)) => brake.ended(handler, key),
            Err(HandleError::Transient(reason)) => {
                let (failed, change) = brake.failed(handler, key, work.streak);
                self.say(change, &format!("{reason:#}"));
                match failed {
                    Failed::Counted(streak) => work.streak = Some(streak),
                    Failed::Held => {
                        work.attempts -= 1;
                        self.queues.started(work.key, work.slot);
                        self.queues.again(work.key, work);
                        return None;
                    }
                }
            }
        }
        Some(work)
    }

    /// What the handler wrote has taken effect.
    pub(super) fn took_effect(&self, unsettled: &Unsettled) {
        if let (true, Some(handler)) = (unsettled.proves, unsettled.work.handler) {
            self.say(self.common.brake.succeeded(handler, unsettled.work.key.0), "");
        }
    }

    /// The attempt has come to its end otherwise: that says nothing about its handler.
    pub(super) fn took_none(&self, work: &Work) {
        if let Some(handler) = work.handler {
            self.common.brake.ended(handler, work.key.0);
        }
    }

    /// Whether the event goes on failing while its handler succeeds for others.
    pub(super) fn is_its_own_fault(&self, work: &Work) -> bool {
        let (Some(handler), Some(streak)) = (work.handler, work.streak) else { return false };
        self.common.brake.has_succeeded_since(handler, streak)
    }

    fn say(&self, change: Option<Change>, reason: &str) {
        match change {
            Some(Change::Opened { handler, pause }) => {
                let pattern = self.common.handlers.patterns().nth(handler).map(ToString::to_string);
                tracing::error!(
                    "the brake holds the whole intake: the handler for {} fails for every key, at last: {}. The next \
                     probe comes in {pause:.1?}",
                    pattern.unwrap_or_default(),
                    Printable(reason)
                );
            }
            Some(Change::Released) => tracing::info!("the brake lets events start again: a probe succeeded"),
            None => {}
        }
    }
}

/// Waits until the brake may answer differently. Cancel safe.
pub(super) async fn may_have_changed(brake: &SharedBrake, changed: &mut watch::Receiver<()>) {
    // Nothing to wait for: it has changed already.
    let Some(at) = brake.next_change() else { return };
    tokio::select! {
        _ = changed.changed() => {}
        () = tokio::time::sleep_until(Instant::from_std(at)) => {}
    }
}
