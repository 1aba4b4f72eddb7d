//! Where the events come from: the counter, standard input or a file.

mod counter;
mod json;
mod line;
mod lines;
mod read;
mod split;

use std::time::Duration;

use anyhow::Context;
use shared::event::NewEvent;
use shared::outbox::Position;

use self::counter::Counter;
use self::lines::Lines;
use crate::Config;

/// An event source, and how many events may still be taken from it.
#[derive(Debug)]
pub(crate) struct Source {
    kind: Kind,
    remaining: u64,
    delay: Option<Duration>,
    expires_after: Option<Duration>,
}

#[derive(Debug)]
enum Kind {
    Counter(Counter),
    Lines(Lines),
}

/// Why nobody would take such a line.
pub(crate) const TOO_LONG: &str = "longer than message.max.bytes";

/// What [`Source::take`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// An event; the number is its line, or what the counter counts.
    Event(u64),
    /// A line that no topic would take; its number.
    TooLong(u64),
    /// Nothing now: wait with [`Source::ready`].
    Nothing,
    /// Nothing ever again.
    End,
}

/// Which lines were not as the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Oddities {
    /// Empty lines, which were skipped.
    pub(crate) empty: u64,
    /// Lines without the key field, which went out without a key.
    pub(crate) keyless: u64,
}

impl Source {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let (kind, default_count) = match &config.from {
            None => (Kind::Counter(Counter::default()), 10),
            Some(path) => (Kind::Lines(Lines::open(path, config)?), 0),
        };
        let remaining = match config.count.unwrap_or(default_count) {
            0 => u64::MAX,
            count => count,
        };
        Ok(Self { kind, remaining, delay: config.delay, expires_after: config.expires_after })
    }

    /// What the source is called where its position is kept. `None` for a pipe, which nobody can read again.
    ///
    /// # Errors
    /// The file is gone.
    pub(crate) fn name(&self, config: &Config) -> anyhow::Result<Option<String>> {
        match &config.from {
            None => {
                let ty = config.ty.as_deref().unwrap_or(counter::TYPE);
                Ok(Some(format!("counter {ty} {}", config.source)))
            }
            Some(path) if self.bytes().is_some() => {
                let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
                Ok(Some(path.to_string_lossy().into_owned()))
            }
            Some(_) => Ok(None),
        }
    }

    /// Goes on where it was left. `false` where that is not possible: it is another file.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub(crate) async fn go_on(&mut self, from: Position) -> anyhow::Result<bool> {
        let taken = match &mut self.kind {
            Kind::Counter(counter) => {
                *counter = Counter::from(from.at);
                from.at
            }
            Kind::Lines(lines) => match lines.skip(from).await? {
                Some(events) => events,
                None => return Ok(false),
            },
        };
        if self.remaining != u64::MAX {
            self.remaining = self.remaining.saturating_sub(taken);
        }
        Ok(true)
    }

    /// How far it has been read: everything taken so far, and nothing else.
    pub(crate) fn position(&self) -> Position {
        match &self.kind {
            Kind::Counter(counter) => Position { at: counter.counted(), number: counter.counted() },
            Kind::Lines(lines) => lines.position(),
        }
    }

    /// The event that [`take`](Self::take) writes into: what all events of this source have in common.
    pub(crate) fn blank(&self, config: &Config) -> NewEvent {
        let (ty, key) = match &self.kind {
            Kind::Counter(_) => (counter::TYPE, Some(counter::KEY)),
            Kind::Lines(_) => (lines::TYPE, None),
        };
        let mut event = NewEvent::new(&config.source, config.ty.as_deref().unwrap_or(ty));
        event.key = config.key.as_deref().or(key).map(Into::into);
        event
    }

    /// Waits until there is something to take. Cancel safe.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        match &mut self.kind {
            Kind::Lines(lines) if self.remaining > 0 => lines.ready().await,
            _ => Ok(()),
        }
    }

    /// Writes the next event over `event`, without waiting: a new id, the present moment, key and data.
    pub(crate) fn take(&mut self, event: &mut NewEvent) -> Taken {
        if self.remaining == 0 {
            return Taken::End;
        }
        let taken = match &mut self.kind {
            Kind::Counter(counter) => Taken::Event(counter.take(event)),
            Kind::Lines(lines) => lines.take(event),
        };
        if matches!(taken, Taken::Event(_)) {
            if self.delay.is_some() || self.expires_after.is_some() {
                event.set_times(self.delay, self.expires_after);
            }
            self.remaining -= u64::from(self.remaining != u64::MAX);
        }
        taken
    }

    /// How many events there will be at most; `None` where nobody knows.
    pub(crate) fn remaining(&self) -> Option<u64> {
        (self.remaining != u64::MAX).then_some(self.remaining)
    }

    /// Bytes in all, of a file; and bytes taken so far.
    pub(crate) fn bytes(&self) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Counter(_) => None,
            Kind::Lines(lines) => lines.size().map(|size| (size, lines.taken_bytes())),
        }
    }

    pub(crate) fn is_counter(&self) -> bool {
        matches!(self.kind, Kind::Counter(_))
    }

    /// What an event's number counts.
    pub(crate) fn unit(&self) -> &'static str {
        if self.is_counter() { "number" } else { "line" }
    }

    pub(crate) fn oddities(&self) -> Oddities {
        match &self.kind {
            Kind::Counter(_) => Oddities::default(),
            Kind::Lines(lines) => lines.oddities(),
        }
    }
}
