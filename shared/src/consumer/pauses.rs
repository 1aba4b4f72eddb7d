//! What operators have paused, as poll thread and lanes see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::common::Common;
use crate::store::{Pausable, Pause, Store, StoreError, until_available};
use crate::telemetry::Printable;

/// How often a member looks: what a pause takes to begin or to end, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pauses that concern this member. While there are none, an event costs a relaxed load.
#[derive(Debug)]
pub(super) struct SharedPauses {
    topics: Vec<String>,
    /// By the handler's place.
    patterns: Vec<String>,
    is_any: AtomicBool,
    current: RwLock<Vec<Pause>>,
    changed: watch::Sender<()>,
}

impl SharedPauses {
    /// For a member of those topics, with handlers for those patterns.
    pub(super) fn new(topics: Vec<String>, patterns: Vec<String>) -> Self {
        Self {
            topics,
            patterns,
            is_any: AtomicBool::new(false),
            current: RwLock::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Whether anything stands still at all: all that is asked for most events.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Whether that topic stands still.
    pub(super) fn holds_topic(&self, topic: &str) -> bool {
        self.has(|pause| pause.what == Pausable::Topic && pause.name == topic)
    }

    /// Whether events of that topic for that handler stand still.
    pub(super) fn holds(&self, topic: &str, handler: Option<usize>) -> bool {
        let pattern = handler.and_then(|place| self.patterns.get(place));
        self.has(|pause| match pause.what {
            Pausable::Topic => pause.name == topic,
            Pausable::Handler => Some(&pause.name) == pattern,
            Pausable::Source => false,
        })
    }

    fn has(&self, is_it: impl Fn(&Pause) -> bool) -> bool {
        self.is_any() && self.lock(|pauses| pauses.iter().any(is_it))
    }

    /// One of them, for who cannot go on with any.
    pub(super) fn first(&self) -> Option<Pause> {
        if self.is_any() { self.lock(|pauses| pauses.first().cloned()) } else { None }
    }

    /// Reports every change.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// These hold from now on, and no others.
    pub(super) fn take(&self, mut pauses: Vec<Pause>) {
        pauses.retain(|pause| match pause.what {
            Pausable::Topic => self.topics.contains(&pause.name),
            Pausable::Handler => self.patterns.contains(&pause.name),
            Pausable::Source => false,
        });
        let before = self.lock(Vec::clone);
        if before == pauses {
            return;
        }
        pauses.iter().filter(|pause| !before.contains(pause)).for_each(announce);
        let is_over =
            |pause: &&Pause| !pauses.iter().any(|now| (now.what, &now.name) == (pause.what, &pause.name));
        for Pause { what, name, .. } in before.iter().filter(is_over) {
            tracing::info!("the {} {} goes on", what.as_str(), Printable(name));
        }
        let is_any = !pauses.is_empty();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = pauses;
        self.is_any.store(is_any, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    fn lock<T>(&self, read: impl FnOnce(&Vec<Pause>) -> T) -> T {
        read(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn announce(Pause { what, name, since }: &Pause) {
    let (noun, name) = (if *what == Pausable::Topic { "streams" } else { "handlers" }, Printable(name));
    tracing::info!(
        "the {} {name} is paused since {since:.0}: what is under way is finished, nothing else starts until \
         `service-b {noun} resume '{name}'`",
        what.as_str()
    );
}

/// Looks what is paused. Who does not know that must not begin.
pub(super) async fn look(pauses: &SharedPauses, store: &dyn Store, group: &str) -> Result<(), StoreError> {
    if let Some(table) = store.pause_table() {
        pauses.take(until_available("say what is paused", || table.pauses(group)).await?);
    }
    Ok(())
}

/// Looks again, once a second, for as long as it is polled.
pub(super) async fn watch(common: Arc<Common>, store: Arc<dyn Store>, group: String) {
    let Some(table) = store.pause_table() else { return };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match table.pauses(&group).await {
            Ok(found) => common.pauses.take(found),
            // As before, then. Whoever works with the store says that it is away.
            Err(error) => tracing::debug!("cannot see what is paused: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pause(what: Pausable, name: &str) -> Pause {
        Pause { what, name: name.to_owned(), since: Timestamp::UNIX_EPOCH }
    }

    /// Catches: a flag that does not follow, a pause of one that holds another, a change that nobody hears of.
    #[test]
    fn what_is_paused_is_held_and_nothing_else() {
        let pauses = SharedPauses::new(vec!["a".into(), "b".into()], vec!["com.*".into(), "*".into()]);
        let mut changed = pauses.subscribe();
        assert!(!pauses.holds("a", Some(0)) && pauses.first().is_none());
        pauses.take(vec![pause(Pausable::Topic, "a"), pause(Pausable::Handler, "*")]);
        assert!(changed.has_changed().expect("open"));
        changed.mark_unchanged();
        assert!(pauses.holds_topic("a") && !pauses.holds_topic("b"));
        assert!(pauses.holds("a", None) && pauses.holds("b", Some(1)), "by topic, by handler");
        assert!(!pauses.holds("b", Some(0)) && !pauses.holds("b", None));
        pauses.take(vec![pause(Pausable::Topic, "a"), pause(Pausable::Handler, "*")]);
        assert!(!changed.has_changed().expect("open"), "the same as before");
        pauses.take(Vec::new());
        assert!(changed.has_changed().expect("open") && !pauses.holds("a", Some(1)));
    }

    /// Catches: a member that stands still, or wakes its lanes, for what it has nothing to do with.
    #[test]
    fn what_is_none_of_ours_is_no_pause() {
        let pauses = SharedPauses::new(vec!["a".into()], vec!["*".into()]);
        pauses.take(vec![
            pause(Pausable::Topic, "*"),
            pause(Pausable::Handler, "a"),
            pause(Pausable::Topic, "b"),
        ]);
        assert!(pauses.first().is_none() && !pauses.subscribe().has_changed().expect("open"));
    }
}
