//! Who starts a run, and cleans up when it has ended, however it did: by itself, in a panic, or at a signal.
//!
//! The run is a process of its own, the leader of a process group in which everything is that it starts. Whatever is to
//! go carries the run's name and is looked for when nobody is left who could make more of it.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use shared::client::{self, Connection};
use tempfile::TempDir;

use crate::broker::{Jars, Own};
use crate::ground::Ground;
use crate::group::Group;
use crate::ledger::Server;
use crate::leftovers;
use crate::signals::{Signals, exit_code};

/// What a run will need, and leave behind.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What its name begins with.
    pub(crate) kind: &'static str,
    pub(crate) own: Option<Own>,
    /// To the broker, where it is not the run's own.
    pub(crate) connection: Connection,
    /// Where it makes databases.
    pub(crate) server: Option<Server>,
    /// Whether what a failed run has left is to be looked at.
    pub(crate) keeps_failed: bool,
}

/// In the process that is the run, does the work; in the one that people have started, supervises it.
///
/// # Errors
/// What the work says, or no run could be started.
pub(crate) fn run(
    plan: Plan,
    work: impl FnOnce(Ground) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    if let Some(ground) = Ground::given()? {
        std::thread::spawn(end_when_alone);
        return work(ground);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(supervise(plan));
    // A question to a broker that does not answer is not waited for.
    runtime.shutdown_background();
    code
}

/// Standard input ends with who supervises: one that was killed itself leaves nobody running.
fn end_when_alone() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Group(std::process::id()).signal(Signal::SIGKILL);
}

async fn supervise(plan: Plan) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let folder = tempfile::Builder::new().prefix(&format!("{}-", plan.kind)).tempdir()?;
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let name = format!("{}-{}-{seconds}", plan.kind, std::process::id());
    let ground = Ground { name, folder: folder.path().to_owned(), kafka: None };
    let mut run = Run { plan, ground, process: None };
    let (code, is_kept) = tokio::select! {
        ended = run.whole() => {
            let has_failed = !matches!(ended, Ok(0));
            (ended, has_failed && run.plan.keeps_failed && run.process.is_some())
        }
        signal = signals.next() => {
            say("stopping");
            (Ok(exit_code(signal as i32)), false)
        }
    };
    let cleaned = tokio::select! {
        cleaned = run.clean(folder, is_kept) => cleaned,
        _ = signals.next() => {
            run.signal(Signal::SIGKILL);
            Err(anyhow::anyhow!("stopped once more: not everything of {} was removed", run.ground.name))
        }
    };
    if let Err(error) = &cleaned {
        say(&format!("bench: {error:#}"));
    }
    let code = code?;
    Ok(ExitCode::from(if code == 0 { u8::from(cleaned.is_err()) } else { code }))
}

/// Where the terminal is gone, nobody hears it; `eprintln` would end the process there and then.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// As a shell says it; `None` for a process that goes on.
fn code_of(status: WaitStatus) -> Option<u8> {
    match status {
        WaitStatus::Exited(_, code) => Some(code as u8),
        WaitStatus::Signaled(_, signal, _) => {
            say(&format!("bench: the run was ended by {signal}"));
            Some(exit_code(signal as i32))
        }
        _ => None,
    }
}

struct Run {
    plan: Plan,
    ground: Ground,
    process: Option<Child>,
}

impl Run {
    /// The exit code of the run. Its process is not reaped yet: until its group is gone, the number must be nobody else's.
    async fn whole(&mut self) -> anyhow::Result<u8> {
        // Nothing is made, and nothing is to be removed, where nobody answers.
        if let Some(server) = &self.plan.server {
            server.reach().await?;
        }
        match self.plan.own {
            Some(Own::Jars) => self.ground.kafka = Some(self.jars()?.start().await?),
            Some(Own::Embedded) => {}
            None => client::reach(&self.plan.connection).await?,
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(std::env::args_os().skip(1)).stdin(Stdio::piped()).process_group(0);
        self.ground.hand_on(&mut command);
        let process = self.process.insert(command.spawn()?);
        let leader = Pid::from_raw(process.id().cast_signed());
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            if let Some(code) = code_of(waitid(Id::Pid(leader), look)?) {
                return Ok(code);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            Group(process.id()).signal(signal);
        }
    }

    fn jars(&self) -> anyhow::Result<Jars> {
        Jars::new(&self.ground.name, &self.ground.folder)
    }

    /// Each part is tried, whatever becomes of the others; the first error is told in the end.
    async fn clean(&mut self, folder: TempDir, is_kept: bool) -> anyhow::Result<()> {
        let has_run = self.process.is_some();
        let mut result = self.end_processes().await;
        let Plan { own, connection, server, .. } = &self.plan;
        if *own == Some(Own::Jars) {
            result = also(result, async { self.jars()?.clean().await }).await;
        }
        if let (true, Some(server)) = (has_run, server) {
            result = also(result, server.clean(&self.ground.name)).await;
        }
        if has_run && own.is_none() {
            result = also(result, leftovers::remove(connection, &self.ground.name)).await;
        }
        if is_kept {
            say(&format!("what is left to look at: {}", folder.keep().display()));
            return result;
        }
        result.and(folder.close().map_err(Into::into))
    }

    /// Who is in a group of a broker that stays is given the time to leave it.
    async fn end_processes(&mut self) -> anyhow::Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let group = Group(process.id());
        group.end(self.plan.own.is_none()).await?;
        process.wait()?;
        // From now on its number may be another's.
        self.process = None;
        Ok(())
    }
}

async fn also(
    result: anyhow::Result<()>,
    next: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let next = next.await;
    result.and(next)
}
