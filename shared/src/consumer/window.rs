//! How much may be under way before nothing more is taken. Pure.

use super::tracker::Freed;

/// The bound on what is under way, in events and in bytes, with hysteresis: full at the limit, open again
/// at half of it: what is taken then comes in batches, not one by one.
#[derive(Debug)]
pub(super) struct Window {
    most: Freed,
    used: Freed,
    full: bool,
}

impl Window {
    pub(super) fn new(events: usize, bytes: usize) -> Self {
        Self { most: Freed { events, bytes }, used: Freed::default(), full: false }
    }

    pub(super) fn take(&mut self, load: Freed) {
        self.used.events += load.events;
        self.used.bytes += load.bytes;
        self.full |= self.used.events >= self.most.events || self.used.bytes >= self.most.bytes;
    }

    pub(super) fn free(&mut self, freed: Freed) {
        self.used.events = self.used.events.saturating_sub(freed.events);
        self.used.bytes = self.used.bytes.saturating_sub(freed.bytes);
        if self.used.events <= self.most.events / 2 && self.used.bytes <= self.most.bytes / 2 {
            self.full = false;
        }
    }

    /// Whether nothing more is to be taken.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// How many more events it takes. Their bytes may go over the bound, by what the client has fetched at most.
    pub(super) fn room(&self) -> usize {
        if self.full { 0 } else { self.most.events.saturating_sub(self.used.events) }
    }

    /// How many events are under way.
    pub(super) fn events(&self) -> usize {
        self.used.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_full_at_the_limit_and_open_again_at_half() {
        let mut window = Window::new(4, 1000);
        (0..4).for_each(|_| window.take(Freed { events: 1, bytes: 1 }));
        assert!(window.is_full());
        window.free(Freed { events: 1, bytes: 1 });
        assert!(window.is_full(), "one free place is no reason to start fetching again");
        window.free(Freed { events: 1, bytes: 1 });
        assert!(!window.is_full());
        assert_eq!(window.room(), 2);
    }

    #[test]
    fn bytes_bound_it_too_and_one_record_always_fits() {
        let mut window = Window::new(1000, 10);
        window.take(Freed { events: 1, bytes: 50 });
        assert!(window.is_full());
        window.free(Freed { events: 1, bytes: 50 });
        assert!(!window.is_full());
    }
}
