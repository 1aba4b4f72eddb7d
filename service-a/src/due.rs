//! Waiting for the event source and for the pace.

use std::time::Duration;

use tokio::time::Instant;

use crate::pace::Pace;
use crate::source::Source;

/// A source that gave nothing for longer than this is not caught up with: what it then has goes out at the pace.
const LULL: Duration = Duration::from_secs(1);

/// When the next events are due.
#[derive(Debug)]
pub(crate) struct Due {
    pace: Pace,
    /// When the schedule began, and what had been published by then.
    began: Option<(Instant, u64)>,
}

impl Due {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, began: None }
    }

    /// Waits for the source and for the pace; then so many events are due, `most` at most. `published` is how many went
    /// before. Cancel safe.
    ///
    /// # Errors
    /// The source can no longer be read.
    pub(crate) async fn events(
        &mut self,
        source: &mut Source,
        published: u64,
        most: u64,
    ) -> anyhow::Result<u64> {
        let asked = Instant::now();
        source.ready().await?;
        if asked.elapsed() > LULL {
            self.began = None;
        }
        Ok(self.paced(source, published, most).await)
    }

    /// The schedule begins with the next event.
    pub(crate) fn begin_anew(&mut self) {
        self.began = None;
    }

    /// The same, where an event is at hand already.
    pub(crate) async fn paced(&mut self, source: &Source, published: u64, most: u64) -> u64 {
        if self.pace.is_full_speed() || source.remaining() == Some(0) {
            return most;
        }
        let (began, before) = *self.began.get_or_insert_with(|| (Instant::now(), published));
        let since = published - before;
        // Without a sum of instants, which may overflow.
        tokio::time::sleep(self.pace.due(since).saturating_sub(began.elapsed())).await;
        self.pace.allowed(began.elapsed()).saturating_sub(since).clamp(1, most)
    }
}
