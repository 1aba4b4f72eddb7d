//! What a process printed, line by line, while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much of a line is repeated in a report.
const LONGEST: usize = 400;

/// Which of the two streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Results.
    Out,
    /// Logs.
    Err,
}

/// The lines of one process, in the order in which they arrived.
#[derive(Debug, Default)]
pub struct Log {
    lines: Mutex<Vec<(Stream, String)>>,
    more: Condvar,
}

impl Log {
    /// Reads a stream on a thread of its own until it ends.
    pub fn follow(self: &Arc<Self>, stream: Stream, source: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                log.lines.lock().unwrap().push((stream, text));
                log.more.notify_all();
                line.clear();
            }
        })
    }

    /// The lines of one stream so far.
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|(of, _)| *of == stream).map(|(_, text)| text.clone()).collect()
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    /// The first line with that text, also one that came before the call; `None` after the deadline.
    pub fn wait_for(&self, text: &str, deadline: Duration) -> Option<String> {
        let end = Instant::now() + deadline;
        let mut lines = self.lines.lock().unwrap();
        let mut seen = 0;
        loop {
            if let Some((_, line)) = lines[seen..].iter().find(|(_, line)| line.contains(text)) {
                return Some(line.clone());
            }
            seen = lines.len();
            let left = end.checked_duration_since(Instant::now())?;
            lines = self.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// The last lines, for the report of a failed test.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.all();
        let shown = lines[lines.len().saturating_sub(count)..].iter();
        shown.map(|line| line.chars().take(LONGEST).collect::<String>()).collect::<Vec<_>>().join("\n")
    }
}
