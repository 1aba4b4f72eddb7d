//! A progress bar for who watches: on a terminal, for long work, and nowhere else.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shared::telemetry;

use crate::pace::Pace;
use crate::source::Source;

/// Work that is over before anybody looks needs no bar.
const LONG: Duration = Duration::from_secs(3);
const REDRAW: Duration = Duration::from_millis(200);

/// The bar, or nothing.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar, unless each event has its log line already.
    pub(crate) fn start(source: &Source, pace: Pace, is_announced: bool) -> Self {
        let is_long = match source.remaining() {
            Some(count) if source.is_counter() => pace.due(count) > LONG,
            _ => true,
        };
        if is_announced || !is_long || !std::io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let (bar, template) = match (source.bytes(), source.remaining()) {
            (Some((size, _)), None) => {
                (ProgressBar::new(size), "{bar:30} {bytes}/{total_bytes}, {eta} to go")
            }
            (_, Some(count)) => {
                (ProgressBar::new(count), "{bar:30} {pos}/{len} events, {per_sec}, {eta} to go")
            }
            (_, None) => (ProgressBar::no_length(), "{spinner} {pos} events, {per_sec}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(REDRAW);
        telemetry::progress_line(true);
        Self { bar: Some(bar) }
    }

    pub(crate) fn show(&self, source: &Source, published: u64) {
        let Some(bar) = &self.bar else { return };
        match source.bytes() {
            Some((_, taken)) if source.remaining().is_none() => bar.set_position(taken),
            _ => bar.set_position(published),
        }
    }

    /// Takes the bar away: the closing line says the rest.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            telemetry::progress_line(false);
        }
    }
}
