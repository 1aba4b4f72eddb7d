//! Progress on a terminal, for work that takes a while; nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shared::event::NewEvent;

use crate::config::Config;

/// A bar over a file's bytes, or a count where the end is unknown. indicatif draws on standard error, and
/// only where that is a terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// For the work that the settings describe. At a pace that a person follows, log lines are the progress.
    pub fn new(config: &Config) -> Self {
        if config.dry_run || config.pause() >= Duration::from_millis(50) {
            return Self(ProgressBar::hidden());
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
        Self(bar)
    }

    /// An event went out. Its line's end counts with it.
    pub fn event(&self, event: &NewEvent) {
        self.0.inc(event.data.as_ref().map_or(0, |data| data.len() as u64 + 1));
    }

    /// The bar makes room for the closing line.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
