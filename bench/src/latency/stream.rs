//! A steady stream of events: when which one is due, and publishing it then.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

/// What tokio's timer can tell apart.
const TICK: Duration = Duration::from_millis(1);
/// For how many seconds nothing is counted: members join, connections open, caches fill.
const WARM_UP: u64 = 5;
const BYTES: usize = 100;

/// Numbered events at a steady rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    /// Events a second.
    pub(crate) rate: u64,
    /// For how long they count.
    pub(crate) seconds: u64,
}

impl Stream {
    /// The number of the first one that counts.
    pub(crate) fn first_measured(self) -> u64 {
        self.rate * WARM_UP
    }

    /// How many count.
    pub(crate) fn measured(self) -> u64 {
        self.rate * self.seconds
    }

    /// How many there are.
    pub(crate) fn events(self) -> u64 {
        self.first_measured() + self.measured()
    }

    /// How long all of them take to be published.
    pub(crate) fn takes(self) -> Duration {
        Duration::from_secs(WARM_UP + self.seconds)
    }

    /// When an event is to be published, from the start on.
    fn due(self, number: u64) -> Duration {
        Duration::from_nanos((u128::from(number) * 1_000_000_000 / u128::from(self.rate)) as u64)
    }

    /// How many are due by then.
    fn due_by(self, elapsed: Duration) -> u64 {
        let passed = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        (passed as u64).saturating_add(1).min(self.events())
    }

    /// Its number, when it is due in nanoseconds, and what fills it up.
    fn write(self, number: u64, data: &mut Vec<u8>) {
        data.clear();
        data.extend_from_slice(format!("{number:010} {:015} ", self.due(number).as_nanos()).as_bytes());
        data.resize(BYTES, b'x');
    }

    /// Publishes each event as soon as a tick finds it due. One for which there is no room waits for the next tick, and is
    /// due when it was.
    ///
    /// # Errors
    /// What `publish` says; otherwise it says whether there was room.
    pub(crate) async fn keep(
        self,
        start: Instant,
        mut publish: impl FnMut(u64, &[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut next, mut data) = (0, Vec::new());
        while next < self.events() {
            ticks.tick().await;
            let due = self.due_by(start.elapsed());
            while next < due {
                self.write(next, &mut data);
                if !publish(next, &data)? {
                    break;
                }
                next += 1;
            }
        }
        Ok(())
    }
}

/// The number of an event, and when it was due.
pub(crate) fn read(data: &[u8]) -> Option<(u64, Duration)> {
    let mut words = std::str::from_utf8(data).ok()?.split(' ');
    let mut next = || words.next()?.parse().ok();
    Some((next()?, Duration::from_nanos(next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { rate: 10_000, seconds: 2 };

    #[test]
    fn an_event_is_due_at_its_time_and_not_before() {
        for number in [0, 1, 49_999, 69_999] {
            let due = STREAM.due(number);
            assert_eq!(STREAM.due_by(due), number + 1);
            if let Some(before) = due.checked_sub(Duration::from_nanos(1)) {
                assert_eq!(STREAM.due_by(before), number);
            }
        }
        assert_eq!(STREAM.due_by(Duration::from_secs(3600)), STREAM.events());
        assert_eq!((STREAM.first_measured(), STREAM.measured()), (50_000, 20_000));
    }

    #[test]
    fn an_event_carries_when_it_was_due() {
        let mut data = Vec::new();
        STREAM.write(12, &mut data);
        assert_eq!(data.len(), BYTES);
        assert_eq!(read(&data), Some((12, Duration::from_micros(1200))));
        assert_eq!(read(b"something else"), None);
    }

    #[tokio::test]
    async fn who_finds_no_room_offers_the_same_event_again() {
        let stream = Stream { rate: 1, seconds: 0 };
        let start = Instant::now().checked_sub(Duration::from_secs(60)).expect("an earlier moment");
        let mut offered = Vec::new();
        let publish = |number, _: &[u8]| {
            offered.push(number);
            Ok(offered.len() != 2)
        };
        stream.keep(start, publish).await.expect("published");
        assert_eq!(offered, [0, 1, 1, 2, 3, 4]);
    }
}
