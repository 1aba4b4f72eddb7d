//! A refused batch is split until its culprit is alone, and a key still commits as a prefix.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::event::{Arrived, NewEvent};
use crate::store::{Effects, Ownership, RowId, Step};

fn settlement(key: Option<u8>) -> Settlement {
    let mut new = NewEvent::new("/test", "t");
    new.key = key.map(|key| vec![key]);
    Settlement {
        owner: Ownership { partition: 1, epoch: 1 },
        arrived: Arrived::Event(Arc::new(new.arrived().expect("an event"))),
        conflicting: false,
        row: None,
        attempts: 1,
        step: Step::Handled { effects: Effects::none(), events: Vec::new() },
        reply: None,
    }
}

proptest! {
    /// Catches: an event that commits although an earlier one of its key was refused, one that is refused in place of
    /// another, one that is applied twice or out of order, a split that never ends.
    #[test]
    fn only_the_culprits_are_refused_and_keys_commit_as_a_prefix(
        events in vec((prop::option::of(0u8..4), any::<bool>()), 0..60),
    ) {
        let batch: Vec<Settlement> = events.iter().map(|(key, _)| settlement(*key)).collect();
        let mut splitter = Splitter::new(&batch);
        let mut applied = Vec::new();
        while let Some(tried) = splitter.next() {
            if tried.iter().any(|index| events[*index].1) {
                splitter.refused(&tried, Refusal { reason: String::new(), permanent: true });
            } else {
                applied.extend(tried.iter().copied());
                let verdicts = tried.iter().map(|index| Verdict::Settled(RowId(*index as i64))).collect();
                splitter.committed(&tried, verdicts);
            }
        }
        prop_assert!(applied.is_sorted(), "{:?}", applied);
        let verdicts = splitter.finish();
        let mut held = HashSet::new();
        for (index, (key, is_bad)) in events.iter().enumerate() {
            let expected = if key.is_some() && held.contains(key) {
                prop_assert_eq!(&verdicts[index], &Verdict::Behind);
                false
            } else {
                prop_assert_eq!(matches!(verdicts[index], Verdict::Refused(_)), *is_bad);
                !is_bad
            };
            prop_assert_eq!(applied.contains(&index), expected);
            if *is_bad {
                held.insert(key);
            }
        }
    }
}
