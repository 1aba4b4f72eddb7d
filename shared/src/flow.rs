//! The flow model: how fast records come and go, and when what is behind will be gone. Pure.
//!
//! Positions are sampled for a while: where a stream ends, and where its group stands (over several partitions, their
//! sums). Through the samples of a sliding window goes a line, `y = a·x + b`, by least squares:
//!
//! | | from | unit |
//! |---|---|---|
//! | x | a monotonic clock, since the first sample | seconds, 0 or more |
//! | y | an offset: Kafka's high watermark, or the group's committed offset | records |
//! | a | the line's slope, v = Δ/t: the rate of production or of consumption | records a second |
//! | b | where the line was when the window began | records |
//!
//! The lag is one position less the other, and so is its line: the lag falls by consumption less production. Time to
//! drain is lag / (consumption − production).
//!
//! # When there is no prediction
//!
//! What decides is the standard error of the lag's slope, which follows from what the samples lie off the line (the
//! residuals), beside the slope itself: a slope that is wrong by a quarter makes a time that is wrong by a quarter. R² is
//! shown to people, and decides nothing: where nothing moves it is 0/0, and a slow slope under a little noise has a bad R²
//! with the same error. One position moving in steps (a group commits once a second) is such noise.
//!
//! Offsets count more than records where a topic is compacted, or holds transactions: rates and lag are upper bounds then.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// Fewer samples give a line without a meaning: two always lie on one.
pub const FEWEST_SAMPLES: usize = 4;

/// How large the standard error of a slope may be beside the slope.
pub const WORST_ERROR: f64 = 0.25;

/// Where something stood at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    /// Seconds since the first sample of all.
    at: f64,
    position: i64,
}

/// A sliding window of samples.
#[derive(Debug, Clone)]
pub struct Window {
    span: Duration,
    samples: VecDeque<Sample>,
}

/// The line through a window's samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// Records a second: a in `a·x + b`. Below zero where the position went back.
    pub rate: f64,
    /// How far off that may be: its standard error, in records a second.
    pub error: f64,
    /// Which part of what moved the line explains, 0 to 1. 1 where nothing moved.
    pub r2: f64,
    /// How many samples it goes through.
    pub samples: usize,
}

/// When what is behind will be gone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Drain {
    /// It is: nothing is behind.
    CaughtUp,
    /// In so many seconds, if it goes on like this.
    In(f64),
    /// Consumption is not faster than production.
    Never,
    /// No prediction: so few samples say nothing.
    TooFewSamples(usize),
    /// No prediction: the samples lie too far off the line. So wrong the rate may be, as a part of it.
    PoorFit(f64),
}

impl Window {
    /// One that forgets what is older than `span`, beside the newest sample.
    pub fn new(span: Duration) -> Self {
        Self { span, samples: VecDeque::new() }
    }

    /// Adds a sample. `at` is counted from any one moment, and never goes back; a sample from before is left out.
    pub fn note(&mut self, at: Duration, position: i64) {
        let at = at.as_secs_f64();
        if self.samples.back().is_some_and(|last| at < last.at) {
            return;
        }
        self.samples.push_back(Sample { at, position });
        let oldest = at - self.span.as_secs_f64();
        while self.samples.front().is_some_and(|first| first.at < oldest) {
            self.samples.pop_front();
        }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The line through them; `None` where there are fewer than [`FEWEST_SAMPLES`], or all of one moment.
    pub fn line(&self) -> Option<Line> {
        let first = self.samples.front()?;
        if self.samples.len() < FEWEST_SAMPLES {
            return None;
        }
        // From the first sample on: offsets themselves have more digits than a float.
        let points = || {
            let moved = |sample: &Sample| (i128::from(sample.position) - i128::from(first.position)) as f64;
            self.samples.iter().map(move |sample| (sample.at - first.at, moved(sample)))
        };
        let count = self.samples.len() as f64;
        let (mean_x, mean_y) =
            (points().map(|(x, _)| x).sum::<f64>() / count, points().map(|(_, y)| y).sum::<f64>() / count);
        let sum =
            |of: &dyn Fn(f64, f64) -> f64| points().map(|(x, y)| of(x - mean_x, y - mean_y)).sum::<f64>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if xx <= 0.0 {
            return None;
        }
        let rate = xy / xx;
        let residuals = sum(&|x, y| (y - rate * x).powi(2));
        Some(Line {
            rate,
            error: (residuals / (count - 2.0) / xx).sqrt(),
            r2: if yy > 0.0 { (1.0 - residuals / yy).clamp(0.0, 1.0) } else { 1.0 },
            samples: self.samples.len(),
        })
    }
}

/// A stream and its group, sampled together.
#[derive(Debug, Clone)]
pub struct Flow {
    produced: Window,
    consumed: Window,
    lag: Window,
}

/// What the samples come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Records that come.
    pub production: Option<Line>,
    /// Records that go.
    pub consumption: Option<Line>,
    /// Records behind, at the newest sample.
    pub lag: i64,
    /// When they will be gone.
    pub drain: Drain,
}

impl Flow {
    /// With a window of that length.
    pub fn new(span: Duration) -> Self {
        let window = Window::new(span);
        Self { produced: window.clone(), consumed: window.clone(), lag: window }
    }

    /// Adds a sample: where the stream ended then, and where its group stood.
    pub fn note(&mut self, at: Duration, end: i64, stands: i64) {
        self.produced.note(at, end);
        self.consumed.note(at, stands);
        self.lag.note(at, lag(end, stands));
    }

    /// What the samples come to.
    pub fn estimate(&self) -> Estimate {
        let lag = self.lag.samples.back().map_or(0, |sample| sample.position);
        Estimate {
            production: self.produced.line(),
            consumption: self.consumed.line(),
            lag,
            drain: drain(lag, self.lag.line(), self.lag.len()),
        }
    }
}

/// How evenly something is spread over several.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// What each would have if all had the same.
    pub mean: f64,
    /// The most that one has less the least: 0 is even.
    pub range: f64,
}

/// How evenly these are spread; `None` where there are none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let (least, most) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
    Some(Spread { mean: values.iter().sum::<f64>() / values.len() as f64, range: most - least })
}

/// Records behind. None where the group stands beyond the end: the stream was cut off, or made anew.
pub fn lag(end: i64, stands: i64) -> i64 {
    end.saturating_sub(stands).max(0)
}

/// When a lag will be gone whose line that is.
pub fn drain(lag: i64, line: Option<Line>, samples: usize) -> Drain {
    if lag <= 0 {
        return Drain::CaughtUp;
    }
    let Some(line) = line else { return Drain::TooFewSamples(samples) };
    // How fast it falls: consumption less production.
    let falls = -line.rate;
    if line.error > WORST_ERROR * falls.abs() {
        return Drain::PoorFit(line.error / falls.abs());
    }
    if falls <= 0.0 { Drain::Never } else { Drain::In(lag as f64 / falls) }
}

#[cfg(test)]
mod tests;
