//! The last question before a reaching handler runs: does the ledger let its event go?
//!
//! What a handler does outside cannot be taken back. So the ledger says "handling" first, in a row that is committed: who
//! cancels the event before that has cancelled it, who comes after it is told that it is too late. Where an event gets no row
//! (at-least-once), the ledger is only asked whether it knows it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::{BoxFuture, try_join};

use super::under_way::Work;
use super::{Lane, SlotId};
use crate::consumer::blocked_keys::Next;
use crate::store::{
    Identity, Known, RowId, Settlement, Status, Step, Store, StoreError, Verdict, until_available,
};

/// What the ledger says about an event that is to be handled.
#[derive(Debug)]
pub(super) enum Go {
    /// Handle it; in a row that says so, if it gets one.
    Ahead(Option<RowId>),
    /// It is settled, or was cancelled.
    Known(Status),
    /// Its id is that of another event.
    Conflict,
    /// Another member has the partition by now.
    Fenced,
}

type Answers = BoxFuture<'static, Result<Vec<Go>, StoreError>>;

/// Events whose keys and permits let them start, and that wait for the ledger.
pub(super) struct Beginning {
    store: Arc<dyn Store>,
    group: String,
    /// Each with the settlement that begins it, where it is to have a row.
    next: Vec<(Work, Option<Settlement>)>,
    under_way: Option<(Vec<Work>, Answers)>,
    /// Those that may go ahead, as soon as there are permits.
    begun: VecDeque<Work>,
    most: usize,
}

impl Beginning {
    /// `most` events at a time: "handling" is said of few that are not.
    pub(super) fn new(store: Arc<dyn Store>, group: String, most: usize) -> Self {
        Self { store, group, next: Vec::new(), under_way: None, begun: VecDeque::new(), most }
    }

    /// Whether another event may be asked about.
    pub(super) fn has_room(&self) -> bool {
        let asked = self.under_way.as_ref().map_or(0, |(works, _)| works.len());
        self.next.len() + asked + self.begun.len() < self.most
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    pub(super) fn take_begun(&mut self) -> Option<Work> {
        self.begun.pop_front()
    }

    pub(super) fn add(&mut self, work: Work, settlement: Option<Settlement>) {
        self.next.push((work, settlement));
    }

    /// Asks about the next ones, if the last answer is here.
    pub(super) fn start(&mut self) {
        if self.under_way.is_some() || self.next.is_empty() {
            return;
        }
        let (mut works, mut with_row, mut without) = (Vec::new(), Vec::new(), Vec::new());
        for (work, settlement) in self.next.drain(..) {
            match settlement {
                Some(settlement) => with_row.push((works.len(), settlement)),
                None => without.push((works.len(), Identity::of(&work.arrived).into_owned())),
            }
            works.push(work);
        }
        let begun = begun(Arc::clone(&self.store), with_row);
        let known = looked_up(Arc::clone(&self.store), self.group.clone(), without);
        let count = works.len();
        let answers = async move {
            let (some, others) = try_join(begun, known).await?;
            let mut answers: Vec<Go> = (0..count).map(|_| Go::Fenced).collect();
            for (at, go) in some.into_iter().chain(others) {
                answers[at] = go;
            }
            Ok(answers)
        };
        self.under_way = Some((works, Box::pin(answers)));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Waits for the answers. Cancel safe.
    pub(super) async fn answered(&mut self) -> Result<Vec<(Work, Go)>, StoreError> {
        let Some((_, answers)) = &mut self.under_way else { return std::future::pending().await };
        let answers = answers.await;
        let works = self.under_way.take().map(|(works, _)| works).unwrap_or_default();
        Ok(works.into_iter().zip(answers?).collect())
    }

    /// Drops what of the slot is not under way; that is dropped when its answer comes.
    pub(super) fn forget(&mut self, slot: SlotId) {
        self.next.retain(|(work, _)| work.slot != slot);
        self.begun.retain(|work| work.slot != slot);
    }
}

async fn begun(
    store: Arc<dyn Store>,
    asked: Vec<(usize, Settlement)>,
) -> Result<Vec<(usize, Go)>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let (places, batch): (Vec<usize>, Vec<Settlement>) = asked.into_iter().unzip();
    let batch: Arc<[Settlement]> = batch.into();
    let verdicts = until_available("begin", || store.settle(Arc::clone(&batch))).await?;
    let go = verdicts.into_iter().map(|verdict| match verdict {
        Verdict::Settled(row) => Go::Ahead(Some(row)),
        Verdict::Known(status) => Go::Known(status),
        Verdict::Conflict => Go::Conflict,
        // What has no effects is not refused.
        Verdict::Fenced | Verdict::Refused(_) | Verdict::Behind => Go::Fenced,
    });
    Ok(places.into_iter().zip(go).collect())
}

async fn looked_up(
    store: Arc<dyn Store>,
    group: String,
    asked: Vec<(usize, Identity<'static>)>,
) -> Result<Vec<(usize, Go)>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let (places, events): (Vec<usize>, Vec<Identity<'static>>) = asked.into_iter().unzip();
    let events: Arc<[Identity<'static>]> = events.into();
    let known = until_available("look events up", || store.look_up(&group, Arc::clone(&events))).await?;
    let go = known.into_iter().map(|known| match known {
        // One that is being handled was left behind by a crash, while every event had a row.
        None | Some(Known { same: true, status: Status::Handling }) => Go::Ahead(None),
        Some(Known { same: true, status }) => Go::Known(status),
        Some(Known { same: false, .. }) => Go::Conflict,
    });
    Ok(places.into_iter().zip(go).collect())
}

impl Lane {
    /// Whether the ledger is to be asked before the event's handler runs.
    pub(super) fn must_begin(&self, work: &Work) -> bool {
        let handler = work.handler.and_then(|place| self.common.handlers.at(place));
        !work.may_go && handler.is_some_and(|handler| !handler.is_pure())
    }

    pub(super) fn begin(&mut self, work: Work) {
        let has_row = work.row.is_some() || self.common.every_event_has_a_row;
        let settlement = if has_row {
            // Nobody needs what a slot that was let go had begun.
            let Some(settlement) = self.settlement(&work, Step::Handling) else { return };
            Some(settlement)
        } else {
            None
        };
        self.queues.started(work.key, work.slot);
        self.beginning.add(work, settlement);
    }

    pub(super) fn take_answers(&mut self, answers: Vec<(Work, Go)>) {
        for (mut work, go) in answers {
            if self.slots.owner(work.slot).is_none() {
                continue;
            }
            work.may_go = true;
            match go {
                Go::Ahead(row) => {
                    work.new_row = row.filter(|_| work.row.is_none());
                    self.beginning.begun.push_back(work);
                }
                Go::Known(status) => self.must_not_go(&work, status),
                // A dead letter by its place.
                Go::Conflict => self.beginning.begun.push_back(Work { is_conflicting: true, ..work }),
                Go::Fenced => self.fenced(&work),
            }
        }
    }

    /// It was settled before, or somebody has cancelled it in time.
    fn must_not_go(&mut self, work: &Work, status: Status) {
        self.took_none(work);
        self.known(work, status);
        if self.common.answers_as.is_some() {
            // What its reply was goes out once more.
            self.common.relay.notify_one();
        }
        let next = match work.row {
            Some((row, _)) if self.blocked.is_head(work.key, row) => self.blocked.finished(work.key, row),
            _ => Next::Unblocked(work.key),
        };
        self.next(next);
    }
}
