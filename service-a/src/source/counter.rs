//! The default event source: `event_0`, `event_1`, …

use std::io::Write;

use shared::event::NewEvent;

pub(super) const TYPE: &str = "com.example.counter.event_created.v1";
/// One key for all, so that they stay in order.
pub(super) const KEY: &str = "counter";

/// Counts from zero.
#[derive(Debug, Default)]
pub(super) struct Counter {
    next: u64,
}

impl Counter {
    /// Counts on from there.
    pub(super) fn from(next: u64) -> Self {
        Self { next }
    }

    /// How many it has counted.
    pub(super) fn counted(&self) -> u64 {
        self.next
    }

    pub(super) fn take(&mut self, event: &mut NewEvent) -> u64 {
        let number = self.next;
        self.next += 1;
        event.renew();
        event.set_data("text/plain", b"event_");
        if let Some(data) = &mut event.data {
            // Writing to memory does not fail.
            let _ = write!(data, "{number}");
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_zero_with_an_id_each() {
        let (mut counter, mut event) = (Counter::default(), NewEvent::new("/a", TYPE));
        assert_eq!(counter.take(&mut event), 0);
        let first = event.clone();
        assert_eq!(counter.take(&mut event), 1);
        assert_eq!(
            (first.data.as_deref(), event.data.as_deref()),
            (Some(&b"event_0"[..]), Some(&b"event_1"[..]))
        );
        assert!(first.id < event.id, "ids sort by time");
    }
}
