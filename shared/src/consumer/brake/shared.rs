//! The brake as lanes and the poll thread share it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::machine::Brake;
use super::{Change, Failed, Permission, Settings, Streak};

/// The brake behind a lock that nobody takes while all is well: a start and a success cost a relaxed load each.
///
/// A lane that reads a flag just before another sets it acts as if it had come first. That is true as well.
#[derive(Debug)]
pub(in crate::consumer) struct SharedBrake {
    brake: Mutex<Brake>,
    closed: AtomicBool,
    /// By handler: whether a success would change nothing.
    calm: Vec<AtomicBool>,
    changed: watch::Sender<()>,
}

impl SharedBrake {
    pub(in crate::consumer) fn new(settings: Settings, handlers: usize) -> Self {
        Self {
            brake: Mutex::new(Brake::new(settings, handlers)),
            closed: AtomicBool::new(true),
            calm: (0..handlers).map(|_| AtomicBool::new(true)).collect(),
            changed: watch::Sender::new(()),
        }
    }

    /// Whether an event may start. Granted, it counts as started.
    pub(in crate::consumer) fn may_start(&self, handler: usize, key: u64, is_new: bool) -> Permission {
        if self.closed.load(Ordering::Relaxed) {
            return Permission::Granted;
        }
        self.with(|brake| brake.may_start(handler, key, is_new, now()))
    }

    /// An attempt succeeded.
    pub(in crate::consumer) fn succeeded(&self, handler: usize, key: u64) -> Option<Change> {
        if self.calm.get(handler).is_some_and(|calm| calm.load(Ordering::Relaxed)) {
            return None;
        }
        self.tell(|brake| brake.succeeded(handler, key, now()))
    }

    /// An attempt failed transiently; see [`Brake::failed`].
    pub(in crate::consumer) fn failed(
        &self,
        handler: usize,
        key: u64,
        first: Option<Streak>,
    ) -> (Failed, Option<Change>) {
        self.tell(|brake| brake.failed(handler, key, first, now(), fastrand::f64()))
    }

    /// An attempt failed for good.
    pub(in crate::consumer) fn ended(&self, handler: usize, key: u64) {
        if !self.closed.load(Ordering::Relaxed) {
            self.tell(|brake| brake.ended(handler, key));
        }
    }

    /// Whether records may be fetched, and due rows loaded.
    pub(in crate::consumer) fn intake_flows(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.with(|brake| brake.intake_flows(now()))
    }

    /// Whether the handler has succeeded for another event since that one's first failure.
    pub(in crate::consumer) fn has_succeeded_since(&self, handler: usize, first: Streak) -> bool {
        self.lock().has_succeeded_since(handler, first)
    }

    /// When time alone may change an answer.
    pub(in crate::consumer) fn next_change(&self) -> Option<Instant> {
        if self.closed.load(Ordering::Relaxed) { None } else { self.lock().next_change(now()) }
    }

    /// Reports whenever an outcome may have changed an answer.
    pub(in crate::consumer) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// For outcomes: whoever was told to wait looks again. Not for questions, or all would wake each other for ever.
    fn tell<T>(&self, act: impl FnOnce(&mut Brake) -> T) -> T {
        let held = !self.closed.load(Ordering::Relaxed);
        let result = self.with(act);
        if held {
            self.changed.send_replace(());
        }
        result
    }

    fn with<T>(&self, act: impl FnOnce(&mut Brake) -> T) -> T {
        let mut brake = self.lock();
        let result = act(&mut brake);
        self.closed.store(brake.is_closed(), Ordering::Relaxed);
        for (handler, calm) in self.calm.iter().enumerate() {
            calm.store(brake.is_calm(handler), Ordering::Relaxed);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Brake> {
        // No call leaves it torn: a panic elsewhere in a lane's turn is no reason to lose the brake.
        self.brake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of the runtime, so that tests can set it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: Settings = Settings {
        keys: 2,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(60),
        longest_attempt: Duration::from_secs(31),
        concurrency: 4,
    };

    /// Catches: a flag that stays set, or is not set, after the lock was taken; a lane that is never woken.
    #[tokio::test(start_paused = true)]
    async fn the_flags_say_what_the_brake_says() {
        let brake = SharedBrake::new(SETTINGS, 2);
        let changed = brake.subscribe();
        assert_eq!(brake.succeeded(0, 1), None);
        let (Failed::Counted(streak), None) = brake.failed(0, 1, None) else { panic!("counted") };
        assert!(!brake.has_succeeded_since(0, streak));
        brake.succeeded(1, 2);
        assert!(!brake.has_succeeded_since(0, streak), "another handler's success");
        brake.succeeded(0, 2);
        assert!(brake.has_succeeded_since(0, streak));

        brake.failed(0, 1, None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(brake.failed(0, 2, None), (_, Some(Change::Opened { handler: 0, .. }))));
        assert!(!brake.intake_flows());
        assert_eq!(brake.may_start(1, 3, true), Permission::NotNow);
        assert!(!changed.has_changed().expect("open"), "opening wakes nobody");
        tokio::time::sleep_until(brake.next_change().expect("a moment").into()).await;
        assert_eq!(brake.may_start(0, 3, true), Permission::Granted);
        assert_eq!(brake.succeeded(0, 3), Some(Change::Released));
        assert!(changed.has_changed().expect("open") && brake.intake_flows());
        tokio::time::advance(SETTINGS.longest_attempt).await;
        assert_eq!(brake.may_start(0, 3, true), Permission::Granted);
        assert!(brake.closed.load(Ordering::Relaxed) && brake.next_change().is_none());
    }
}
