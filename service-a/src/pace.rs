//! When which event is due: an absolute schedule, so that delays do not add up.

use std::time::Duration;

use crate::Config;

/// The counter's pace where none is given.
const COUNTER: Duration = Duration::from_secs(1);

/// A steady pace, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// In nanoseconds; 0 is full speed.
    interval: u64,
}

impl Pace {
    /// What is asked for; without a wish the counter counts as people do, and lines go out at full speed.
    pub(crate) fn of(config: &Config, is_counter: bool) -> Self {
        match (config.rate, config.interval) {
            (Some(rate), _) => Self::per_second(rate),
            (None, Some(interval)) => Self::every(interval),
            (None, None) if is_counter => Self::every(COUNTER),
            (None, None) => Self::every(Duration::ZERO),
        }
    }

    /// An event every so often; a zero interval is full speed.
    pub(crate) fn every(interval: Duration) -> Self {
        Self { interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// So many events a second; more than one a nanosecond is full speed.
    pub(crate) fn per_second(rate: f64) -> Self {
        // A float that is too large becomes the largest integer.
        Self { interval: (1e9 / rate) as u64 }
    }

    /// No waiting at all.
    pub(crate) fn is_full_speed(self) -> bool {
        self.interval == 0
    }

    /// The time from one event to the next.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// When event `n` is due, counted from event 0, which is due at once.
    pub(crate) fn due(self, n: u64) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(n))
    }

    /// How many events are due by then: who was held up may catch up with these and with no more.
    pub(crate) fn allowed(self, elapsed: Duration) -> u64 {
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        elapsed.checked_div(self.interval).map_or(u64::MAX, |due| due.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_event_is_due_at_once() {
        let pace = Pace::every(Duration::from_secs(1));
        assert_eq!(pace.due(0), Duration::ZERO);
        assert_eq!(pace.allowed(Duration::ZERO), 1);
    }

    #[test]
    fn who_was_held_up_catches_up_with_what_is_due_and_no_more() {
        let pace = Pace::per_second(10.0);
        assert_eq!(pace.allowed(Duration::from_millis(1050)), 11);
        assert_eq!(pace.due(11), Duration::from_millis(1100));
    }

    #[test]
    fn no_interval_is_full_speed() {
        let pace = Pace::every(Duration::ZERO);
        assert!(pace.is_full_speed());
        assert_eq!((pace.due(u64::MAX), pace.allowed(Duration::ZERO)), (Duration::ZERO, u64::MAX));
        assert!(Pace::per_second(1e12).is_full_speed());
    }

    proptest! {
        #[test]
        fn an_event_is_allowed_exactly_from_when_it_is_due(interval in 1u64..1 << 40, n in 0u64..1 << 20) {
            let pace = Pace::every(Duration::from_nanos(interval));
            prop_assert!(pace.allowed(pace.due(n)) > n);
            if let Some(before) = pace.due(n).checked_sub(Duration::from_nanos(1)) {
                prop_assert!(pace.allowed(before) <= n);
            }
        }
    }
}
