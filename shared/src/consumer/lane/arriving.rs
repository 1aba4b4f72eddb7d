//! From a record to its key's queue. Before a reaching handler, the ledger is asked whether it knows the event.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::deferring::instant_of;
use super::settling::Then;
use super::under_way::{Read, Work};
use super::{FromLane, Incoming, Lane};
use crate::consumer::brake::Permission;
use crate::consumer::key_queues::Room;
use crate::event::{Arrived, Undecodable, decode};
use crate::record::Record;
use crate::store::{Identity, Known, Status, Step, Store, StoreError, Wait, until_available};

/// What the ledger said about each event; `None` where it was not asked, or does not know it.
type LookedUp = Vec<(Work, Option<Known>)>;

/// Events that wait for the ledger's answer, in order.
pub(super) struct Arriving {
    store: Arc<dyn Store>,
    group: String,
    next: Vec<Work>,
    under_way: Option<BoxFuture<'static, Result<LookedUp, StoreError>>>,
    /// What of a slot is dropped when the answer comes: above that offset.
    dropped: Vec<(super::SlotId, i64)>,
}

impl Arriving {
    pub(super) fn new(store: Arc<dyn Store>, group: String) -> Self {
        Self { store, group, next: Vec::new(), under_way: None, dropped: Vec::new() }
    }

    fn is_busy(&self) -> bool {
        self.under_way.is_some() || !self.next.is_empty()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the answer. Cancel safe.
    pub(super) async fn answered(&mut self) -> Result<LookedUp, StoreError> {
        let Some(answer) = &mut self.under_way else { return std::future::pending().await };
        let answer = answer.await;
        self.under_way = None;
        answer
    }
}

impl Lane {
    pub(super) fn take_batch(&mut self, batch: Vec<Incoming>) {
        for run in batch.chunk_by(|one, next| one.slot == next.slot) {
            self.slots.opened(run[0].slot, run.len());
        }
        for Incoming { slot, key, record, is_readable } in batch {
            let read = if is_readable { self.read(record) } else { (unreadable(record), None) };
            let work = Work::new(slot, key, read);
            // Also what needs no answer waits for those before it: nothing may overtake.
            if self.arriving.is_busy() || self.is_reaching(&work) {
                self.arriving.next.push(work);
            } else {
                self.arrive(work);
            }
        }
        self.ask();
    }

    /// What the record holds, and the place of the handler for that.
    pub(super) fn read(&self, record: Record) -> Read {
        match decode(record) {
            Ok(event) => {
                let handler = self.common.handlers.find(event.ty());
                (Arrived::Event(Arc::new(event)), handler)
            }
            Err(undecodable) => (Arrived::Undecodable(Arc::from(undecodable)), None),
        }
    }

    fn is_reaching(&self, work: &Work) -> bool {
        work.handler
            .and_then(|place| self.common.handlers.at(place))
            .is_some_and(|handler| !handler.is_pure())
    }

    fn ask(&mut self) {
        if self.arriving.under_way.is_some() || self.arriving.next.is_empty() {
            return;
        }
        let works = std::mem::take(&mut self.arriving.next);
        let (asked, events): (Vec<bool>, Vec<Option<Identity<'static>>>) = works
            .iter()
            .map(|work| {
                let identity = self.is_reaching(work).then(|| Identity::of(&work.arrived).into_owned());
                (identity.is_some(), identity)
            })
            .unzip();
        let events: Arc<[Identity<'static>]> = events.into_iter().flatten().collect();
        let (store, group) = (Arc::clone(&self.arriving.store), self.arriving.group.clone());
        self.arriving.under_way = Some(Box::pin(async move {
            let known =
                until_available("look events up", || store.look_up(&group, Arc::clone(&events))).await?;
            let mut known = known.into_iter();
            let answers = asked.into_iter().map(|asked| if asked { known.next().flatten() } else { None });
            Ok(works.into_iter().zip(answers.collect::<Vec<_>>()).collect())
        }));
    }

    pub(super) fn take_looked_up(&mut self, looked_up: LookedUp) {
        let dropped = std::mem::take(&mut self.arriving.dropped);
        for (work, known) in looked_up {
            if dropped.iter().any(|(slot, limit)| *slot == work.slot && work.offset > *limit) {
                self.slots.closed(work.slot, 1);
                continue;
            }
            match known {
                None => self.arrive(work),
                Some(Known { same: true, status }) => self.known_before(work, status),
                // In its turn, as any other of its key: a row answers for those before it.
                Some(Known { same: false, .. }) => self.arrive(Work { is_conflicting: true, ..work }),
            }
        }
        self.ask();
    }

    /// Its id has a row already, which is known before it is handled. A command is answered from there.
    fn known_before(&mut self, work: Work, status: Status) {
        if self.common.answers_as.is_some() { self.answer_again(work) } else { self.known(&work, status) }
    }

    /// Its id has a row already: there is nothing to do but to move on.
    pub(super) fn known(&mut self, work: &Work, status: Status) {
        tracing::debug!(place = %work.arrived.record().origin(), "known already: {status:?}");
        self.common.counts.duplicate();
        self.close(work, true);
    }

    /// Queues an event behind those of its key.
    pub(super) fn arrive(&mut self, work: Work) {
        let (slot, key) = (work.slot, work.key);
        if work.row.is_none() && self.slots.is_answered(&work) {
            return self.known_before(work, Status::Handled);
        }
        if let Some(at) = scheduled(&work) {
            let step = Step::Deferred { wait: Wait::Until(at), reason: None };
            return self.settle(work, step, Then::Until(at), false);
        }
        // One that has a row takes no room in the ledger, and need not stay in memory.
        let may_wait_there =
            work.row.is_some() || (!self.queues.has_waiting(key) && self.blocked.has_room(key));
        if self.blocked.is_blocked(key) && may_wait_there {
            return self.defer_behind(work);
        }
        let free = !self.queues.has_ready() && !self.queues.is_live(key) && !self.queues.is_halted(slot);
        if free && self.has_permit() && self.may_start(&work) == Permission::Granted {
            return self.start(work);
        }
        // It may be the probe that the brake waits for.
        self.is_braked = false;
        if self.queues.wait(key, slot, work) == Room::BecameFull {
            self.report(FromLane::KeyFull(slot));
        }
    }

    /// Drops what of the slot lies above the limit.
    pub(super) fn drop_arriving(&mut self, slot: super::SlotId, limit: i64) {
        let before = self.arriving.next.len();
        self.arriving.next.retain(|work| work.slot != slot || work.offset <= limit);
        self.slots.closed(slot, before - self.arriving.next.len());
        if self.arriving.is_under_way() {
            self.arriving.dropped.push((slot, limit));
        }
    }
}

fn unreadable(record: Record) -> Arrived {
    let reason = "its headers cannot be read: too many, or not as Kafka writes them".to_owned();
    Arrived::Undecodable(Arc::new(Undecodable { record, reason }))
}

/// When the event wants to be handled, if that is still to come.
fn scheduled(work: &Work) -> Option<i64> {
    let Arrived::Event(event) = &work.arrived else { return None };
    let at = event.not_before()?.as_millisecond();
    (instant_of(at) > tokio::time::Instant::now()).then_some(at)
}
