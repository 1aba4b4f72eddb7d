//! An attempt, from its start to what its outcome means for the event.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::noop_waker_ref;
use tokio::time::Instant;

use super::settling::Then;
use super::under_way::{UnderWay, Work};
use super::{Lane, answering, deferring};
use crate::consumer::outcome::Outcome;
use crate::consumer::{HandleError, OnDead, Unhandled};
use crate::dead_letter;
use crate::event::{Arrived, Event};
use crate::store::{Effects, Step, Wait, follow_ups};
use crate::telemetry::Printable;

pub(super) const CONFLICT: &str = "its id is that of another event with another content";

impl Lane {
    /// Starts an attempt, or asks the ledger first. The first poll happens here and now: a handler that is ready then has cost no queueing.
    pub(super) fn start(&mut self, mut work: Work) {
        self.slots.started(work.slot, work.offset);
        let event = match &work.arrived {
            Arrived::Event(event) => Arc::clone(event),
            Arrived::Undecodable(undecodable) => {
                let reason = undecodable.reason.clone();
                return self.dead(work, reason);
            }
        };
        if work.is_conflicting {
            return self.dead(work, CONFLICT.to_owned());
        }
        if event.is_expired() {
            return self.settle(work, Step::Expired, Then::Expired, true);
        }
        if self.must_begin(&work) {
            return self.begin(work);
        }
        work.attempts += 1;
        let Some(handler) = work.handler.and_then(|place| self.common.handlers.at(place)) else {
            return self.unhandled(work, &event);
        };
        let mut running = Arc::clone(handler).run(event);
        match running.as_mut().poll(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(result) => self.conclude(work, result),
            Poll::Pending => {
                self.queues.started(work.key, work.slot);
                let limit = self.common.handler_timeout;
                self.under_way.push(UnderWay::new(work, running, limit, self.permit.take()));
            }
        }
    }

    pub(super) fn unhandled(&mut self, work: Work, event: &Event) {
        if let Some(service) = &self.common.answers_as {
            let service = service.clone();
            return self.unknown_command(work, event, &service);
        }
        match self.common.unhandled {
            Unhandled::Skip => self.done(work, Effects::none()),
            Unhandled::DeadLetter => {
                let reason = format!("no handler for the type {:?}", event.ty());
                self.dead(work, reason);
            }
        }
    }

    pub(super) fn conclude(&mut self, work: Work, result: Result<Effects, HandleError>) {
        let Some(mut work) = self.tell_brake(work, &result) else { return };
        let failing_for = match &result {
            Ok(_) => Duration::ZERO,
            Err(_) => work.failing_since.get_or_insert_with(Instant::now).elapsed(),
        };
        let is_its_own = self.is_its_own_fault(&work);
        match Outcome::of(result, &self.common.retry, work.attempts, failing_for, is_its_own) {
            Outcome::Done(effects) => self.done(work, effects),
            Outcome::Retry(pause, reason) => self.retry(work, pause, reason),
            Outcome::DeadLetter(reason) => self.dead(work, reason),
        }
    }

    pub(super) fn done(&mut self, work: Work, effects: Effects) {
        if !self.common.every_event_has_a_row && effects.is_empty() && work.row.is_none() {
            self.handled += 1;
            self.queues.done(work.key);
            return self.close(&work, true);
        }
        let answer = if self.common.answers_as.is_some() { answering::check(&effects) } else { Ok(()) };
        let events = match answer.and_then(|()| follow_ups(&effects, &work.arrived)) {
            Ok(events) => events,
            Err(reason) => {
                self.took_none(&work);
                return self.dead(work, reason);
            }
        };
        // The rows of a blocked key are handled one by one, each after the commit of the last.
        let holds_key = !self.runs_ahead || work.row.is_some();
        let key = work.key;
        self.settle(work, Step::Handled { effects, events }, Then::Handled, holds_key);
        if !holds_key {
            self.queues.done(key);
        }
    }

    pub(super) fn retry(&mut self, work: Work, pause: Duration, reason: String) {
        self.common.counts.retries.fetch_add(1, Ordering::Relaxed);
        // An outage fails every key: one line for the first attempt, then ever fewer.
        if work.attempts.is_power_of_two() {
            let (place, attempt) = (work.arrived.record().origin(), work.attempts);
            let said = Printable(&reason);
            tracing::warn!(%place, attempt, "transient failure, next attempt in {pause:.1?}: {said}");
        }
        let (slot, key) = (work.slot, work.key);
        self.queues.hold(key, slot);
        self.blocked.defer(slot, key);
        self.blocked.failed_in(key, work.streak);
        // When the row is due again, that is.
        let failing_for =
            work.failing_since.map_or(Duration::ZERO, |since| since.elapsed()).saturating_add(pause);
        let wait = Wait::Retry { pause, failing_for };
        let step = Step::Deferred { wait, reason: Some(reason) };
        self.settle(work, step, Then::Retry(deferring::after(pause)), true);
        self.defer_waiting(slot, key);
    }

    /// Whether later events of its key wait for an operator, should it be dead.
    pub(super) fn would_hold(&self, work: &Work) -> bool {
        self.common.on_dead == OnDead::HoldKey && work.arrived.record().key().is_some()
    }

    /// An event whose handler has been given it, or would have been next, becomes a dead letter.
    pub(super) fn dead(&mut self, work: Work, reason: String) {
        self.bury(work, reason, true);
    }

    pub(super) fn bury(&mut self, work: Work, reason: String, holds_key: bool) {
        let origin = work.arrived.record().origin();
        tracing::warn!(place = %origin, deliveries = work.attempts, "dead letter: {}", Printable(&reason));
        let Some(topic) = self.common.dead_letters.get(origin.topic) else { return };
        let letter = dead_letter::letter(&work.arrived, &reason, work.attempts, &self.common.group, topic);
        self.settle(work, Step::Dead { reason, letter }, Then::Dead, holds_key);
    }
}
