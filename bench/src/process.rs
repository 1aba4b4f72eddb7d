//! A program of the run.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::group::Group;
use crate::{measure, signals};

/// A running program. Dropping it kills what is left.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) started: Instant,
    last_line: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// That of what it starts, where it is not ours.
    group: Option<Group>,
}

impl Process {
    /// Starts it; what it says on standard error is added to the file.
    ///
    /// # Errors
    /// There is no such program, or no more processes are allowed.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        measure::without_settings(&mut command);
        let log = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let last_line = Arc::<Mutex<String>>::default();
        let reader = child.stdout.take().map(|out| {
            let last_line = Arc::clone(&last_line);
            std::thread::spawn(move || keep_last_line(out, &last_line))
        });
        Ok(Self { child, started: Instant::now(), last_line, reader, group: None })
    }

    /// The same in a process group of its own: Ctrl-C does not reach it, and dropping it kills what it has started, too.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn start_apart(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        command.process_group(0);
        let mut process = Self::start(command, log)?;
        process.group = Some(Group(process.pid()));
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. Until it has been waited for, its number is nobody else's.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end meanwhile: a signal that nobody hears.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        }
    }

    /// Whether it has begun to listen for SIGTERM: one that has only just started dies of it, as any program does,
    /// and that proves nothing.
    pub(crate) fn hears_sigterm(&self) -> bool {
        signals::is_in("SigCgt", self.child.id(), Signal::SIGTERM)
    }

    /// How it ended, if it has; then its last line is there, too.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok()??;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        Some(status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end within the time.
    pub(crate) async fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            anyhow::ensure!(Instant::now() < deadline, "process {} does not end", self.pid());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it last printed on standard output.
    pub(crate) fn last_line(&self) -> String {
        self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What one that has ended has left running, a broker before all, is meant to stay.
        if let (Ok(None), Some(group)) = (self.child.try_wait(), self.group) {
            group.signal(Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep_last_line(out: impl Read, last: &Mutex<String>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_heard_signalled_and_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exec sleep 60"]);
        let mut process = Process::start(command, &folder.path().join("log")).expect("started");
        while process.last_line() != "two" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(process.ended().is_none());
        assert!(!process.hears_sigterm(), "a sleep dies of it");
        process.signal(Signal::SIGTERM);
        let status = process.wait(Duration::from_secs(10)).await.expect("ended");
        assert!(!status.success());
        process.signal(Signal::SIGKILL);
    }
}
