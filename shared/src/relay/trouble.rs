//! Pauses that grow while something goes wrong, and words for it.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// How long it has been going wrong.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pause: Option<Duration>,
}

impl Trouble {
    /// It went wrong again: says so, and how long to wait.
    pub(super) fn pause(&mut self, what: &str) -> Duration {
        let pause = self.pause.map_or(FIRST, |pause| (pause * 2).min(LONGEST));
        self.pause = Some(pause);
        tracing::warn!("outbox: {what}; trying again in {pause:?}");
        pause
    }

    /// It went well.
    pub(super) fn is_over(&mut self) {
        if self.pause.take().is_some() {
            tracing::info!("outbox: goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_start_again() {
        let mut trouble = Trouble::default();
        let pauses: Vec<_> = (0..7).map(|_| trouble.pause("x").as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        trouble.is_over();
        assert_eq!(trouble.pause("x"), FIRST);
    }
}
