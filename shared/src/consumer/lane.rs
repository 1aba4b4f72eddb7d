//! A lane: one of the workers that handle events. One task; no task per event.
//!
//! An event's way: queued behind those of its key, begun in the ledger (before a reaching handler), handled, settled in
//! the ledger, reported. What has to wait longer than that waits in the ledger: see `blocked_keys.rs`.

mod answering;
mod arriving;
mod beginning;
mod braking;
mod changed;
mod deferring;
mod pausing;
mod settling;
mod slots;
mod under_way;
mod verdicts;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::noop_waker_ref;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use self::beginning::Beginning;
use self::deferring::Loading;
use self::pausing::Aside;
use self::settling::{Settling, Then, Unsettled};
use self::slots::Slots;
use self::under_way::{UnderWay, Work};
use super::blocked_keys::BlockedKeys;
use super::brake::SharedBrake;
use super::handler::HandleError;
use super::handlers::Handlers;
use super::key_queues::{KeyQueues, Load};
use super::outcome::Outcome;
use super::pauses::SharedPauses;
use super::retry::RetryPolicy;
use super::{Counts, Key, OnDead, SlotId, Unhandled};
use crate::dead_letter;
use crate::event::{Arrived, Event};
use crate::record::Record;
use crate::store::{
    DeferredRow, Effects, Ownership, RowId, Settlement, Step, Store, StoreError, UpTo, Waiting, follow_ups,
};
use crate::telemetry::Printable;
use crate::topic::Topic;

const CONFLICT: &str = "its id is that of another event with another content";

/// What the poll thread tells a lane.
#[derive(Debug)]
pub(super) enum ToLane {
    /// A partition was taken over.
    Take(SlotId, Taken),
    /// Records to handle, in order.
    Batch(Vec<Incoming>),
    /// Operators have changed rows of the slot.
    Changed(SlotId, Vec<Changed>),
    /// Start nothing of the slot; answer with [`FromLane::Halted`].
    Halt(SlotId),
    /// Bring to its end what lies at or below the offset, drop the rest; answer with [`FromLane::Finished`]. What fails
    /// now waits in the ledger for the next owner.
    Finish(SlotId, i64),
    /// Drop everything of the slot, also what is under way.
    Forget(SlotId),
}

/// A partition as the ledger has it, so far as it concerns one lane.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) topic: &'static str,
    pub(super) partition: i32,
    pub(super) owner: Ownership,
    /// What waits in the ledger, in the order of the rows.
    pub(super) deferred: Vec<(Key, DeferredRow)>,
    /// At-least-once: how far all of the key is settled.
    pub(super) answered: Vec<(Key, UpTo)>,
}

/// A row that an operator has changed.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    /// `None` where the row does not say any more; it goes to all lanes then.
    pub(super) key: Option<Key>,
    pub(super) row: RowId,
    /// What it waits for now, if it does.
    pub(super) waiting: Option<Waiting>,
}

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) slot: SlotId,
    pub(super) key: Key,
    pub(super) record: Record,
    /// Whether its headers could be read.
    pub(super) is_readable: bool,
}

/// What a lane tells the poll thread.
#[derive(Debug)]
pub(super) enum FromLane {
    /// These offsets are settled.
    Settled(Vec<(SlotId, i64)>),
    /// The highest offset of the slot that was ever started here.
    Halted(SlotId, Option<i64>),
    /// Nothing of the slot is under way here any more.
    Finished(SlotId),
    /// A key of the slot has as many events waiting as a key may have.
    KeyFull(SlotId),
    /// That key is down to half of it.
    KeyOpen(SlotId),
    /// Another has taken the slot's partition over in the store.
    Fenced(SlotId),
    /// The store cannot be used any more.
    Failed(StoreError),
}

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

pub(super) struct Lane {
    common: Arc<Common>,
    inbox: mpsc::UnboundedReceiver<ToLane>,
    reports: std::sync::mpsc::Sender<FromLane>,
    slots: Slots,
    beginning: Beginning,
    queues: KeyQueues<Work>,
    blocked: BlockedKeys,
    loading: Loading,
    under_way: FuturesUnordered<UnderWay>,
    /// The permit for the next handler. A handler that is ready at its first poll gives it straight back.
    permit: Option<OwnedSemaphorePermit>,
    settling: Settling,
    settled: Vec<(SlotId, i64)>,
    handled: u64,
    /// Whether a key's next event may start before the last one is in the ledger.
    runs_ahead: bool,
    /// Nothing that is ready may start before the brake says that something has changed.
    is_braked: bool,
    brake_changed: watch::Receiver<()>,
    aside: Aside,
    /// What operators have changed, until the answer is here that the ledger is about to give.
    changed: Vec<(SlotId, Vec<Changed>)>,
}

impl Lane {
    pub(super) fn new(
        common: Arc<Common>,
        inbox: mpsc::UnboundedReceiver<ToLane>,
        reports: std::sync::mpsc::Sender<FromLane>,
    ) -> Self {
        Self {
            inbox,
            reports,
            slots: Slots::default(),
            beginning: Beginning::new(Arc::clone(&common.store), common.group.clone(), common.concurrency),
            queues: KeyQueues::new(common.key_bound, |work: &Work| work.arrived.record().size()),
            blocked: BlockedKeys::new(common.deferred_max),
            loading: Loading::new(Arc::clone(&common.store)),
            under_way: FuturesUnordered::new(),
            permit: None,
            settling: Settling::new(Arc::clone(&common.store)),
            settled: Vec::new(),
            handled: 0,
            // Behind an event that may be dead nothing has run that should have waited for an operator.
            runs_ahead: common.handlers.are_all_pure() && common.on_dead == OnDead::FlowOn,
            is_braked: false,
            brake_changed: common.brake.subscribe(),
            aside: Aside::new(common.pauses.subscribe()),
            changed: Vec::new(),
            common,
        }
    }

    /// Works until the poll thread lets go of the lane.
    pub(super) async fn run(mut self) {
        loop {
            let permits = Arc::clone(&self.common.permits);
            let due = if self.is_braked { None } else { self.blocked.next_due() };
            let step = tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => { self.take(message); Ok(()) }
                    None => return,
                },
                Some(handled) = self.under_way.next() => { self.take_handled(handled); Ok(()) }
                Ok(permit) = permits.acquire_owned(), if self.permit.is_none() && self.may_have_ready() => {
                    self.permit = Some(permit);
                    Ok(())
                }
                answer = self.settling.answered(), if self.settling.is_under_way() =>
                    answer.map(|verdicts| {
                        self.take_verdicts(verdicts);
                        self.take_kept_changes();
                    }),
                answer = self.beginning.answered(), if self.beginning.is_under_way() =>
                    answer.map(|answers| self.take_answers(answers)),
                answer = self.loading.answered(), if self.loading.is_under_way() =>
                    answer.map(|loaded| self.take_loaded(loaded)),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.take_due();
                    Ok(())
                }
                () = self.aside.changed() => { self.take_back(); Ok(()) }
                () = braking::may_have_changed(&self.common.brake, &mut self.brake_changed), if self.is_braked => { self.is_braked = false; Ok(()) }
            };
            if let Err(error) = step {
                return self.report(FromLane::Failed(error));
            }
            self.go_on();
        }
    }

    /// What may have become possible after any step.
    fn go_on(&mut self) {
        self.start_ready();
        self.beginning.start();
        self.settling.start();
        self.loading.start(self.queues.ready());
        // Before the report: who hears that all is settled must not find that nothing waits any more.
        self.common.counts.blocked(&mut self.slots.blocked_keys, self.blocked.len());
        self.report_settled();
        for slot in self.slots.take_finished() {
            self.report(FromLane::Finished(slot));
        }
        // A permit kept while there is nothing to start would be missing in another lane.
        if !self.may_have_ready() {
            self.permit = None;
        }
    }

    fn take(&mut self, message: ToLane) {
        match message {
            ToLane::Take(slot, taken) => {
                let rows = taken.deferred.len();
                self.take_over(slot, taken);
                self.common.counts.blocked(&mut self.slots.blocked_keys, self.blocked.len());
                self.common.counts.waiting_heard(rows);
            }
            ToLane::Batch(batch) => self.take_batch(batch),
            // It may be about what is on its way into the ledger: that is to be known first.
            ToLane::Changed(slot, changes) if self.settling.is_under_way() => {
                self.changed.push((slot, changes));
            }
            ToLane::Changed(slot, changes) => self.take_changes(slot, changes),
            ToLane::Halt(slot) => {
                self.queues.halt(slot);
                self.blocked.halt(slot);
                self.report(FromLane::Halted(slot, self.slots.highest_started(slot)));
            }
            ToLane::Finish(slot, limit) => self.finish(slot, limit),
            ToLane::Forget(slot) => self.forget(slot),
        }
    }

    /// Takes every handler that is ready now, so that a batch covers many.
    fn take_handled(&mut self, first: <UnderWay as Future>::Output) {
        let mut next = Some(first);
        while let Some((work, result)) = next {
            if let Some(work) = work {
                self.conclude(work, result);
            }
            self.start_ready();
            next = self.under_way.next().now_or_never().flatten();
        }
    }

    fn has_permit(&mut self) -> bool {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.common.permits).try_acquire_owned().ok();
        }
        self.permit.is_some()
    }

    /// Starts an attempt, or asks the ledger first. The first poll happens here and now: a handler that is ready then has cost no queueing.
    fn start(&mut self, mut work: Work) {
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

    fn unhandled(&mut self, work: Work, event: &Event) {
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

    fn conclude(&mut self, work: Work, result: Result<Effects, HandleError>) {
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

    fn done(&mut self, work: Work, effects: Effects) {
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

    fn retry(&mut self, work: Work, pause: Duration, reason: String) {
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
        let wait = crate::store::Wait::Retry { pause, failing_for };
        let step = Step::Deferred { wait, reason: Some(reason) };
        self.settle(work, step, Then::Retry(deferring::after(pause)), true);
        self.defer_waiting(slot, key);
    }

    /// Whether later events of its key wait for an operator, should it be dead.
    fn would_hold(&self, work: &Work) -> bool {
        self.common.on_dead == OnDead::HoldKey && work.arrived.record().key().is_some()
    }

    /// An event whose handler has been given it, or would have been next, becomes a dead letter.
    fn dead(&mut self, work: Work, reason: String) {
        self.bury(work, reason, true);
    }

    fn bury(&mut self, work: Work, reason: String, holds_key: bool) {
        let origin = work.arrived.record().origin();
        tracing::warn!(place = %origin, deliveries = work.attempts, "dead letter: {}", Printable(&reason));
        let Some(topic) = self.common.dead_letters.get(origin.topic) else { return };
        let letter = dead_letter::letter(&work.arrived, &reason, work.attempts, &self.common.group, topic);
        self.settle(work, Step::Dead { reason, letter }, Then::Dead, holds_key);
    }

    fn settle(&mut self, work: Work, step: Step, then: Then, holds_key: bool) {
        let settlement = self.settlement(&work, step);
        self.unsettled(work, settlement, then, holds_key);
    }

    fn settlement(&self, work: &Work, step: Step) -> Option<Settlement> {
        Some(Settlement {
            reply: if self.common.answers_as.is_some() { self.reply(work, &step) } else { None },
            owner: self.slots.owner(work.slot)?,
            arrived: work.arrived.clone(),
            conflicting: work.is_conflicting,
            row: work.row.or(work.new_row.map(|row| (row, 0))),
            attempts: work.attempts,
            step,
        })
    }

    /// `None` for a slot that was let go meanwhile: its next owner sees to the event.
    fn unsettled(&mut self, work: Work, settlement: Option<Settlement>, then: Then, holds_key: bool) {
        let Some(settlement) = settlement else { return };
        if holds_key {
            self.queues.started(work.key, work.slot);
        }
        let publishes = match &settlement.step {
            Step::Handled { events, .. } => !events.is_empty(),
            Step::Dead { .. } => true,
            Step::Handling | Step::Deferred { .. } | Step::Expired => false,
        } || settlement.reply.is_some();
        let proves = matches!(&settlement.step, Step::Handled { effects, .. } if !effects.is_empty());
        self.settling.add(Unsettled { work, then, holds_key, publishes, proves }, settlement);
    }

    /// The event is none of this lane's any more. `settled`: its offset may move.
    fn close(&mut self, work: &Work, settled: bool) {
        if settled && work.row.is_none() {
            // Closed when it is reported.
            self.settled.push((work.slot, work.offset));
        } else {
            self.slots.closed(work.slot, 1);
        }
    }

    fn report_settled(&mut self) {
        if self.handled > 0 {
            let handled = std::mem::take(&mut self.handled);
            self.common.counts.handled.fetch_add(handled, Ordering::Relaxed);
        }
        if !self.settled.is_empty() {
            let settled = std::mem::take(&mut self.settled);
            for run in settled.chunk_by(|(one, _), (next, _)| one == next) {
                self.slots.closed(run[0].0, run.len());
            }
            self.report(FromLane::Settled(settled));
        }
    }

    fn report(&self, report: FromLane) {
        // The poll thread is gone only when it has let go of every partition: nobody needs the report then.
        let _ = self.reports.send(report);
    }
}

#[cfg(test)]
mod tests;
