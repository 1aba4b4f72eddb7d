//! An event source that an operator has paused is not read.

use std::time::Duration;

use shared::outbox::Outbox;
use shared::telemetry::Printable;
use tokio::time::Instant;

/// How often to look whether it is paused, and whether it still is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When it was looked for the last time.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    looked: Option<Instant>,
}

impl Standstill {
    /// Waits for as long as the source of that name is paused; looks once a second. `true` where it was. A source without a
    /// name cannot be paused. Cancel safe.
    pub(crate) async fn wait(&mut self, outbox: &Outbox, name: Option<&str>) -> bool {
        let Some(name) = name else { return false };
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return false;
        }
        let mut is_paused = false;
        loop {
            match outbox.paused_since(name).await {
                Ok(None) => break,
                Ok(Some(since)) => {
                    if !std::mem::replace(&mut is_paused, true) {
                        let name = Printable(name);
                        tracing::info!(
                            "{name} is paused since {since:.0}: nothing more is read until `service-a sources resume '{name}'`"
                        );
                    }
                }
                // As before, then. Storing what is read says that the store is away.
                Err(error) => {
                    tracing::debug!("cannot see what is paused: {error}");
                    if !is_paused {
                        break;
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.looked = Some(Instant::now());
        if is_paused {
            tracing::info!("{} goes on", Printable(name));
        }
        is_paused
    }
}
