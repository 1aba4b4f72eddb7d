//! Numbered events over keys, and what must be true of those that were handled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{Process, Raw, Test};

/// Sent at once by [`under_load`], two milliseconds after each.
const CHUNK: usize = 40;

/// `count` events from `first` on over `keys` keys; the data is `script key:number`.
pub fn numbered(script: &str, first: usize, count: usize, keys: usize) -> Vec<Raw> {
    let one = |number: usize| {
        let key = format!("k{}", number % keys);
        let data =
            if script.is_empty() { format!("{key}:{number}") } else { format!("{script} {key}:{number}") };
        Raw::new(key, data)
    };
    (first..first + count).map(one).collect()
}

/// What was handled, in the order of time: key and number of each.
pub fn handled(mut printed: Vec<(String, String, String)>) -> Vec<(String, usize)> {
    printed.sort();
    let parse = |data: String| {
        let (key, number) = data.rsplit(' ').next()?.split_once(':')?;
        Some((key.to_owned(), number.parse().ok()?))
    };
    printed.into_iter().filter_map(|(_, data, _)| parse(data)).collect()
}

/// How many different ones were handled.
pub fn different(handled: &[(String, usize)]) -> usize {
    handled.iter().map(|(_, number)| number).collect::<BTreeSet<_>>().len()
}

/// Each of `0..count` at least once.
pub fn assert_none_lost(handled: &[(String, usize)], count: usize) {
    let found: BTreeSet<usize> = handled.iter().map(|(_, number)| *number).collect();
    let lost: Vec<usize> = (0..count).filter(|number| !found.contains(number)).collect();
    assert!(lost.is_empty(), "lost {} of {count}: {:?}", lost.len(), &lost[..lost.len().min(20)]);
}

/// None more than once.
pub fn assert_none_twice(handled: &[(String, usize)]) {
    let mut times = BTreeMap::<usize, usize>::new();
    for (_, number) in handled {
        *times.entry(*number).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{} handled more than once: {:?}", twice.len(), &twice[..twice.len().min(20)]);
}

/// What comes again is not handled again, because the ledger knows it: that it came shows in the summary alone.
pub fn assert_clean(stopped: &[Process]) {
    for process in stopped {
        let said = process.stdout().concat();
        assert!(!said.contains("known already") && !said.contains("may be handled again"), "{said}");
    }
}

/// First handlings of a key's events in the order of their numbers.
pub fn assert_in_order_per_key(handled: &[(String, usize)]) {
    let mut last = BTreeMap::<&str, usize>::new();
    let mut seen = BTreeSet::new();
    for (key, number) in handled {
        if seen.insert(*number) {
            let before = last.insert(key, *number);
            assert!(before.is_none_or(|before| before < *number), "{key}: {number} after {before:?}");
        }
    }
}

/// Sends numbered events until told to stop, while `work` runs; gives how many.
pub fn under_load(test: &Test, script: &str, keys: usize, work: impl FnOnce()) -> usize {
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let first = sent.load(Ordering::Relaxed);
                let pause = Duration::from_millis(2);
                test.records.send_to(&test.topic, -1, &numbered(script, first, CHUNK, keys), pause);
                sent.fetch_add(CHUNK, Ordering::Relaxed);
            }
        });
        // Also when `work` panics: the scope waits for the sender.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    sent.into_inner()
}
