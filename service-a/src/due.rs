//! Waiting for the event source and for the pace.

use tokio::time::Instant;

use crate::pace::Pace;
use crate::source::Source;

/// When the next events are due.
#[derive(Debug)]
pub(crate) struct Due {
    pace: Pace,
    /// When the first event was there.
    started: Option<Instant>,
}

impl Due {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, started: None }
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
        source.ready().await?;
        Ok(self.paced(source, published, most).await)
    }

    /// The same, where an event is at hand already.
    pub(crate) async fn paced(&mut self, source: &Source, published: u64, most: u64) -> u64 {
        if self.pace.is_full_speed() || source.remaining() == Some(0) {
            return most;
        }
        let started = *self.started.get_or_insert_with(Instant::now);
        // Without a sum of instants, which may overflow.
        tokio::time::sleep(self.pace.due(published).saturating_sub(started.elapsed())).await;
        self.pace.allowed(started.elapsed()).saturating_sub(published).clamp(1, most)
    }
}
