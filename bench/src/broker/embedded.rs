//! The embedded broker in a process of its own: what it takes is none of the clients' time, nor do they wait for its threads.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use shared::broker::{EmbeddedBroker, Options};

/// The process. It ends with this one, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Embedded {
    child: Child,
    pub(crate) address: String,
    /// It answers each line with one.
    lines: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// What it answers when it has done what it was asked for.
const DONE: &str = "done";

impl Embedded {
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child =
            command.arg("embedded-broker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (stdin, stdout) = (child.stdin.take().context("no input")?, child.stdout.take());
        let mut stdout = BufReader::new(stdout.context("no output")?);
        let address = line(&mut stdout)?;
        Ok(Self { child, address, lines: Mutex::new((stdin, stdout)) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes a topic: clients cannot say how many partitions theirs are to have.
    ///
    /// # Errors
    /// There is one of that name.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) -> anyhow::Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *lines;
        writeln!(stdin, "{name} {partitions}")?;
        let answer = line(stdout)?;
        anyhow::ensure!(answer == DONE, "the embedded broker: {answer}");
        Ok(())
    }
}

fn line(from: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    anyhow::ensure!(from.read_line(&mut line)? > 0, "it has ended");
    Ok(line.trim_end().to_owned())
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side, until nobody asks any more.
///
/// # Errors
/// It cannot listen.
pub(crate) fn serve() -> anyhow::Result<()> {
    let broker = EmbeddedBroker::start(Options::default())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", broker.address())?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let (name, partitions) = line.split_once(' ').context("a name and a number of partitions")?;
        match broker.create_topic(name, partitions.parse()?) {
            Ok(()) => writeln!(out, "{DONE}")?,
            Err(error) => writeln!(out, "{error}")?,
        }
    }
    Ok(())
}
