//! When a failed event is tried again. Pure.

use std::time::Duration;

/// Exponential back-off with jitter; time decides when to give up, not a count.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The longest first pause.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
    /// How long a transient failure may last before the event becomes a dead letter.
    pub total: Duration,
}

impl RetryPolicy {
    /// The pause before the next attempt, or `None` when the time is up.
    ///
    /// `attempt` is the number of the attempt that failed, from 1; `failing_for` the time since the first one
    /// failed; `random` lies in 0 to 1 and spreads the attempts of events that failed together over half the
    /// pause (the "equal jitter" of the AWS Architecture Blog, 2015).
    pub fn pause(&self, attempt: u32, failing_for: Duration, random: f64) -> Option<Duration> {
        if failing_for >= self.total {
            return None;
        }
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        let longest = self.first.saturating_mul(doubled).min(self.max);
        Some(spread(longest, random).min(self.total.saturating_sub(failing_for)))
    }

    /// The pause of an event whose time is up, while nothing shows that it is the event's own fault.
    pub fn longest_pause(&self, random: f64) -> Duration {
        spread(self.max, random)
    }
}

fn spread(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy {
        first: Duration::from_millis(200),
        max: Duration::from_secs(10),
        total: Duration::from_secs(60),
    };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause = |attempt| POLICY.pause(attempt, Duration::ZERO, 1.0).expect("a pause").as_millis();
        assert_eq!([1, 2, 3, 4].map(pause), [200, 400, 800, 1600]);
        assert_eq!(pause(1000), 10_000);
    }

    proptest! {
        #[test]
        fn a_pause_keeps_within_its_bounds(attempt in 1u32.., failing_ms in 0u64..70_000, random in -1.0f64..2.0) {
            let failing_for = Duration::from_millis(failing_ms);
            match POLICY.pause(attempt, failing_for, random) {
                None => prop_assert!(failing_for >= POLICY.total),
                Some(pause) => {
                    prop_assert!(pause <= POLICY.max && failing_for + pause <= POLICY.total);
                    prop_assert!(pause >= POLICY.first / 2 || failing_for + pause == POLICY.total);
                }
            }
        }
    }
}
