//! A lane: one of the workers that handle events. One task; no task per event.

mod under_way;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::noop_waker_ref;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use self::under_way::{Ended, Stage, UnderWay, Work, handled_within, published};
use super::dead_letter::{DeadLetter, DeadLetters};
use super::handler::HandleError;
use super::handlers::Handlers;
use super::key_queues::{KeyQueues, Room};
use super::outcome::Outcome;
use super::retry::RetryPolicy;
use super::{Counts, Key, SlotId, Unhandled};
use crate::event::{Arrived, Event, decode};
use crate::record::Record;
use crate::store::Effects;

/// What the poll thread tells a lane.
#[derive(Debug)]
pub(super) enum ToLane {
    /// Records to handle, in order.
    Batch(Vec<Incoming>),
    /// Start nothing of the slot; answer with [`FromLane::Halted`].
    Halt(SlotId),
    /// Bring to its end what lies at or below the offset, drop the rest. What waits for its next attempt, or
    /// fails again, is given up: the next owner tries it.
    Finish(SlotId, i64),
    /// Drop everything of the slot, also what is under way.
    Forget(SlotId),
}

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) slot: SlotId,
    pub(super) key: Key,
    pub(super) record: Record,
}

/// What a lane tells the poll thread.
#[derive(Debug)]
pub(super) enum FromLane {
    /// These offsets are settled.
    Settled(Vec<(SlotId, i64)>),
    /// The highest offset of the slot that was ever started here.
    Halted(SlotId, Option<i64>),
    /// So many events of the slot will not be settled here: one that goes on failing, and those behind it.
    GivenUp(SlotId, usize),
    /// A key of the slot has as many events waiting as a key may have.
    KeyFull(SlotId),
    /// That key is down to half of it.
    KeyOpen(SlotId),
}

/// What all lanes share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) handlers: Handlers,
    pub(super) unhandled: Unhandled,
    pub(super) retry: RetryPolicy,
    pub(super) handler_timeout: Duration,
    /// How many events of one key may wait.
    pub(super) key_bound: usize,
    pub(super) permits: Arc<Semaphore>,
    pub(super) dead_letters: Arc<dyn DeadLetters>,
    pub(super) counts: Arc<Counts>,
}

pub(super) struct Lane {
    common: Arc<Common>,
    inbox: mpsc::UnboundedReceiver<ToLane>,
    reports: std::sync::mpsc::Sender<FromLane>,
    queues: KeyQueues<Work>,
    under_way: FuturesUnordered<UnderWay>,
    /// The permit for the next handler. A handler that is ready at its first poll gives it straight back.
    permit: Option<OwnedSemaphorePermit>,
    /// The highest offset started, by slot: what a revocation has to bring to its end.
    started: HashMap<SlotId, i64>,
    /// Slots that are about to be let go.
    finishing: HashSet<SlotId>,
    settled: Vec<(SlotId, i64)>,
    handled: u64,
    dead_letters: u64,
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
            queues: KeyQueues::new(common.key_bound),
            common,
            under_way: FuturesUnordered::new(),
            permit: None,
            started: HashMap::new(),
            finishing: HashSet::new(),
            settled: Vec::new(),
            handled: 0,
            dead_letters: 0,
        }
    }

    /// Works until the poll thread lets go of the lane.
    pub(super) async fn run(mut self) {
        loop {
            let permits = Arc::clone(&self.common.permits);
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                Some(step) = self.under_way.next() => self.take_steps(step),
                Ok(permit) = permits.acquire_owned(), if self.permit.is_none() && self.queues.has_ready() => {
                    self.permit = Some(permit);
                }
            }
            self.start_ready();
            self.report_settled();
            // A permit kept while there is nothing to start would be missing in another lane.
            if !self.queues.has_ready() {
                self.permit = None;
            }
        }
    }

    fn take(&mut self, message: ToLane) {
        match message {
            ToLane::Batch(batch) => {
                for incoming in batch {
                    self.arrive(incoming);
                }
            }
            ToLane::Halt(slot) => {
                self.queues.halt(slot);
                self.report(FromLane::Halted(slot, self.started.get(&slot).copied()));
            }
            ToLane::Finish(slot, limit) => self.finish(slot, limit),
            ToLane::Forget(slot) => self.forget(slot),
        }
    }

    fn finish(&mut self, slot: SlotId, limit: i64) {
        self.queues.finish(slot, limit);
        self.finishing.insert(slot);
        let pauses = |stage: &UnderWay| stage.slot == slot && matches!(stage.stage, Stage::Pause(_));
        let under_way = std::mem::take(&mut self.under_way);
        let (pauses, others): (Vec<_>, Vec<_>) = under_way.into_iter().partition(pauses);
        self.under_way = others.into_iter().collect();
        for work in pauses.into_iter().filter_map(|stage| stage.work) {
            self.give_up(&work);
        }
    }

    fn give_up(&mut self, work: &Work) {
        let events = self.queues.give_up(work.key);
        self.report(FromLane::GivenUp(work.slot, events));
    }

    /// Takes every step that is ready now, so that a report covers many.
    fn take_steps(&mut self, first: <UnderWay as Future>::Output) {
        let mut next = Some(first);
        while let Some((work, ended)) = next {
            if let Some(work) = work {
                self.advance(work, ended);
            }
            self.start_ready();
            next = self.under_way.next().now_or_never().flatten();
        }
    }

    fn arrive(&mut self, Incoming { slot, key, record }: Incoming) {
        let offset = record.origin().offset;
        let body = match decode(record) {
            Ok(event) => Arrived::Event(Arc::new(event)),
            Err(undecodable) => Arrived::Undecodable(Arc::from(undecodable)),
        };
        let work = Work { slot, key, offset, body, attempts: 0, first_failure: None };
        if !self.queues.has_ready() && !self.queues.is_live(key) && self.has_permit() {
            return self.start(work);
        }
        if self.queues.wait(key, slot, offset, work) == Room::BecameFull {
            self.report(FromLane::KeyFull(slot));
        }
    }

    fn has_permit(&mut self) -> bool {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.common.permits).try_acquire_owned().ok();
        }
        self.permit.is_some()
    }

    fn start_ready(&mut self) {
        while self.queues.has_ready() && self.has_permit() {
            let Some((work, room)) = self.queues.next() else { return };
            if room == Room::BecameOpen {
                self.report(FromLane::KeyOpen(work.slot));
            }
            self.start(work);
        }
    }

    /// Starts an attempt. The first poll happens here and now: a handler that is ready then has cost no queueing.
    fn start(&mut self, mut work: Work) {
        let highest = self.started.entry(work.slot).or_insert(work.offset);
        *highest = work.offset.max(*highest);
        work.attempts += 1;
        let event = match &work.body {
            Arrived::Event(event) => Arc::clone(event),
            Arrived::Undecodable(undecodable) => {
                let reason = undecodable.reason.clone();
                return self.dead_letter(work, reason);
            }
        };
        let Some((_, handler)) = self.common.handlers.find(event.ty()) else {
            return self.unhandled(work, &event);
        };
        let mut running = Arc::clone(handler).run(event);
        match running.as_mut().poll(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(result) => self.conclude(work, result),
            Poll::Pending => {
                let running = handled_within(self.common.handler_timeout, running).boxed();
                let permit = self.permit.take();
                self.push(work, Stage::Handling(running, permit));
            }
        }
    }

    fn unhandled(&mut self, work: Work, event: &Event) {
        match self.common.unhandled {
            Unhandled::Skip => self.settle(&work),
            Unhandled::DeadLetter => {
                let reason = format!("no handler for the type {:?}", event.ty());
                self.dead_letter(work, reason);
            }
        }
    }

    fn advance(&mut self, work: Work, ended: Ended) {
        match ended {
            Ended::Handled(result) => self.conclude(work, result),
            Ended::PauseOver => self.queues.again(work.key, work.offset, work),
            Ended::DeadLettered => {
                self.dead_letters += 1;
                self.settle(&work);
            }
        }
    }

    fn conclude(&mut self, mut work: Work, result: Result<Effects, HandleError>) {
        let failed_at = match &result {
            Ok(_) => None,
            Err(_) => Some(*work.first_failure.get_or_insert_with(Instant::now)),
        };
        let failing_for = failed_at.map_or(Duration::ZERO, |at| at.elapsed());
        match Outcome::of(result, &self.common.retry, work.attempts, failing_for) {
            // Nothing applies effects yet; there are none.
            Outcome::Done(_) => {
                self.handled += 1;
                self.settle(&work);
            }
            Outcome::Retry(pause, reason) => self.pause(work, pause, &reason),
            Outcome::DeadLetter(reason) => self.dead_letter(work, reason),
        }
    }

    fn pause(&mut self, work: Work, pause: Duration, reason: &str) {
        self.common.counts.retries.fetch_add(1, Ordering::Relaxed);
        // An outage fails every key: one line for the first attempt, then ever fewer.
        if work.attempts.is_power_of_two() {
            let (place, attempt) = (work.body.record().origin(), work.attempts);
            tracing::warn!(%place, attempt, "transient failure, next attempt in {pause:.1?}: {reason}");
        }
        if self.finishing.contains(&work.slot) {
            return self.give_up(&work);
        }
        self.push(work, Stage::Pause(tokio::time::sleep(pause).map(|()| Ended::PauseOver).boxed()));
    }

    fn dead_letter(&mut self, work: Work, reason: String) {
        let letter = DeadLetter { body: work.body.clone(), reason, deliveries: work.attempts };
        let publisher = Arc::clone(&self.common.dead_letters);
        self.push(work, Stage::DeadLetter(published(publisher, letter).boxed()));
    }

    fn push(&mut self, work: Work, stage: Stage) {
        if !self.queues.is_live(work.key) {
            self.queues.started(work.key, work.slot);
        }
        self.under_way.push(UnderWay { slot: work.slot, work: Some(work), stage });
    }

    fn settle(&mut self, work: &Work) {
        self.settled.push((work.slot, work.offset));
        self.queues.done(work.key);
    }

    /// The member has lost the slot: what it still did for it must not go on beside its next owner.
    fn forget(&mut self, slot: SlotId) {
        self.queues.forget(slot);
        let under_way = std::mem::take(&mut self.under_way);
        self.under_way = under_way.into_iter().filter(|stage| stage.slot != slot).collect();
        self.started.remove(&slot);
        self.finishing.remove(&slot);
        self.settled.retain(|(other, _)| *other != slot);
    }

    fn report_settled(&mut self) {
        if !self.settled.is_empty() {
            let counts = &self.common.counts;
            counts.handled.fetch_add(std::mem::take(&mut self.handled), Ordering::Relaxed);
            counts.dead_letters.fetch_add(std::mem::take(&mut self.dead_letters), Ordering::Relaxed);
            let settled = std::mem::take(&mut self.settled);
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
