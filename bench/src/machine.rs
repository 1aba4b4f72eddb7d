//! What else the machine was doing meanwhile: time that other programs, or another virtual machine, took.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::proc::{self, Process, time};

/// Who takes time besides the clients, and is no other load: processes of this machine by their numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Servers {
    /// Without it other programs cannot be told from the broker, and only stolen time counts.
    pub(crate) broker: Option<u32>,
    /// PostgreSQL's first process, the parent of all its others.
    pub(crate) postgres: Option<u32>,
}

/// A span of time, from [`Watch::start`] on.
#[derive(Debug)]
pub(crate) struct Watch {
    servers: Servers,
    start: Instant,
    before: Reading,
}

#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    /// By all processes.
    busy: Duration,
    /// By another virtual machine, or whoever else the host gives its cores to.
    steal: Duration,
    /// By this process, its children and the servers.
    ours: Duration,
}

impl Watch {
    pub(crate) fn start(servers: Servers) -> Self {
        Self { servers, start: Instant::now(), before: Reading::now(servers) }
    }

    /// The share of the machine's time since then that went elsewhere, from 0 to 1.
    pub(crate) fn elsewhere(&self) -> f64 {
        let now = Reading::now(self.servers);
        let spent = |of: fn(&Reading) -> Duration| of(&now).saturating_sub(of(&self.before));
        let others = match self.servers.broker {
            Some(_) => spent(|reading| reading.busy).saturating_sub(spent(|reading| reading.ours)),
            None => Duration::ZERO,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        (others + spent(|reading| reading.steal)).as_secs_f64() / (self.start.elapsed().as_secs_f64() * cores)
    }
}

impl Reading {
    /// What cannot be read counts as nothing: then no round is marked.
    fn now(servers: Servers) -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let (busy, steal) = whole(&stat).unwrap_or_default();
        let broker = servers.broker.and_then(Process::of).map_or(Duration::ZERO, |broker| broker.used);
        let postgres = servers.postgres.map_or(Duration::ZERO, family);
        let clients = used(UsageWho::RUSAGE_SELF) + used(UsageWho::RUSAGE_CHILDREN);
        Self { busy, steal, ours: clients + broker + postgres }
    }
}

/// User, nice and system time together, and steal. Interrupts are left out: most of them are the network between us and
/// the broker.
fn whole(stat: &str) -> Option<(Duration, Duration)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    Some((time(ticks.get(..3)?.iter().sum()), time(*ticks.get(7)?)))
}

/// The time of a process and of its children, those included that have ended: so that it only grows while they come and go.
fn family(pid: u32) -> Duration {
    let of = |process: Process| match process {
        Process { pid: first, .. } if first == pid => process.used + process.used_by_ended,
        Process { parent, .. } if parent == pid => process.used + process.used_by_ended,
        _ => Duration::ZERO,
    };
    proc::all().map(of).sum()
}

/// User and system time of this process, or of all its children that have ended.
pub(crate) fn used(who: UsageWho) -> Duration {
    let Ok(usage) = getrusage(who) else { return Duration::ZERO };
    let duration = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    duration(usage.user_time()) + duration(usage.system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "cpu  100 2 30 5000000000 5 6 7 8 0 0\ncpu0 50 1 15 2000 2 3 3 4 0 0\n";
        assert_eq!(whole(stat), Some((time(132), time(8))));
        assert_eq!(whole("intr 1"), None);
    }

    #[test]
    fn the_time_of_others_is_seen_and_ours_is_not() {
        let watch = Watch::start(Servers { broker: Some(std::process::id()), postgres: None });
        let spin = Instant::now();
        while spin.elapsed() < Duration::from_millis(100) {}
        // Counted as this process and as its broker: whatever it did, it was not another.
        assert!(watch.elsewhere() < 0.9);
    }

    #[test]
    fn the_time_of_a_child_counts_as_its_parents_before_and_after_its_end() {
        let of_a_second = Duration::from_millis(200);
        let before = family(std::process::id());
        let mut command = std::process::Command::new("sh");
        let mut child = command.args(["-c", "while :; do :; done"]).spawn().expect("started");
        let pid = child.id();
        while Process::of(pid).expect("it runs").used < of_a_second {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(family(std::process::id()) >= before + of_a_second);
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert!(family(std::process::id()) >= before + of_a_second);
    }
}
