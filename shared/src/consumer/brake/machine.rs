//! The brake's state machine. Pure; see [the module](super) for what it decides and why.

use std::time::Instant;

use super::record::Record;
use super::{AT_ONCE, Change, Failed, Permission, Settings, Streak};

/// The state machine. Handlers are named by their place in the registry.
#[derive(Debug)]
pub(super) struct Brake {
    settings: Settings,
    handlers: Vec<Record>,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed,
    Open { at_fault: usize, until: Instant },
    HalfOpen { at_fault: usize, since: Instant, probe: Option<Probe> },
    Resuming { under_way: usize, most: usize, until: Instant },
}

/// The one event that is tried. Its key is enough to know it by: of a key one event is under way at a time.
#[derive(Debug)]
struct Probe {
    handler: usize,
    key: u64,
    until: Instant,
}

impl Probe {
    fn is(&self, handler: usize, key: u64) -> bool {
        (self.handler, self.key) == (handler, key)
    }
}

impl Brake {
    pub(super) fn new(settings: Settings, handlers: usize) -> Self {
        let settings = Settings { keys: settings.keys.max(2), ..settings };
        Self { settings, handlers: vec![Record::default(); handlers], state: State::Closed }
    }

    /// Whether an event may start. Granted, it counts as started. `is_new`: it comes from Kafka, and not from the ledger,
    /// where its key has been waiting because something of it failed.
    pub(super) fn may_start(&mut self, handler: usize, key: u64, is_new: bool, now: Instant) -> Permission {
        self.advance(now);
        match &mut self.state {
            State::Closed => Permission::Granted,
            State::HalfOpen { at_fault, since, probe: probe @ None } => {
                let waited = now.saturating_duration_since(*since);
                let patience = self.settings.first_pause;
                let fresh = is_new && self.handlers.get(handler).is_none_or(|record| !record.has_failed(key));
                let suits = handler == *at_fault && (fresh || waited >= patience);
                if !suits && waited < patience * 2 {
                    return Permission::NotThis;
                }
                *probe = Some(Probe { handler, key, until: now + self.settings.longest_attempt });
                Permission::Granted
            }
            State::Resuming { under_way, most, .. } if *under_way < *most => {
                *under_way += 1;
                Permission::Granted
            }
            State::Open { .. } | State::HalfOpen { .. } | State::Resuming { .. } => Permission::NotNow,
        }
    }

    /// An attempt succeeded.
    pub(super) fn succeeded(&mut self, handler: usize, key: u64, now: Instant) -> Option<Change> {
        self.advance(now);
        let record = self.handlers.get_mut(handler)?;
        record.end_streak();
        match &mut self.state {
            State::Closed => record.openings = 0,
            State::HalfOpen { probe: Some(probe), .. } if probe.is(handler, key) => {
                let until = now + self.settings.longest_attempt;
                self.state = State::Resuming { under_way: 0, most: 2, until };
                return Some(Change::Released);
            }
            State::Resuming { under_way, most, .. } => {
                *under_way = under_way.saturating_sub(1);
                *most += 1;
                if *most >= self.settings.concurrency {
                    self.state = State::Closed;
                }
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
        None
    }

    /// An attempt failed transiently. `first` is what its event's first failure was answered, if it has failed before;
    /// `random` lies in 0 to 1.
    pub(super) fn failed(
        &mut self,
        handler: usize,
        key: u64,
        first: Option<Streak>,
        now: Instant,
        random: f64,
    ) -> (Failed, Option<Change>) {
        self.advance(now);
        let Some(record) = self.handlers.get_mut(handler) else {
            return (Failed::Counted(first.unwrap_or_default()), None);
        };
        match &mut self.state {
            State::Open { .. } | State::HalfOpen { probe: None, .. } => (Failed::Held, None),
            State::HalfOpen { at_fault, probe: Some(probe), .. } => {
                if !probe.is(handler, key) {
                    return (Failed::Held, None);
                }
                // The next probe is another key's, if there is one.
                record.note(key, now, self.settings.keys * AT_ONCE);
                let at_fault = *at_fault;
                (Failed::Held, Some(self.open(at_fault, now, random)))
            }
            State::Closed | State::Resuming { .. } => {
                let streak = record.failed(key, first, now, self.settings.keys * AT_ONCE);
                let opens = streak == record.streak() && record.is_outage(self.settings.keys, now);
                self.ended(handler, key);
                (Failed::Counted(streak), opens.then(|| self.open(handler, now, random)))
            }
        }
    }

    /// An attempt failed for good: that says nothing about an outage.
    pub(super) fn ended(&mut self, handler: usize, key: u64) {
        match &mut self.state {
            State::HalfOpen { probe, .. } => drop(probe.take_if(|probe| probe.is(handler, key))),
            State::Resuming { under_way, .. } => *under_way = under_way.saturating_sub(1),
            State::Closed | State::Open { .. } => {}
        }
    }

    /// Whether records may be fetched, and due rows loaded.
    pub(super) fn intake_flows(&mut self, now: Instant) -> bool {
        self.advance(now);
        !matches!(self.state, State::Open { .. })
    }

    /// Whether the handler has succeeded for another event since that one's first failure.
    pub(super) fn has_succeeded_since(&self, handler: usize, first: Streak) -> bool {
        self.handlers.get(handler).is_some_and(|record| record.streak() > first)
    }

    /// When time alone may change an answer.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open { until, .. }
            | State::Resuming { until, .. }
            | State::HalfOpen { probe: Some(Probe { until, .. }), .. } => Some(*until),
            State::HalfOpen { since, probe: None, .. } => {
                let patience = self.settings.first_pause;
                [*since + patience, *since + patience * 2].into_iter().find(|moment| *moment > now)
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether a success of the handler would change nothing.
    pub(super) fn is_calm(&self, handler: usize) -> bool {
        self.is_closed() && self.handlers.get(handler).is_none_or(Record::is_calm)
    }

    /// What time alone changes.
    fn advance(&mut self, now: Instant) {
        match &mut self.state {
            State::Open { at_fault, until } if now >= *until => {
                self.state = State::HalfOpen { at_fault: *at_fault, since: now, probe: None };
            }
            State::HalfOpen { probe, .. } => drop(probe.take_if(|probe| now >= probe.until)),
            State::Resuming { until, .. } if now >= *until => self.state = State::Closed,
            State::Closed | State::Open { .. } | State::Resuming { .. } => {}
        }
    }

    fn open(&mut self, at_fault: usize, now: Instant, random: f64) -> Change {
        let openings = self.handlers.get_mut(at_fault).map_or(0, Record::opened);
        let doubled = 2u32.saturating_pow(openings.saturating_sub(1));
        let longest = self.settings.first_pause.saturating_mul(doubled).min(self.settings.longest_pause);
        let pause = longest.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.state = State::Open { at_fault, until: now + pause };
        Change::Opened { handler: at_fault, pause }
    }
}

#[cfg(test)]
mod tests;
