//! The brake: stops intake while a handler fails for a common cause, so that an outage fills neither retries nor dead
//! letters. Pure: no clock, no randomness and no I/O of its own.
//!
//! # The rule
//!
//! A *streak* of a handler begins with a transient failure and ends with its next success, of whichever event. The
//! brake opens when in one streak [`Settings::keys`] different keys (5) have failed and the streak has lasted
//! [`LONG_ENOUGH`] (1 s), or at once at [`AT_ONCE`] times as many keys (20). A timeout is a transient failure. A
//! permanent failure neither counts nor ends a streak: it says nothing about what the handler depends on. An event
//! counts only in the streak in which it failed first: once its handler has succeeded for another event, what it fails
//! of is its own. A null key is a key of its own for every event.
//!
//! Why so:
//! - *Keys and not failures*: a failed event is tried again, so that one bad event makes any number of failures. One
//!   key never opens the brake, nor do fewer than five; and five bad keys open it once at most, because the first
//!   success afterwards excuses them for good.
//! - *A streak and not a rate*: a rate needs a least number of calls within a time, and is blind below. Here events may
//!   be minutes apart. One success is proof enough that there is no outage.
//! - *A second, or twenty keys*: where one event in twenty fails at random, five in a row come once in three million,
//!   which are minutes at a high rate; a second without success, or twenty keys in a row, do not come. At a few events
//!   a second five in a row may, every few days; that costs one pause of a second.
//!
//! Limits:
//! - A stream of fewer than five keys never opens it. It does not need to: as many events as there are keys are being
//!   tried again, with growing pauses; the others wait behind them, and none becomes a dead letter while its handler
//!   succeeds for none ([`Brake::has_succeeded_since`]). Who wants it braked sets `keys` lower; one key never suffices.
//! - A handler that fails for half of the keys opens it now and then, and each time the first probe that succeeds
//!   releases it.
//! - It holds the whole intake, for all handlers and topics of the process: what one event in the way of a partition
//!   cannot pass, the next one cannot either. Handlers that shall not hold each other are groups of their own.
//!
//! # Open, half open, resuming
//!
//! Open, nothing starts until the pause is over; half open, one event at a time does, the probe. Its success releases
//! the brake; its transient failure doubles the pause, up to the longest, with jitter, so that the members of a group
//! do not probe together. A permanent failure lets the next event probe. Every probe has a deadline: one that was
//! dropped with its partition must not hold the rest for ever, and nobody has to report it.
//!
//! Which event probes matters, because a bad key would say "still down" for ever. At first only one of the handler at
//! fault whose key has not failed; intake flows while half open, so that there is one as soon as it was sent. After
//! [`Settings::first_pause`] any of that handler; after as long again any event. That last case releases the brake
//! without proof, so that the streak goes on: the handler's next failure opens it again, and the pause goes on
//! growing until that handler has succeeded.
//!
//! Released, it resumes without a burst: two events may be under way, and one more with each success, which doubles
//! them in the time that a handler takes. At the full concurrency, or after the longest attempt, everything flows.
//!
//! # How lanes and the poll thread use it
//!
//! Through [`SharedBrake`], which takes no lock while all is well.
//!
//! - A lane, before it starts an event, its first attempt or a later one, asks `may_start`. `NotNow`: it starts nothing
//!   and looks again at `next_change`, or when `subscribe` reports a change. `NotThis`: it looks at its next ready
//!   event. An event without a handler (undecodable, unhandled) starts whenever `intake_flows`.
//! - After each attempt it calls `succeeded`, `failed` or `ended` (permanent failure). `failed` answers `Counted`: the
//!   streak is kept with the event beside its first failure, and given back at its next one. Or `Held`: the attempt
//!   leaves no trace, neither count nor first failure; the event goes back to the front of its key's queue, and
//!   nothing is settled. Revocation drops it, like anything that was not started.
//! - An event whose time is up becomes a dead letter only if `has_succeeded_since` its streak; otherwise it is tried
//!   again after the longest pause.
//! - The poll thread asks `intake_flows` on every turn and pauses or resumes all partitions by it; it goes on polling.
//!   Who loads due rows from the ledger asks the same.
//! - A stop or a revocation does not wait for the brake: what may not start is given up, and the next owner has it.
//!
//! # What others do
//!
//! resilience4j opens at a share of failures (50 % of the last 100 calls, none before there are 100), Polly too (10 % in
//! 30 s, of at least 100): both are blind at low traffic, and both would count one event's retries as an outage.
//! Failsafe counts failures in a row, or some of the last few; Envoy ejects a host after five in a row, for longer each
//! time, up to a bound, with jitter. Failures in a row without a number per time is what is used here, by key.
//! resilience4j's half-open state waits for ever for a probe that does not answer, hence the deadline. Spring pauses a
//! listener's container, which goes on polling, and leaves it to the application to say when.

mod record;
mod shared;

use std::time::{Duration, Instant};

use self::record::Record;
pub(super) use self::record::Streak;
pub(super) use self::shared::SharedBrake;

/// How long a streak lasts before few keys suffice.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// How many times as many keys suffice at once.
const AT_ONCE: usize = 4;

/// When the brake opens, and how it probes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// How many keys have to fail, without a success in between; at least two.
    pub(super) keys: usize,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    /// What was started and has not answered for so long was dropped: more than a handler's timeout.
    pub(super) longest_attempt: Duration,
    /// How many handlers may be under way when all is well.
    pub(super) concurrency: usize,
}

/// Whether an event may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    Granted,
    /// Another event may; this one not yet.
    NotThis,
    /// No event may, before something changes.
    NotNow,
}

/// What a transient failure is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The event's own, as far as is known: it is retried by its policy. Its first failure was in that streak.
    Counted(Streak),
    /// The outage's: the attempt leaves no trace.
    Held,
}

/// What is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing starts for so long: that handler fails.
    Opened { handler: usize, pause: Duration },
    /// A probe succeeded: events start again, more and more of them.
    Released,
}

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

    /// Whether an event may start. Granted, it counts as started.
    pub(super) fn may_start(&mut self, handler: usize, key: u64, now: Instant) -> Permission {
        self.advance(now);
        match &mut self.state {
            State::Closed => Permission::Granted,
            State::HalfOpen { at_fault, since, probe: probe @ None } => {
                let waited = now.saturating_duration_since(*since);
                let patience = self.settings.first_pause;
                let fresh = self.handlers.get(handler).is_none_or(|record| !record.has_failed(key));
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
    fn is_calm(&self, handler: usize) -> bool {
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
