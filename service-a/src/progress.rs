//! Progress on a terminal, for work that takes a while; nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shared::event::NewEvent;

use crate::config::Config;

/// A bar over a file's bytes, or a count where the end is unknown. indicatif draws on standard error, and
/// only where that is a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Bytes that the bar has not been told of yet: each time it looks at the clock.
    untold: u64,
}

const TELL_EVERY: u64 = 64 * 1024;

impl Progress {
    /// For the work that the settings describe. At a pace that a person follows, log lines are the progress.
    pub fn new(config: &Config) -> Self {
        if config.dry_run || config.pause() >= Duration::from_millis(50) {
            return Self { bar: ProgressBar::hidden(), untold: 0 };
        }
        let size = config.from.as_ref().and_then(|path| std::fs::metadata(path).ok()).map(|file| file.len());
        let (bar, template) = match size.filter(|size| *size > 0) {
            Some(size) => {
                (ProgressBar::new(size), "{bar:30} {percent}% {bytes}/{total_bytes} {msg} eta {eta}")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {human_pos} bytes of events in {elapsed}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, untold: 0 }
    }

    /// An event went out. Its line's end counts with it.
    pub fn event(&mut self, event: &NewEvent) {
        self.untold += event.data.as_ref().map_or(0, |data| data.len() as u64 + 1);
        if self.untold >= TELL_EVERY {
            self.bar.inc(std::mem::take(&mut self.untold));
        }
    }

    /// The bar makes room for the closing line.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
