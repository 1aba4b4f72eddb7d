//! When the next event is due. Pure.

use std::time::{Duration, Instant};

/// An absolute schedule: event n is due n intervals after the start, however late the one before it was. So
/// the mean rate is the one asked for, and catching up never goes beyond what is due.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    start: Instant,
    interval: Duration,
}

impl Pace {
    /// The first event is due now.
    pub fn new(start: Instant, interval: Duration) -> Self {
        Self { start, interval }
    }

    /// Whether there is no schedule: then nobody needs to look at the clock.
    pub fn is_full_speed(&self) -> bool {
        self.interval.is_zero()
    }

    /// How long event `n`, from 0, still has to wait.
    pub fn wait(&self, n: u64, now: Instant) -> Duration {
        let due = self.interval.as_secs_f64() * n as f64;
        let due = Duration::try_from_secs_f64(due).ok().and_then(|due| self.start.checked_add(due));
        due.map_or(Duration::MAX, |due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lateness_does_not_add_up() {
        let start = Instant::now();
        let pace = Pace::new(start, SECOND);
        assert_eq!(pace.wait(0, start), Duration::ZERO);
        assert_eq!(pace.wait(1, start + SECOND / 4), SECOND * 3 / 4);
        assert_eq!(pace.wait(2, start + SECOND * 5), Duration::ZERO);
        assert_eq!(pace.wait(6, start + SECOND * 5), SECOND);
    }

    #[test]
    fn full_speed_never_waits_and_a_far_event_does_not_overflow() {
        let now = Instant::now();
        assert_eq!(Pace::new(now, Duration::ZERO).wait(u64::MAX, now), Duration::ZERO);
        assert_eq!(Pace::new(now, Duration::from_secs(u64::MAX / 2)).wait(u64::MAX, now), Duration::MAX);
    }
}
