//! The loop: an event from its source, at its time, to the publisher.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shared::event::NewEvent;
use shared::producer::{Failure, Publisher};

use crate::config::Config;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Summary;
use crate::source::{Next, Source};

/// Where events go: to Kafka, or on the screen.
pub trait Sink {
    /// Takes the `number`th event; `false` when it could not before `stop`.
    ///
    /// # Errors
    /// Nothing more can be taken.
    fn take(&mut self, event: &NewEvent, number: u64, stop: &AtomicBool) -> anyhow::Result<bool>;
}

impl Sink for Publisher {
    fn take(&mut self, event: &NewEvent, number: u64, stop: &AtomicBool) -> anyhow::Result<bool> {
        Ok(self.publish(event, number, || stop.load(Ordering::Relaxed)))
    }
}

/// At most so long between two looks at whether to stop.
const GLANCE: Duration = Duration::from_millis(50);
/// Slower than this, each event gets its log line; a person can follow it.
const FOLLOWABLE: Duration = Duration::from_millis(50);

/// Takes events from the source until it ends, the limit is reached or `stop` is set.
///
/// # Errors
/// The source cannot be read on, or the sink takes no more.
pub fn run(
    config: &Config,
    source: &mut Source,
    sink: &mut dyn Sink,
    summary: &mut Summary,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let interval = config.pause();
    let (mut progress, pace) = (Progress::new(config), Pace::new(Instant::now(), interval));
    let mut taken = 0;
    while config.limit().is_none_or(|limit| taken < limit) && due(pace, taken, stop) {
        match source.read_next()? {
            Next::Event { number, event, keyless } => {
                if !sink.take(&event, number, stop)? {
                    break;
                }
                taken += 1;
                summary.without_key += u64::from(keyless);
                progress.event(&event);
                if interval >= FOLLOWABLE {
                    tracing::info!(id = event.id, "Published {}", shown(&event));
                }
            }
            Next::Empty => summary.skipped_empty += 1,
            Next::TooLong { number, bytes } => {
                let reason = format!("{bytes} bytes, more than a record holds");
                summary.fail(Failure { number, reason });
            }
            Next::NotYet => {}
            Next::End => break,
        }
    }
    summary.stopped = stop.load(Ordering::Relaxed);
    progress.end();
    Ok(())
}

/// Waits until event `n` is due; `false` when it is time to stop.
fn due(pace: Pace, n: u64, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        if pace.is_full_speed() {
            return true;
        }
        match pace.wait(n, Instant::now()) {
            Duration::ZERO => return true,
            wait => std::thread::sleep(wait.min(GLANCE)),
        }
    }
}

fn shown(event: &NewEvent) -> String {
    let data = event.data.as_deref().unwrap_or_default();
    let text: String = String::from_utf8_lossy(data).chars().take(80).collect();
    text.escape_debug().to_string()
}
