//! Chunks of bytes → lines, without ever holding a line that is longer than the limit.

/// A line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Text(&'a [u8]),
    /// Longer than the limit; its bytes were let go.
    TooLong,
}

/// Splits at `\n` and takes off one `\r`, as it is fed.
#[derive(Debug)]
pub(super) struct Splitter {
    limit: usize,
    chunk: Vec<u8>,
    at: usize,
    /// The beginning of a line whose end is in a later chunk.
    carry: Vec<u8>,
    /// `carry` was handed out as a line: it is to be emptied.
    is_carry_done: bool,
    /// The present line is too long: forget it up to its end.
    is_skipping: bool,
    number: u64,
    /// Bytes of the chunks before this one.
    before: u64,
    /// Bytes up to the end of the line handed out last.
    done: u64,
}

impl Splitter {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            chunk: Vec::new(),
            at: 0,
            carry: Vec::new(),
            is_carry_done: false,
            is_skipping: false,
            number: 0,
            before: 0,
            done: 0,
        }
    }

    /// The next chunk; to be given once [`next`](Self::next) has nothing more.
    pub(super) fn feed(&mut self, chunk: Vec<u8>) {
        self.before += self.chunk.len() as u64;
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next whole line and its number, from 1.
    pub(super) fn next(&mut self) -> Option<(u64, Line<'_>)> {
        self.forget_carry();
        let start = self.at;
        let Some(len) = memchr::memchr(b'\n', &self.chunk[start..]) else {
            self.stash(start, self.chunk.len());
            return None;
        };
        self.at = start + len + 1;
        self.done = self.before + self.at as u64;
        if self.carry.is_empty() && !self.is_skipping {
            self.number += 1;
            return Some((self.number, bounded(&self.chunk[start..start + len], self.limit)));
        }
        self.stash(start, start + len);
        self.at += 1;
        Some(self.whole_carry())
    }

    /// The last line, where the input ended without `\n`.
    pub(super) fn last(&mut self) -> Option<(u64, Line<'_>)> {
        self.forget_carry();
        let is_there = !self.carry.is_empty() || self.is_skipping;
        self.done = self.before + self.chunk.len() as u64;
        is_there.then(|| self.whole_carry())
    }

    /// Bytes and number of all lines handed out so far.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.done, self.number)
    }

    fn forget_carry(&mut self) {
        if std::mem::take(&mut self.is_carry_done) {
            self.carry.clear();
        }
    }

    /// Keeps a part of a line; one byte more than the limit may be the `\r`.
    fn stash(&mut self, start: usize, end: usize) {
        self.at = end;
        let part = &self.chunk[start..end];
        if self.is_skipping || self.carry.len() + part.len() > self.limit + 1 {
            self.is_skipping = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(part);
        }
    }

    fn whole_carry(&mut self) -> (u64, Line<'_>) {
        self.number += 1;
        self.is_carry_done = true;
        if std::mem::take(&mut self.is_skipping) {
            return (self.number, Line::TooLong);
        }
        (self.number, bounded(&self.carry, self.limit))
    }
}

fn bounded(line: &[u8], limit: usize) -> Line<'_> {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    if text.len() > limit { Line::TooLong } else { Line::Text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn split(input: &[u8], chunk: usize, limit: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let own = |(number, line): (u64, Line<'_>)| match line {
            Line::Text(text) => (number, Some(text.to_vec())),
            Line::TooLong => (number, None),
        };
        let mut splitter = Splitter::new(limit);
        let mut lines = Vec::new();
        for part in input.chunks(chunk) {
            splitter.feed(part.to_vec());
            while let Some(line) = splitter.next() {
                lines.push(own(line));
                let (bytes, number) = splitter.done();
                let ends = memchr::memchr_iter(b'\n', &input[..bytes as usize]).count() as u64;
                assert_eq!((input[bytes as usize - 1], ends), (b'\n', number), "a line ends there");
            }
            assert!(splitter.carry.len() <= limit + 1, "an unbounded line is never held");
        }
        lines.extend(splitter.last().map(own));
        assert_eq!(splitter.done(), (input.len() as u64, lines.len() as u64));
        lines
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_the_rest_goes_on() {
        let lines = split(b"a\nbbbbbbbb\r\nccc\r\n\ndddd", 3, 3);
        let texts: Vec<_> = lines.iter().map(|(_, line)| line.as_deref()).collect();
        assert_eq!(texts, [Some(&b"a"[..]), None, Some(b"ccc"), Some(b""), None]);
        assert_eq!(lines.last().map(|(number, _)| *number), Some(5));
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(
            input in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..60), chunk in 1usize..9, limit in 0usize..9,
        ) {
            let mut expected: Vec<_> = input.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let expected: Vec<_> = (1..).zip(expected).map(|(number, line)| {
                let text = line.strip_suffix(b"\r").unwrap_or(line);
                (number, (text.len() <= limit).then(|| text.to_vec()))
            }).collect();
            prop_assert_eq!(split(&input, chunk, limit), expected);
        }
    }
}
