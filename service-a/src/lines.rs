//! Lines of a file or of standard input, read on a thread of their own: a pipe that gives nothing must not
//! hold up a stop.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context as _;
use shared::client::MAX_RECORD_BYTES;

/// A line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1, empty ones included.
    pub number: u64,
    /// What it says.
    pub text: Text,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// Nothing.
    Empty,
    /// More than a record holds: how many bytes.
    TooLong(u64),
    /// Some bytes.
    Bytes(Vec<u8>),
}

/// Lines on their way, in batches: a channel costs more than a line.
pub type Batches = Receiver<std::io::Result<Vec<Line>>>;

/// At most so many lines and bytes a batch, and so many batches waiting: what bounds the memory.
const BATCH_LINES: usize = 256;
const BATCH_BYTES: usize = 256 * 1024;
const WAITING_BATCHES: usize = 4;

/// Opens the file (`-` is standard input) and reads it in the background.
///
/// # Errors
/// The file cannot be opened: which one, and why.
pub fn open(path: &Path) -> anyhow::Result<Batches> {
    let input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let opened = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(!opened.metadata()?.is_dir(), "cannot read {}: it is a folder", path.display());
        Box::new(opened)
    };
    let (sender, batches) = sync_channel(WAITING_BATCHES);
    std::thread::Builder::new().name("lines".to_owned()).spawn(move || read(input, &sender))?;
    Ok(batches)
}

/// Ends with the input, or when nobody wants its lines any more.
fn read(input: impl Read, batches: &SyncSender<std::io::Result<Vec<Line>>>) {
    let mut reader = BufReader::with_capacity(64 * 1024, input);
    let (mut batch, mut bytes, mut number) = (Vec::new(), 0, 0);
    loop {
        match next_line(&mut reader) {
            Ok(Some(text)) => {
                number += 1;
                if let Text::Bytes(line) = &text {
                    bytes += line.len();
                }
                batch.push(Line { number, text });
            }
            Ok(None) => {
                let _ = batches.send(Ok(batch));
                return;
            }
            Err(error) => {
                let _ = batches.send(Ok(batch));
                let _ = batches.send(Err(error));
                return;
            }
        }
        // What a person types should not wait for a batch to fill.
        let waits = reader.buffer().is_empty();
        if waits || batch.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
            if batches.send(Ok(std::mem::take(&mut batch))).is_err() {
                return;
            }
            bytes = 0;
        }
    }
}

/// The next line without its `\n` or `\r\n`; never more of it in memory than a record holds.
fn next_line(reader: &mut impl BufRead) -> std::io::Result<Option<Text>> {
    let mut line = Vec::new();
    let longest = MAX_RECORD_BYTES as u64 + 1;
    if reader.by_ref().take(longest).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && line.len() as u64 == longest {
        return Ok(Some(Text::TooLong(longest + skip_line(reader)?)));
    }
    for end in [b'\n', b'\r'] {
        line.pop_if(|last| *last == end);
    }
    Ok(Some(if line.is_empty() { Text::Empty } else { Text::Bytes(line) }))
}

/// Passes over the rest of a line; says how many bytes that was, without the end of the line.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let (length, last) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(length);
        skipped += length as u64;
        if last {
            return Ok(skipped.saturating_sub(u64::from(length > 0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        let (sender, batches) = sync_channel(1000);
        read(input, &sender);
        drop(sender);
        batches.into_iter().flat_map(|batch| batch.expect("no error")).collect()
    }

    fn bytes(text: &[u8]) -> Text {
        Text::Bytes(text.to_vec())
    }

    #[test]
    fn lines_come_in_order_with_their_numbers() {
        let read = lines(b"a\r\n\nb\n\xff");
        let expected = [bytes(b"a"), Text::Empty, bytes(b"b"), bytes(b"\xff")];
        assert_eq!(read.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(read.into_iter().map(|line| line.text).collect::<Vec<_>>(), expected);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_measured_and_the_rest_still_read() {
        let mut input = vec![b'x'; MAX_RECORD_BYTES + 100_000];
        input.extend_from_slice(b"\nb\n");
        let read = lines(&input);
        assert_eq!(read[0].text, Text::TooLong(MAX_RECORD_BYTES as u64 + 100_000));
        assert_eq!(read[1], Line { number: 2, text: bytes(b"b") });
        let fits = lines(&vec![b'x'; MAX_RECORD_BYTES]);
        assert!(matches!(&fits[0].text, Text::Bytes(line) if line.len() == MAX_RECORD_BYTES));
    }

    #[test]
    fn many_lines_lose_none() {
        let input: String = (0..10_000).map(|number| format!("{number}\n")).collect();
        let read = lines(input.as_bytes());
        assert_eq!(read.len(), 10_000);
        let in_order = |(at, line): (usize, &Line)| line.text == bytes(at.to_string().as_bytes());
        assert!(read.iter().enumerate().all(in_order));
    }
}
