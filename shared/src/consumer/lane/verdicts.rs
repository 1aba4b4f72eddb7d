//! What the ledger said, and what follows.

use std::collections::HashMap;

use super::Lane;
use super::handling::CONFLICT;
use super::settling::{Then, Unsettled};
use super::under_way::Work;
use crate::consumer::blocked_keys::Next;
use crate::consumer::key_queues::Room;
use crate::consumer::messages::FromLane;
use crate::consumer::{Key, SlotId};
use crate::store::{Refusal, RowId, Step, Verdict, Wait};

use super::deferring::instant_of;

/// Events whose outcome must be thrown away, by key and in order.
type Behind = HashMap<Key, Vec<Unsettled>>;

impl Lane {
    /// A verdict for each, in order.
    pub(super) fn take_verdicts(&mut self, unsettled: Vec<Unsettled>, verdicts: Vec<Verdict>) {
        let (mut behind, unsettled, verdicts) = if verdicts.contains(&Verdict::Behind) {
            self.without_behind(unsettled, verdicts)
        } else {
            (Behind::new(), unsettled, verdicts)
        };
        for (unsettled, verdict) in unsettled.into_iter().zip(verdicts) {
            if self.slots.owner(unsettled.work.slot).is_some() {
                self.take_verdict(unsettled, verdict, &mut behind);
            }
        }
    }

    /// Takes out what an earlier event of its key held up: it goes with that.
    fn without_behind(
        &self,
        unsettled: Vec<Unsettled>,
        verdicts: Vec<Verdict>,
    ) -> (Behind, Vec<Unsettled>, Vec<Verdict>) {
        let (mut behind, mut others, mut their) = (Behind::new(), Vec::new(), Vec::new());
        for (one, verdict) in unsettled.into_iter().zip(verdicts) {
            if self.slots.owner(one.work.slot).is_none() {
                continue;
            }
            if verdict == Verdict::Behind {
                behind.entry(one.work.key).or_default().push(one);
            } else {
                others.push(one);
                their.push(verdict);
            }
        }
        (behind, others, their)
    }

    fn take_verdict(&mut self, unsettled: Unsettled, verdict: Verdict, behind: &mut Behind) {
        match verdict {
            Verdict::Settled(row) => self.in_ledger(&unsettled, row),
            Verdict::Known(status) => {
                if unsettled.proves {
                    self.took_none(&unsettled.work);
                }
                if unsettled.publishes {
                    self.common.relay.notify_one();
                }
                self.known(&unsettled.work, status);
                self.over(&unsettled, None);
            }
            Verdict::Conflict => {
                let Unsettled { work, then, holds_key, proves, .. } = unsettled;
                if proves {
                    self.took_none(&work);
                }
                // A dead letter waits for nothing and blocks nothing, unless an operator is to see to it first.
                let holds_on = holds_key && !then.blocks() && self.would_hold(&work);
                if then.blocks() {
                    let next = self.blocked.superfluous(work.key);
                    self.next(next);
                } else if holds_key && !holds_on {
                    self.queues.done(work.key);
                }
                let work = Work { is_conflicting: true, ..work };
                self.bury(work, CONFLICT.to_owned(), holds_on);
            }
            Verdict::Refused(refusal) => self.refused(unsettled, &refusal, behind),
            Verdict::Fenced => self.fenced(&unsettled.work),
            // Taken out before.
            Verdict::Behind => {}
        }
    }

    fn in_ledger(&mut self, unsettled: &Unsettled, row: RowId) {
        match unsettled.then {
            Then::Handled => self.handled += 1,
            Then::Dead => self.common.counts.dead_letter(),
            Then::Expired | Then::Retry(_) | Then::Behind | Then::Until(_) => {}
        }
        self.took_effect(unsettled);
        if unsettled.publishes {
            self.common.relay.notify_one();
        }
        self.close(&unsettled.work, true);
        self.over(unsettled, Some(row));
    }

    /// What the key needs next. `row` is where the event is, unless it was there before.
    fn over(&mut self, unsettled: &Unsettled, row: Option<RowId>) {
        let Unsettled { work, then, holds_key, .. } = unsettled;
        let next = match (*then, row) {
            (Then::Retry(due), Some(row)) => self.blocked.settled(work.key, row, Some(due)),
            (Then::Behind, Some(row)) => self.blocked.settled(work.key, row, None),
            (Then::Retry(_) | Then::Behind, None) => {
                let next = self.blocked.superfluous(work.key);
                // An operator was quicker: the row is not what it was when this attempt began.
                match work.row {
                    Some((row, _)) if self.blocked.is_head(work.key, row) => {
                        self.blocked.finished(work.key, row)
                    }
                    _ => next,
                }
            }
            (Then::Until(at), row) => {
                if let Some(row) = row {
                    self.blocked.schedule(work.slot, work.key, row, instant_of(at));
                }
                Next::Wait
            }
            (Then::Dead, Some(row)) if self.would_hold(work) => {
                self.blocked.hold(work.slot, work.key, row);
                self.queues.hold(work.key, work.slot);
                self.defer_waiting(work.slot, work.key);
                Next::Wait
            }
            (Then::Handled | Then::Dead | Then::Expired, _) => match work.row {
                Some((row, _)) if self.blocked.is_head(work.key, row) => self.blocked.finished(work.key, row),
                _ if *holds_key => Next::Unblocked(work.key),
                _ => Next::Wait,
            },
        };
        self.next(next);
    }

    /// The database does not take the event's effects. What ran ahead of it is handled again, behind what becomes of it.
    fn refused(&mut self, unsettled: Unsettled, refusal: &Refusal, behind: &mut Behind) {
        let Unsettled { work, holds_key, .. } = unsettled;
        let (slot, key) = (work.slot, work.key);
        let mut later = behind.remove(&key).unwrap_or_default();
        later.extend(self.settling.take_back(key));
        // What does not depend on the one that was refused is settled again as it was.
        let stays = |unsettled: &Unsettled| holds_key || matches!(unsettled.then, Then::Until(_));
        let (stay, later): (Vec<_>, Vec<_>) = later.into_iter().partition(stays);
        for Unsettled { work, then, .. } in stay {
            self.defer_again(work, then);
        }
        let mut is_idle = later.iter().any(|unsettled| unsettled.holds_key);
        for unsettled in later.iter().filter(|unsettled| unsettled.then.blocks()) {
            is_idle |= self.blocked.take_back(unsettled.work.key);
        }
        for unsettled in later.iter().filter(|unsettled| unsettled.proves) {
            self.took_none(&unsettled.work);
        }
        let mut again: Vec<Work> = later.into_iter().map(|unsettled| unsettled.work).collect();
        if !holds_key && let Some(running) = self.cancel(key) {
            again.push(running);
            is_idle = true;
        }
        for work in &mut again {
            work.attempts = work.attempts.saturating_sub(1);
        }
        let reason = format!("the store refuses its effects: {}", refusal.reason);
        if refusal.permanent {
            self.took_none(&work);
            self.bury(work, reason, holds_key);
            // Not before the dead one is in its batch: the order of the batch is the order of the key.
            self.handle_again(key, slot, again, is_idle);
        } else {
            self.queues.hold(key, slot);
            self.handle_again(key, slot, again, false);
            self.conclude(work, Err(crate::consumer::HandleError::transient(reason)));
        }
    }

    fn handle_again(&mut self, key: Key, slot: SlotId, works: Vec<Work>, under_way: bool) {
        if self.queues.put_back(key, slot, works, under_way) == Room::BecameFull {
            self.report(FromLane::KeyFull(slot));
        }
    }

    /// What waits for its turn or its time goes into the ledger as it was about to.
    fn defer_again(&mut self, work: Work, then: Then) {
        let wait = match then {
            Then::Until(at) => Wait::Until(at),
            _ => Wait::Behind,
        };
        self.settle(work, Step::Deferred { wait, reason: None }, then, false);
    }

    /// Ends the handler of that key, if one is running. It is pure: one that reaches out never runs ahead.
    fn cancel(&mut self, key: Key) -> Option<Work> {
        let under_way = std::mem::take(&mut self.under_way);
        let (cancelled, others): (Vec<_>, Vec<_>) =
            under_way.into_iter().partition(|under_way| under_way.key == key);
        self.under_way = others.into_iter().collect();
        cancelled.into_iter().find_map(super::UnderWay::cancel)
    }

    /// Another member has the partition by now.
    pub(super) fn fenced(&mut self, work: &Work) {
        let origin = work.arrived.record().origin();
        tracing::warn!(
            "{}/{} has another owner by now: what was under way is dropped",
            origin.topic,
            origin.partition
        );
        self.forget(work.slot);
        self.report(FromLane::Fenced(work.slot));
    }
}
