//! Waiting for something to become true. Nothing else in the tests sleeps to synchronise.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What takes a moment on an idle machine may take this long on a busy one.
pub fn soon() -> Duration {
    Duration::from_secs(30)
}

/// Waits until `look` gives something, and gives that.
///
/// # Panics
/// It does not within `deadline`; says what was waited for.
pub fn eventually<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(LOOK);
    }
}
