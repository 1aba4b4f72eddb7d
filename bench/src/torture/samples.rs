//! What the members take, as the kernel counts it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

/// What a process holds at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Held {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
    pub(crate) files: u64,
}

impl Held {
    fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Self { resident_kib: field("VmRSS:")?, threads: field("Threads:")?, files })
    }

    fn most(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib.max(other.resident_kib),
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
        }
    }
}

/// A process fills its buffers first; that is no leak.
const WARM: Duration = Duration::from_secs(60);

/// Until then threads and connections are still being made.
const STARTED: Duration = Duration::from_secs(5);

/// The samples of the run.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// Of each process: minutes since its start, KiB.
    resident: BTreeMap<u32, Vec<(f64, f64)>>,
    /// The most that any member held in the first look at everybody, and in the last.
    pub(crate) first: Option<Held>,
    pub(crate) last: Held,
}

impl Samples {
    /// Looks at each of these processes.
    pub(crate) fn take(&mut self, members: impl Iterator<Item = (u32, Instant)>) {
        let mut all: Option<Held> = None;
        let mut is_started = true;
        for (pid, started) in members {
            let (age, Some(held)) = (started.elapsed(), Held::of(pid)) else { continue };
            is_started &= age >= STARTED;
            all = Some(all.unwrap_or_default().most(held));
            if age >= WARM {
                let sample = (age.as_secs_f64() / 60.0, held.resident_kib as f64);
                self.resident.entry(pid).or_default().push(sample);
            }
        }
        if let Some(all) = all {
            self.last = all;
            if is_started {
                self.first.get_or_insert(all);
            }
        }
    }

    /// KiB a minute by least squares, each process about its own mean: one that starts anew is no drop. `None` if none
    /// lived for long enough.
    pub(crate) fn slope(&self) -> Option<f64> {
        slope(self.resident.values().map(Vec::as_slice))
    }
}

fn slope<'a>(processes: impl Iterator<Item = &'a [(f64, f64)]>) -> Option<f64> {
    let (mut across, mut along) = (0.0, 0.0);
    for samples in processes.filter(|samples| samples.len() >= 10) {
        let count = samples.len() as f64;
        let mean = |part: fn(&(f64, f64)) -> f64| samples.iter().map(part).sum::<f64>() / count;
        let (minute, resident) = (mean(|sample| sample.0), mean(|sample| sample.1));
        for sample in samples {
            across += (sample.0 - minute) * (sample.1 - resident);
            along += (sample.0 - minute).powi(2);
        }
    }
    (along > 0.0).then(|| across / along)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_within_the_processes() {
        let line = |from: f64, slope: f64| -> Vec<(f64, f64)> {
            (0..60).map(|second| f64::from(second) / 60.0).map(|x| (x, from + slope * x)).collect()
        };
        // The second process starts much lower: no drop.
        let both = [line(90_000.0, 30.0), line(20_000.0, 30.0)];
        let found = slope(both.iter().map(Vec::as_slice)).expect("a slope");
        assert!((found - 30.0).abs() < 1e-6, "{found}");
        assert_eq!(slope(std::iter::empty()), None);
        assert_eq!(slope([line(1.0, 1.0)[..9].to_vec()].iter().map(Vec::as_slice)), None);
    }

    #[test]
    fn this_process_holds_something() {
        let held = Held::of(std::process::id()).expect("Linux");
        assert!(held.resident_kib > 0 && held.threads > 0 && held.files > 0);
    }
}
