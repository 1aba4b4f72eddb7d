//! Reading on a thread of its own that only moves chunks of bytes: a pipe that gives nothing blocks that thread and
//! nobody else, so that a signal is heard.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::sync::mpsc;

/// Large enough that a chunk's costs vanish, small enough to stay in the cache.
const CHUNK: usize = 64 * 1024;
/// Chunks read ahead: they bound the memory.
const AHEAD: usize = 2;

/// Chunks in order; the last may be why there are no more.
pub(super) type Chunks = mpsc::Receiver<anyhow::Result<Vec<u8>>>;

/// What can be read.
#[derive(Debug)]
enum Input {
    Stdin,
    Open(File),
    /// A named pipe: opening it waits for its writer.
    Later(PathBuf),
}

/// Starts to read a file, or standard input for `-`. Returns the size, of what has one.
///
/// # Errors
/// There is no such file, or it may not be read.
pub(super) fn read_on_a_thread(path: &Path) -> anyhow::Result<(Chunks, Option<u64>)> {
    let shown = format!("cannot read {}", path.display());
    let (input, size) = Input::at(path).with_context(|| shown.clone())?;
    let (sender, chunks) = mpsc::channel(AHEAD);
    std::thread::Builder::new().name("read".to_owned()).spawn(move || {
        if let Err(error) = input.read_into(&sender) {
            // Who no longer listens has shut down.
            let _ = sender.blocking_send(Err(anyhow::Error::from(error).context(shown)));
        }
    })?;
    Ok((chunks, size))
}

impl Input {
    fn at(path: &Path) -> io::Result<(Self, Option<u64>)> {
        if path.as_os_str() == "-" {
            return Ok((Self::Stdin, None));
        }
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        if metadata.is_file() {
            return Ok((Self::Open(File::open(path)?), Some(metadata.len())));
        }
        Ok((Self::Later(path.to_owned()), None))
    }

    fn read_into(self, chunks: &mpsc::Sender<anyhow::Result<Vec<u8>>>) -> io::Result<()> {
        match self {
            Self::Stdin => read(io::stdin(), chunks),
            Self::Open(file) => read(file, chunks),
            Self::Later(path) => read(File::open(path)?, chunks),
        }
    }
}

fn read(mut from: impl Read, chunks: &mpsc::Sender<anyhow::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut chunk = vec![0; CHUNK];
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(len) => chunk.truncate(len),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if chunks.blocking_send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}
