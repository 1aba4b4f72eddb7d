//! An event on its way through a lane, and what it may be waiting for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::consumer::dead_letter::{DeadLetter, DeadLetters};
use crate::consumer::handler::HandleError;
use crate::consumer::{Key, SlotId};
use crate::event::Arrived;
use crate::store::Effects;

/// An event on its way through the lane.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) slot: SlotId,
    pub(super) key: Key,
    pub(super) offset: i64,
    pub(super) body: Arrived,
    pub(super) attempts: u32,
    pub(super) first_failure: Option<Instant>,
}

/// How a stage of an event's way ended.
pub(super) enum Ended {
    Handled(Result<Effects, HandleError>),
    PauseOver,
    DeadLettered,
}

/// What an event may be waiting for.
pub(super) enum Stage {
    /// Its handler. Only this one holds a permit: what waits for anything else leaves the room to others.
    Handling(BoxFuture<'static, Ended>, Option<OwnedSemaphorePermit>),
    /// Its next attempt.
    Pause(BoxFuture<'static, Ended>),
    /// Its dead letter's acknowledgement.
    DeadLetter(BoxFuture<'static, Ended>),
}

/// An event that waits.
pub(super) struct UnderWay {
    pub(super) slot: SlotId,
    pub(super) work: Option<Work>,
    pub(super) stage: Stage,
}

impl Future for UnderWay {
    type Output = (Option<Work>, Ended);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = match &mut self.stage {
            Stage::Handling(running, permit) => {
                let ended = std::task::ready!(running.as_mut().poll(context));
                // Back to all: a lane that kept it for its own next event would starve the others.
                *permit = None;
                ended
            }
            Stage::Pause(waiting) | Stage::DeadLetter(waiting) => {
                std::task::ready!(waiting.as_mut().poll(context))
            }
        };
        Poll::Ready((self.work.take(), ended))
    }
}

/// A handler that does not answer in time is dropped where it waits. Transient: the next attempt may be quicker.
pub(super) async fn handled_within(
    limit: Duration,
    running: BoxFuture<'static, Result<Effects, HandleError>>,
) -> Ended {
    let late = |_| Err(HandleError::transient(format!("the handler did not answer within {limit:?}")));
    Ended::Handled(tokio::time::timeout(limit, running).await.unwrap_or_else(late))
}

/// Ends when the dead letter is acknowledged, and not before: its offset must not move without it.
pub(super) async fn published(publisher: Arc<dyn DeadLetters>, letter: DeadLetter) -> Ended {
    let origin = letter.body.record().origin();
    let reason = &letter.reason;
    tracing::warn!(place = %origin, deliveries = letter.deliveries, "dead letter: {reason}");
    let mut pause = Duration::from_secs(1);
    while let Err(refusal) = publisher.publish(&letter).await {
        tracing::error!(place = %origin, "the dead letter cannot be written, so the partition waits: {refusal}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
    Ended::DeadLettered
}
