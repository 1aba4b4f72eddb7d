//! Where the events come from: the counter, standard input or a file.

mod counter;
mod json;
mod line;
mod lines;
mod read;
mod split;

use shared::event::NewEvent;

use self::counter::Counter;
use self::lines::Lines;
use crate::Config;

/// An event source, and how many events may still be taken from it.
#[derive(Debug)]
pub(crate) struct Source {
    kind: Kind,
    remaining: u64,
}

#[derive(Debug)]
enum Kind {
    Counter(Counter),
    Lines(Lines),
}

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
        Ok(Self { kind, remaining })
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
