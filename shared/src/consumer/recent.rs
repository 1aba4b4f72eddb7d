//! What the last batch has brought of a partition: librdkafka may hand it over once more. Pure.
//!
//! At a rebalance librdkafka pauses what it fetches and goes on where it believes us to be, from another thread: while a
//! batch is being taken it believes us to be at the batch's beginning. What comes again then may be settled already. So
//! it would also look if the partition had been cut off or made anew, which must not pass: only a record that is in every
//! respect the one that came counts as that.

/// By what a record is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: i64,
    pub(super) timestamp: Option<i64>,
    pub(super) size: usize,
}

#[derive(Debug, Default)]
pub(super) struct Recent {
    batch: u64,
    /// Of that batch, in their order.
    records: Vec<Seen>,
}

impl Recent {
    /// A record that is new has come with that batch.
    pub(super) fn note(&mut self, batch: u64, seen: Seen) {
        if self.batch != batch {
            self.batch = batch;
            self.records.clear();
        }
        self.records.push(seen);
    }

    /// Whether that very record came with the last batch that brought something new.
    pub(super) fn has(&self, seen: Seen) -> bool {
        let place = self.records.binary_search_by_key(&seen.offset, |known| known.offset);
        place.is_ok_and(|place| self.records.get(place) == Some(&seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(offset: i64) -> Seen {
        Seen { offset, timestamp: Some(offset), size: 10 }
    }

    #[test]
    fn knows_the_last_batch_and_no_other() {
        let mut recent = Recent::default();
        (5..8).for_each(|offset| recent.note(1, seen(offset)));
        assert!((5..8).all(|offset| recent.has(seen(offset))));
        assert!(!recent.has(seen(4)) && !recent.has(seen(8)));
        recent.note(2, seen(8));
        assert!(recent.has(seen(8)));
        assert!(!recent.has(seen(7)), "librdkafka knows by then that it was taken");
    }

    #[test]
    fn another_record_at_the_same_offset_is_not_the_same() {
        let mut recent = Recent::default();
        recent.note(1, seen(5));
        assert!(!recent.has(Seen { timestamp: Some(6), ..seen(5) }));
        assert!(!recent.has(Seen { size: 11, ..seen(5) }));
    }
}
