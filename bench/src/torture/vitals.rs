//! How the services feel meanwhile: how soon they go on after a fault, and what they hold.

use std::time::{Duration, Instant};

use super::database::Database;
use super::fleet::Fleet;

/// Looked at many times a second.
#[derive(Debug)]
pub(crate) struct Vitals<'a> {
    database: &'a Database,
    start: Instant,
    settled: u64,
    /// A fault came, and nothing has been settled since.
    waiting: Option<Instant>,
    pub(crate) recoveries: Vec<Duration>,
    /// Seconds and KiB of the oldest member's memory, once a second.
    memory: Vec<(f64, f64)>,
    looked_at: Instant,
    pub(crate) most_kib: u64,
    pub(crate) most_threads: u64,
    pub(crate) most_files: u64,
}

impl<'a> Vitals<'a> {
    pub(crate) fn new(database: &'a Database) -> Self {
        let now = Instant::now();
        Self {
            database,
            start: now,
            settled: 0,
            waiting: None,
            recoveries: Vec::new(),
            memory: Vec::new(),
            looked_at: now,
            most_kib: 0,
            most_threads: 0,
            most_files: 0,
        }
    }

    /// A fault was inflicted that may stop the work.
    pub(crate) fn disturbed(&mut self, may_stop: bool) {
        if may_stop {
            self.waiting.get_or_insert_with(Instant::now);
        }
    }

    pub(crate) fn look(&mut self, fleet: &Fleet) {
        let settled = self.database.settled();
        if settled > self.settled
            && let Some(since) = self.waiting.take()
        {
            self.recoveries.push(since.elapsed());
        }
        self.settled = settled;
        if self.looked_at.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.looked_at = Instant::now();
        for (place, process) in fleet.member_ids().into_iter().enumerate() {
            let Some((kib, threads)) = status(process) else { continue };
            let files = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count) as u64;
            self.most_kib = self.most_kib.max(kib);
            self.most_threads = self.most_threads.max(threads);
            self.most_files = self.most_files.max(files);
            if place == 0 {
                self.memory.push((self.start.elapsed().as_secs_f64(), kib as f64));
            }
        }
    }

    /// KiB a minute, by least squares. Restarts are in it, so that only a long run says much.
    pub(crate) fn memory_slope(&self) -> f64 {
        let count = self.memory.len().max(1) as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| self.memory.iter().map(of).sum::<f64>() / count;
        let (at, kib) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = self.memory.iter().map(|point| (point.0 - at).powi(2)).sum();
        let together: f64 = self.memory.iter().map(|point| (point.0 - at) * (point.1 - kib)).sum();
        if spread > 0.0 { together / spread * 60.0 } else { 0.0 }
    }
}

/// Resident KiB and threads.
fn status(process: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((number("VmRSS:")?, number("Threads:")?))
}
