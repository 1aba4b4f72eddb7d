//! From a record to its key's queue.

use std::sync::Arc;

use super::Lane;
use super::deferring::instant_of;
use super::settling::Then;
use super::under_way::{Read, Work};
use crate::consumer::brake::Permission;
use crate::consumer::key_queues::Room;
use crate::consumer::messages::{FromLane, Incoming};
use crate::event::{Arrived, Undecodable, decode};
use crate::record::Record;
use crate::store::{Status, Step, Wait};

impl Lane {
    pub(super) fn take_batch(&mut self, mut batch: Vec<Incoming>) {
        let mut has_late = false;
        for run in batch.chunk_by(|one, next| one.slot == next.slot) {
            has_late |= !self.slots.opened(run[0].slot, run.len());
        }
        if has_late {
            // Another member has the partition by now, and the group has not told the poll thread yet.
            batch.retain(|incoming| self.slots.owner(incoming.slot).is_some());
        }
        for Incoming { slot, key, record, is_readable } in batch {
            let read = if is_readable { self.read(record) } else { (unreadable(record), None) };
            self.arrive(Work::new(slot, key, read));
        }
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
            return self.known(&work, Status::Handled);
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
        if free
            && self.beginning.has_room()
            && self.has_permit()
            && self.may_start(&work) == Permission::Granted
        {
            return self.start(work);
        }
        // It may be the probe that the brake waits for.
        self.is_braked = false;
        if self.queues.wait(key, slot, work) == Room::BecameFull {
            self.report(FromLane::KeyFull(slot));
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
