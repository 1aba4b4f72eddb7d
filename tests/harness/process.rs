//! A program under test: started, listened to, signalled, and ended with the test.

use std::ffi::OsStr;
use std::fs::DirEntry;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::log::{Log, Stream};
use super::wait::{eventually, soon};

/// What a process can be told.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Please end.
    Term,
    /// Ctrl-C.
    Int,
    /// End now: nothing is asked.
    Kill,
    /// Stand still.
    Stop,
    /// Go on.
    Cont,
}

/// Whether the services or their logs read that variable.
fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let prefixes = ["KAFKA_", "SERVICE_A_", "SERVICE_B_", "PAIR_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
        || matches!(&*name, "CONFIG_FILE" | "LOG_FORMAT" | "RUST_LOG" | "NO_COLOR")
}

/// A running program. Dropping it kills what is left.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a program without the settings that the caller's shell may hold for it. The rest of the environment
    /// stays: it may say what the machine's owner allows, and a tool chain that does not hear it does as it likes.
    pub fn start(mut command: Command) -> Self {
        let given: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name) && !given.contains(name)) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Arc::new(Log::default());
        let readers = vec![
            log.follow(Stream::Out, child.stdout.take().unwrap()),
            log.follow(Stream::Err, child.stderr.take().unwrap()),
        ];
        Self { child, log, readers, status: None }
    }

    /// What it prints; lives on after the process.
    pub fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    /// Waits for a line, on either stream, with that text in it.
    pub fn wait_for_line(&mut self, text: &str, deadline: Duration) -> String {
        self.log.wait_for(text, deadline).unwrap_or_else(|| {
            let state = self.child.try_wait();
            panic!("no line with {text:?} within {deadline:?}; the process: {state:?}")
        })
    }

    /// The lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.log.lines(Stream::Out)
    }

    /// The lines on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.log.lines(Stream::Err)
    }

    /// Sends a signal. One to a process that has ended is nobody's.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "-TERM",
            Signal::Int => "-INT",
            Signal::Kill => "-KILL",
            Signal::Stop => "-STOP",
            Signal::Cont => "-CONT",
        };
        let sent =
            Command::new("kill").args([name, &self.child.id().to_string()]).stderr(Stdio::null()).status();
        assert!(sent.is_ok(), "there is no `kill` here: {sent:?}");
    }

    /// Stops the process, and waits until each of its threads stands still: on a busy machine the order is given
    /// long before it is carried out. Where there is no `/proc` the order alone must do.
    pub fn stand_still(&self) {
        self.signal(Signal::Stop);
        let threads = format!("/proc/{}/task", self.child.id());
        let moves = |thread: DirEntry| {
            let status = std::fs::read_to_string(thread.path().join("status"));
            status.is_ok_and(|status| !status.contains("State:\tT"))
        };
        eventually(soon(), "each of its threads stands still", || {
            let mut threads = std::fs::read_dir(&threads).into_iter().flatten().flatten();
            (!threads.any(moves)).then_some(())
        });
    }

    /// Waits for the end, and for the last line; gives the exit code, `None` after a signal that nobody handled.
    pub fn exit_code(&mut self, deadline: Duration) -> Option<i32> {
        if let Some(status) = self.status {
            return status.code();
        }
        let child = &mut self.child;
        let status = eventually(deadline, "the process ends", || child.try_wait().unwrap());
        self.status = Some(status);
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status.code()
    }

    /// SIGTERM, then the exit code.
    pub fn stop(&mut self, deadline: Duration) -> Option<i32> {
        self.signal(Signal::Term);
        self.exit_code(deadline)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
