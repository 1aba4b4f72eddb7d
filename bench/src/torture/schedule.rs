//! Which fault comes when. Pure, and the same for the same seed and the same members.

use std::time::Duration;

use fastrand::Rng;

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// kill -9 of a member of service-b.
    KillB,
    /// SIGTERM of one; another takes its place.
    TermB,
    /// One stands still for longer than the session timeout, then goes on.
    StopB,
    /// One joins.
    Join,
    /// One leaves for good.
    Leave,
    /// kill -9 of service-a.
    KillA,
    /// SIGTERM of service-a.
    TermA,
    /// kill -9 of the broker, and a new start.
    KillBroker,
}

/// The faults still to come.
#[derive(Debug)]
pub(crate) struct Schedule {
    random: Rng,
    times: std::vec::IntoIter<Duration>,
    may_kill_broker: bool,
}

/// Fewest and most members that joining and leaving make of them.
const MEMBERS: std::ops::RangeInclusive<usize> = 1..=4;

impl Schedule {
    pub(crate) fn new(seed: u64, faults: u32, over: Duration, may_kill_broker: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut times: Vec<Duration> = (0..faults).map(|_| over.mul_f64(random.f64())).collect();
        times.sort_unstable();
        Self { random, times: times.into_iter(), may_kill_broker }
    }

    /// The next fault, and when, counted from the start.
    pub(crate) fn next(&mut self, members: usize) -> Option<(Duration, Fault)> {
        let at = self.times.next()?;
        let faults = [
            (6, Fault::KillB),
            (2, Fault::TermB),
            (2, Fault::StopB),
            (if members < *MEMBERS.end() { 2 } else { 0 }, Fault::Join),
            (if members > *MEMBERS.start() { 2 } else { 0 }, Fault::Leave),
            (4, Fault::KillA),
            (1, Fault::TermA),
            (u32::from(self.may_kill_broker), Fault::KillBroker),
        ];
        let mut at_weight = self.random.u32(0..faults.iter().map(|(weight, _)| weight).sum());
        for (weight, fault) in faults {
            if at_weight < weight {
                return Some((at, fault));
            }
            at_weight -= weight;
        }
        None
    }

    /// One of so many.
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        self.random.usize(0..of.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_in_time() {
        let all = |seed| {
            let mut schedule = Schedule::new(seed, 300, Duration::from_secs(60), true);
            std::iter::from_fn(|| schedule.next(2)).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        assert!(all(7).is_sorted_by_key(|(at, _)| *at) && all(7).len() == 300);
        for fault in [Fault::KillB, Fault::StopB, Fault::Join, Fault::Leave, Fault::KillA, Fault::KillBroker]
        {
            assert!(all(7).iter().any(|(_, other)| *other == fault), "{fault:?}");
        }
    }

    #[test]
    fn the_last_member_stays_and_a_broker_of_others_is_left_alone() {
        let mut schedule = Schedule::new(1, 1000, Duration::from_secs(1), false);
        while let Some((_, fault)) = schedule.next(1) {
            assert!(!matches!(fault, Fault::Leave | Fault::KillBroker));
        }
    }
}
