//! The brake: stops intake while a handler fails for a common cause, so that an outage fills neither retries nor dead
//! letters. Pure: no clock, no randomness and no I/O of its own.
//!
//! # The rule
//!
//! A *streak* of a handler begins with a transient failure and ends with its next success, of whichever event. The
//! brake opens when in one streak [`Settings::keys`] different keys (5) have failed and the streak has lasted
//! [`LONG_ENOUGH`] (1 s), or [`AT_ONCE`] times as many keys (20) and it has lasted [`AT_LEAST`] (50 ms). A timeout is a transient failure. A
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
//!   which are minutes at a high rate; a second without success, or twenty keys in a row, do not come. But what waits in
//!   the ledger comes back in bursts, each of keys that have failed before: hundreds of them may fail again within a
//!   millisecond, while all others succeed. Hence the 50 ms. At a few events
//!   a second five in a row may, once in a week or so; that costs one pause of a second.
//!
//! Limits:
//! - A stream of fewer than five keys never opens it. It does not need to: as many events as there are keys are being
//!   tried again, with growing pauses; the others wait behind them, and none becomes a dead letter while its handler
//!   succeeds for none ([`SharedBrake::has_succeeded_since`]). Who wants it braked sets `keys` lower; one key never suffices.
//! - A handler that fails for half of the keys opens it now and then, and each time the first probe that succeeds
//!   releases it.
//! - It holds the whole intake, for all handlers and topics of the process: a partition's events are of all types, and a
//!   key's are in order whatever their types. Handlers that shall not hold each other are groups of their own.
//!
//! # Open, half open, resuming
//!
//! Open, nothing starts until the pause is over; half open, one event at a time does, the probe. Its success releases
//! the brake; its transient failure doubles the pause, up to the longest, with jitter, so that the members of a group
//! do not probe together. A permanent failure lets the next event probe. Every probe has a deadline: one that was
//! dropped with its partition must not hold the rest for ever, and nobody has to report it.
//!
//! Which event probes matters, because a bad key would say "still down" for ever. At first only one of the handler at
//! fault that comes from Kafka, and whose key has not failed; intake flows while half open, so that there is one as soon as it was sent. After
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
//! - A lane, before it starts an event, its first attempt or a later one, asks `may_start`, with the permit for it in
//!   hand: what is granted counts as started. `NotNow`: it starts nothing and looks again at `next_change`, or when
//!   `subscribe` reports a change. `NotThis`: it looks at its next ready event, and when there is none, the same. An
//!   event without a handler (undecodable, unhandled) starts whenever `intake_flows`.
//! - After each attempt it calls `succeeded`, `failed` or `ended` (permanent failure). `failed` answers `Counted`: the
//!   streak is kept with the event beside its first failure, and given back at its next one. Or `Held`: the attempt
//!   leaves no trace, neither count nor first failure; the event goes back to the front of its key's queue, and
//!   nothing is settled. Revocation drops it, like anything that was not started.
//! - An event whose time is up becomes a dead letter only if `has_succeeded_since` its streak; otherwise it is tried
//!   again after the longest pause. An event that failed before this process had it knows no streak: its first failure
//!   here begins one, so that it too waits for a success that somebody has seen.
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

mod machine;
mod record;
mod shared;

use std::time::Duration;

pub(super) use self::record::Streak;
pub(super) use self::shared::SharedBrake;

/// How long a streak lasts before few keys suffice.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// How many times as many keys suffice sooner.
const AT_ONCE: usize = 4;
/// How long a streak lasts at least: many events may be tried in a moment, and all of them be some that fail.
const AT_LEAST: Duration = Duration::from_millis(50);

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
