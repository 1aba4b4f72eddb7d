//! An event on its way through a lane, and its handler while it runs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::consumer::brake::Streak;
use crate::consumer::handler::HandleError;
use crate::consumer::{Key, SlotId};
use crate::event::Arrived;
use crate::store::{Effects, RowId};

/// An event on its way through the lane.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) slot: SlotId,
    pub(super) key: Key,
    pub(super) offset: i64,
    pub(super) arrived: Arrived,
    /// How often its handler was given it.
    pub(super) attempts: u32,
    pub(super) failing_since: Option<Instant>,
    /// In which streak of its handler's failures it failed first.
    pub(super) streak: Option<Streak>,
    /// Its id is that of another event: it is not to be handled, and goes by its place.
    pub(super) is_conflicting: bool,
    /// The place of the handler that is for it.
    pub(super) handler: Option<usize>,
    /// The row that it has in the ledger, and the attempts that row knows of. `None` while it has none: it came from
    /// Kafka, and its offset is still open.
    pub(super) row: Option<(RowId, u32)>,
    /// The ledger lets its handler run: see `beginning.rs`.
    pub(super) may_go: bool,
    /// The row that it got for that.
    pub(super) new_row: Option<RowId>,
    /// Counts it among the scheduled events that are in memory.
    pub(super) token: Option<Arc<()>>,
}

/// What a record holds, and the place of the handler for it.
pub(super) type Read = (Arrived, Option<usize>);

impl Work {
    /// An event that came from Kafka.
    pub(super) fn new(slot: SlotId, key: Key, (arrived, handler): Read) -> Self {
        let offset = arrived.record().origin().offset;
        Self {
            slot,
            key,
            offset,
            arrived,
            attempts: 0,
            failing_since: None,
            streak: None,
            is_conflicting: false,
            handler,
            row: None,
            may_go: false,
            new_row: None,
            token: None,
        }
    }
}

type Handled = Result<Effects, HandleError>;

/// A handler that was not ready at its first poll.
pub(super) struct UnderWay {
    pub(super) slot: SlotId,
    pub(super) key: Key,
    work: Option<Work>,
    running: BoxFuture<'static, Handled>,
    permit: Option<OwnedSemaphorePermit>,
}

impl UnderWay {
    pub(super) fn new(
        work: Work,
        running: BoxFuture<'static, Handled>,
        limit: Duration,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (slot, key) = (work.slot, work.key);
        Self { slot, key, work: Some(work), running: Box::pin(handled_within(limit, running)), permit }
    }

    /// Ends the handler where it waits.
    pub(super) fn cancel(self) -> Option<Work> {
        self.work
    }
}

impl Future for UnderWay {
    type Output = (Option<Work>, Handled);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let handled = std::task::ready!(self.running.as_mut().poll(context));
        // Back to all: a lane that kept it for its own next event would starve the others.
        self.permit = None;
        Poll::Ready((self.work.take(), handled))
    }
}

/// A handler that does not answer in time is dropped where it waits. Transient: the next attempt may be quicker.
async fn handled_within(limit: Duration, running: BoxFuture<'static, Handled>) -> Handled {
    let late = |_| Err(HandleError::transient(format!("the handler did not answer within {limit:?}")));
    tokio::time::timeout(limit, running).await.unwrap_or_else(late)
}
