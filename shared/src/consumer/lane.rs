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
mod handling;
mod pausing;
mod settling;
mod slots;
mod under_way;
mod verdicts;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use self::beginning::Beginning;
use self::deferring::Loading;
use self::pausing::Aside;
use self::settling::Settling;
use self::slots::Slots;
use self::under_way::{UnderWay, Work};
use super::blocked_keys::BlockedKeys;
use super::common::Common;
use super::key_queues::KeyQueues;
use super::messages::{Changed, FromLane, ToLane};
use super::{OnDead, SlotId};

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
                    answer.map(|(unsettled, verdicts)| {
                        self.take_verdicts(unsettled, verdicts);
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
