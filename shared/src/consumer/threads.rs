//! The poll thread and its lanes: one set for events, one for commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Options;
use super::common::Common;
use super::lane::Lane;
use super::poll::PollThread;
use crate::client::Connection;

/// The poll thread and the lanes.
pub(super) struct Threads {
    lanes: JoinSet<()>,
    /// Tells the poll thread to end.
    stop: Arc<AtomicBool>,
    /// Everything is drained and committed. `None` once that was heard.
    ended: Option<oneshot::Receiver<anyhow::Result<()>>>,
    /// The group knows that this member has left.
    closed: oneshot::Receiver<()>,
}

impl Drop for Threads {
    /// Whoever gives `run` up must not leave a member behind that handles nothing.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Threads {
    pub(super) fn start(
        connection: &Connection,
        options: Options,
        common: Arc<Common>,
    ) -> anyhow::Result<Self> {
        let (reports, from_lanes) = std_mpsc::channel();
        let (mut inboxes, mut lanes) = (Vec::new(), JoinSet::new());
        for _ in 0..options.lanes {
            let (to_lane, inbox) = mpsc::unbounded_channel();
            inboxes.push(to_lane);
            lanes.spawn(Lane::new(Arc::clone(&common), inbox, reports.clone()).run());
        }
        drop(reports);
        let stop = Arc::new(AtomicBool::new(false));
        let poll = PollThread::new(connection, options, common, inboxes, from_lanes, Arc::clone(&stop))?;
        let (ending, ended) = oneshot::channel();
        let (closing, closed) = oneshot::channel::<()>();
        std::thread::Builder::new().name("poll".to_owned()).spawn(move || {
            poll.run(ending);
            drop(closing);
        })?;
        Ok(Self { lanes, stop, ended: Some(ended), closed })
    }

    /// Waits until the poll thread ends by itself; `None` where a lane panics before that. Cancel safe.
    pub(super) async fn end(&mut self) -> Option<anyhow::Result<()>> {
        tokio::select! {
            result = heard(&mut self.ended) => Some(result),
            () = lane_breaks(&mut self.lanes) => None,
        }
    }

    /// Has the poll thread end, and waits until everything is drained and committed.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        heard(&mut self.ended).await
    }

    /// Waits until no lane has anything to do.
    pub(super) async fn lanes_end(&mut self) {
        while self.lanes.join_next().await.is_some() {}
    }

    /// Waits until the group knows that this member has left.
    pub(super) async fn closed(&mut self) {
        // It is dropped when that is so.
        let _ = (&mut self.closed).await;
    }
}

/// What the poll thread came to; nothing more once that was heard.
async fn heard(ended: &mut Option<oneshot::Receiver<anyhow::Result<()>>>) -> anyhow::Result<()> {
    let Some(receiver) = ended else { return Ok(()) };
    let result = receiver.await;
    *ended = None;
    result.context("the poll thread ended without a word: a bug")?
}

/// Ends when a lane panics. Lanes that have come to their end are no news.
async fn lane_breaks(lanes: &mut JoinSet<()>) {
    while let Some(ended) = lanes.join_next().await {
        if ended.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}
