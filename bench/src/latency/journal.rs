//! When which event was handled: the same for the pair and for the bare loop.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::resource::UsageWho;

use super::stream::{Stream, read};
use crate::machine::used;
use crate::measure::Run;

/// In microseconds: a minute at most, to three digits.
const LONGEST: u64 = 60_000_000;
const DIGITS: u8 = 3;

#[derive(Debug)]
pub(crate) struct Journal {
    stream: Stream,
    start: Instant,
    latencies: Histogram<u64>,
    seen: Vec<bool>,
    left: u64,
    /// Came twice, or not from the stream.
    strange: u64,
    /// Since the first event that counts, and what the process had used by then.
    began: Option<(Instant, Duration)>,
    /// Since then, up to the last event.
    took: Option<(Duration, Duration)>,
}

impl Journal {
    /// # Errors
    /// None: the histogram's bounds are valid.
    pub(crate) fn new(stream: Stream, start: Instant) -> anyhow::Result<Self> {
        Ok(Self {
            stream,
            start,
            latencies: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
            seen: vec![false; stream.events() as usize],
            left: stream.events(),
            strange: 0,
            began: None,
            took: None,
        })
    }

    /// An event has been handled now; `true` when it was the last of all.
    pub(crate) fn note(&mut self, data: &[u8], now: Instant) -> bool {
        let Some((number, due)) = read(data) else {
            self.strange += 1;
            return false;
        };
        match self.seen.get_mut(number as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                self.strange += 1;
                return false;
            }
        }
        self.left -= 1;
        if number >= self.stream.first_measured() {
            let (began, before) = *self.began.get_or_insert_with(|| (now, used(UsageWho::RUSAGE_SELF)));
            let latency = (now - self.start).saturating_sub(due);
            self.latencies.saturating_record(latency.as_micros() as u64);
            if self.left == 0 {
                self.took = Some((now - began, used(UsageWho::RUSAGE_SELF).saturating_sub(before)));
            }
        }
        self.left == 0
    }

    /// What the run came to.
    ///
    /// # Errors
    /// Not every event was handled, each once.
    pub(crate) fn run(&self) -> anyhow::Result<Run> {
        let Some((wall, cpu)) = self.took else {
            anyhow::bail!("{} of {} events were not handled", self.left, self.stream.events());
        };
        anyhow::ensure!(self.strange == 0, "{} events came twice, or from elsewhere", self.strange);
        let at = |quantile: f64| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let most = self.latencies.max() as f64 / 1e3;
        let figures =
            vec![("p50_ms", at(0.5)), ("p99_ms", at(0.99)), ("p999_ms", at(0.999)), ("max_ms", most)];
        // Publisher and consumer are one process: of its memory nothing is to be learnt.
        Ok(Run { events: self.stream.measured(), wall, cpu, peak_kib: None, figures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { rate: 100, seconds: 10 };

    fn data(number: u64) -> String {
        format!("{number} {} xxx", number * 10_000_000)
    }

    #[test]
    fn percentiles_are_of_what_counts_and_from_when_it_was_due() {
        let start = Instant::now();
        let mut journal = Journal::new(STREAM, start).expect("a journal");
        for number in 0..STREAM.events() {
            // The warm-up took a second an event; of what counts, one in a hundred took 50 ms and the others 2.
            let latency = match number {
                0..500 => 1000,
                number if number % 100 == 0 => 50,
                _ => 2,
            };
            let now = start + Duration::from_millis(number * 10 + latency);
            let is_last = journal.note(data(number).as_bytes(), now);
            assert_eq!(is_last, number + 1 == STREAM.events());
        }
        let run = journal.run().expect("complete");
        let near = |index: usize, millis: f64| (run.figures[index].1 - millis).abs() < millis / 100.0;
        assert_eq!(run.events, 1000);
        assert!(near(0, 2.0) && near(1, 2.0) && near(2, 50.0) && near(3, 50.0), "{:?}", run.figures);
    }

    #[test]
    fn what_is_missing_or_came_twice_is_no_result() {
        let start = Instant::now();
        let mut journal = Journal::new(Stream { rate: 1, seconds: 1 }, start).expect("a journal");
        (0..5).for_each(|number| assert!(!journal.note(data(number).as_bytes(), start)));
        assert!(journal.run().is_err());
        assert!(!journal.note(data(4).as_bytes(), start));
        assert!(journal.note(data(5).as_bytes(), start));
        assert!(journal.run().is_err(), "one came twice");
    }
}
