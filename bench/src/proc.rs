//! The processes of this machine, as the kernel shows them in `/proc`.

use std::time::Duration;

/// The milliseconds in which it counts: the kernel's `USER_HZ` is 100 a second wherever Linux runs today.
const TICK: u64 = 10;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// Nobody has waited for it yet: a number and nothing more.
    pub(crate) has_ended: bool,
    /// User and system time.
    pub(crate) used: Duration,
    /// That of its children that have ended and been waited for.
    pub(crate) used_by_ended: Duration,
}

impl Process {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
}

fn parse(pid: u32, stat: &str) -> Option<Process> {
    // The name before it, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = |first: usize| Some(time(number(first)?.saturating_add(number(first + 1)?)));
    Some(Process {
        pid,
        parent: number(1)? as u32,
        group: number(2)? as u32,
        has_ended: matches!(*fields.first()?, "Z" | "X"),
        used: ticks(11)?,
        used_by_ended: ticks(13)?,
    })
}

/// All that there are.
pub(crate) fn all() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?))
}

/// So many of its ticks.
pub(crate) fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(TICK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "7 (a (b) c) Z 3 5 6 0 -1 4194304 1 2 3 4 100 20 3 40 20 0 1 0 99";
        let expected = Process {
            pid: 7,
            parent: 3,
            group: 5,
            has_ended: true,
            used: time(120),
            used_by_ended: time(43),
        };
        assert_eq!(parse(7, stat), Some(expected));
        assert_eq!(parse(7, "7 (cut"), None);
        let own = std::process::id();
        assert!(all().any(|process| process.pid == own && !process.has_ended));
    }
}
