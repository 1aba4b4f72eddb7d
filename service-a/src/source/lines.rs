//! The lines of a file or of standard input, an event each.

use std::path::Path;

use shared::client::MAX_RECORD_BYTES;
use shared::event::NewEvent;
use shared::outbox::Position;

use super::line;
use super::read::{Chunks, read_on_a_thread};
use super::split::{Line, Splitter};
use super::{Oddities, Taken};
use crate::Config;

pub(super) const TYPE: &str = "com.example.line.read.v1";

/// Lines as they come.
#[derive(Debug)]
pub(super) struct Lines {
    chunks: Chunks,
    splitter: Splitter,
    state: State,
    key_field: Option<String>,
    oddities: Oddities,
    size: Option<u64>,
    taken_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The splitter may have lines.
    Splitting,
    /// The splitter needs a chunk.
    Dry,
    /// There are no more chunks.
    Ended,
}

impl Lines {
    /// Opens a file, or standard input for `-`, and begins to read.
    pub(super) fn open(path: &Path, config: &Config) -> anyhow::Result<Self> {
        // A user who passes a larger message.max.bytes through has a topic that takes more.
        let limit = config.common.connection().producer()?.get("message.max.bytes").map(str::parse);
        let limit = limit.and_then(Result::ok).unwrap_or(MAX_RECORD_BYTES);
        let (chunks, size) = read_on_a_thread(path)?;
        Ok(Self::new(chunks, limit, config.key_field.clone(), size))
    }

    fn new(chunks: Chunks, limit: usize, key_field: Option<String>, size: Option<u64>) -> Self {
        let oddities = Oddities::default();
        let splitter = Splitter::new(limit);
        Self { chunks, splitter, state: State::Dry, key_field, oddities, size, taken_bytes: 0 }
    }

    /// Waits for bytes where none are left.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        if self.state == State::Dry {
            match self.chunks.recv().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    self.taken_bytes += chunk.len() as u64;
                    self.splitter.feed(chunk);
                    self.state = State::Splitting;
                }
                None => self.state = State::Ended,
            }
        }
        Ok(())
    }

    /// The next line that is not empty.
    pub(super) fn take(&mut self, event: &mut NewEvent) -> Taken {
        loop {
            let line = match self.state {
                State::Splitting => self.splitter.next(),
                State::Dry => return Taken::Nothing,
                State::Ended => self.splitter.last(),
            };
            match line {
                Some((_, Line::Text([]))) => self.oddities.empty += 1,
                Some((number, Line::Text(text))) => {
                    let is_keyless = line::write(text, self.key_field.as_deref(), event);
                    self.oddities.keyless += u64::from(is_keyless);
                    return Taken::Event(number);
                }
                Some((number, Line::TooLong)) => return Taken::TooLong(number),
                None if self.state == State::Ended => return Taken::End,
                None => self.state = State::Dry,
            }
        }
    }

    /// How far it has been read: up to the end of the line taken last.
    pub(super) fn position(&self) -> Position {
        let (at, number) = self.splitter.done();
        Position { at, number }
    }

    /// Skips what was read before, and says how many events that were. `None` where no such line ends there: it is another
    /// file.
    pub(super) async fn skip(&mut self, to: Position) -> anyhow::Result<Option<u64>> {
        let mut events = 0;
        while self.position().at < to.at {
            let line = match self.state {
                State::Splitting => self.splitter.next(),
                State::Dry => {
                    self.ready().await?;
                    continue;
                }
                State::Ended => self.splitter.last(),
            };
            match line {
                Some((_, Line::Text([]) | Line::TooLong)) => {}
                Some((_, Line::Text(_))) => events += 1,
                None if self.state == State::Ended => break,
                None => self.state = State::Dry,
            }
        }
        let Position { at, number } = self.position();
        // A last line that had no end may have got one since.
        let is_there = number == to.number && (at == to.at || at == to.at + 1);
        Ok(is_there.then_some(events))
    }

    pub(super) fn oddities(&self) -> Oddities {
        self.oddities
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use tokio::sync::mpsc;

    /// Everything that comes out of these chunks, each with its number.
    fn events(chunks: Vec<Vec<u8>>) -> (Vec<(u64, NewEvent)>, Oddities) {
        let (sender, receiver) = mpsc::channel(chunks.len() + 1);
        for chunk in chunks {
            sender.try_send(Ok(chunk)).expect("room");
        }
        drop(sender);
        let mut lines = Lines::new(receiver, 99, None, None);
        let mut event = NewEvent::new("/a", TYPE);
        let mut events = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        loop {
            runtime.block_on(lines.ready()).expect("chunks");
            match lines.take(&mut event) {
                Taken::Event(number) => events.push((number, event.clone())),
                Taken::TooLong(_) | Taken::Nothing => {}
                Taken::End => return (events, lines.oddities()),
            }
        }
    }

    #[test]
    fn a_line_is_json_text_or_bytes() {
        let (events, oddities) = events(vec![b"{\"a\":1}\r\n\r\nhello\n\xff\n".to_vec()]);
        let types: Vec<_> = events.iter().map(|(_, event)| event.content_type.as_deref()).collect();
        assert_eq!(types, [Some("application/json"), Some("text/plain"), Some("application/octet-stream")]);
        assert_eq!(events.last().map(|(number, _)| *number), Some(4));
        assert_eq!(oddities, Oddities { empty: 1, keyless: 0 });
    }

    proptest! {
        /// What is taken, skipped and taken again is each line once.
        #[test]
        fn a_file_is_gone_on_with_where_it_was_left(
            lines in vec("[a-z\r]{0,4}", 0..20), ends in any::<bool>(), size in 1usize..20, taken in 0usize..20, limit in 1usize..5,
        ) {
            let input = lines.join("\n") + if ends { "\n" } else { "" };
            let open = || {
                let (sender, receiver) = mpsc::channel(input.len() + 1);
                for chunk in input.as_bytes().chunks(size) {
                    sender.try_send(Ok(chunk.to_vec())).expect("room");
                }
                Lines::new(receiver, limit, None, None)
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let mut event = NewEvent::new("/a", TYPE);
            let mut take = |lines: &mut Lines| loop {
                runtime.block_on(lines.ready()).expect("chunks");
                match lines.take(&mut event) {
                    Taken::Event(number) => return Some((number, event.data.clone())),
                    Taken::TooLong(_) | Taken::Nothing => {}
                    Taken::End => return None,
                }
            };
            let mut whole = open();
            let all: Vec<_> = std::iter::from_fn(|| take(&mut whole)).collect();
            let mut first = open();
            let mut found: Vec<_> = (0..taken).map_while(|_| take(&mut first)).collect();
            let mut second = open();
            let skipped = runtime.block_on(second.skip(first.position())).expect("chunks");
            prop_assert_eq!(skipped, Some(found.len() as u64));
            found.extend(std::iter::from_fn(|| take(&mut second)));
            prop_assert_eq!(found, all);
            let beyond = Position { at: input.len() as u64 + 1, number: 1 };
            prop_assert_eq!(runtime.block_on(open().skip(beyond)).expect("chunks"), None);
        }

        #[test]
        fn lines_in_are_events_out_in_order(lines in vec("[a-z0-9 ]{0,9}", 0..40), size in 1usize..50) {
            let input = lines.join("\n").into_bytes();
            let (events, oddities) = events(input.chunks(size).map(<[u8]>::to_vec).collect());
            let expected: Vec<_> = (1..).zip(&lines).filter(|(_, line)| !line.is_empty()).collect();
            let found: Vec<_> = events.iter().map(|(number, event)| (*number, event.data.as_deref())).collect();
            prop_assert_eq!(
                found,
                expected.iter().map(|(number, line)| (*number, Some(line.as_bytes()))).collect::<Vec<_>>()
            );
            let last_is_open = lines.last().is_some_and(String::is_empty);
            let empty = lines.len() - expected.len() - usize::from(last_is_open);
            prop_assert_eq!(oddities.empty, empty as u64);
        }
    }
}
