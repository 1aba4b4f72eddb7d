//! The processes: service-a, the members of service-b, and the broker.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::broker::{EmbeddedBroker, Options};
use shared::store::StoreUrl;

use super::schedule::{Fault, Schedule};
use super::{OwnBroker, Plan, Settings};
use crate::measure;

/// As short as Kafka lets it be: a dead member keeps its partitions for so long.
const SESSION: &str = "session.timeout.ms=6000";
/// Longer than that.
const STOPPED: Duration = Duration::from_secs(8);
/// How long a clean end may take.
const END: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 6;

pub(crate) struct Fleet {
    broker: Broker,
    /// The lines, service-a's outbox, and the logs.
    folder: tempfile::TempDir,
    service_a: PathBuf,
    a: Option<Child>,
    b: Vec<Child>,
    /// Standing still, until then.
    stopped: Vec<(Child, Instant)>,
    pub(crate) topic: String,
    pub(crate) group: String,
    store: StoreUrl,
    rate: u64,
    /// Clean ends that were asked for, and what they came to.
    exit_codes: Vec<Option<i32>>,
    started: u32,
}

enum Broker {
    Given(String),
    Embedded(EmbeddedBroker),
    /// Its address, and the script.
    Jars(String, PathBuf),
}

impl Fleet {
    pub(crate) fn start(settings: &Settings, plan: &Plan, store: &StoreUrl) -> anyhow::Result<Self> {
        let unique = format!("torture-{}", std::process::id());
        let mut fleet = Self {
            broker: Broker::start(settings)?,
            folder: tempfile::tempdir()?,
            service_a: measure::program("service-a")?,
            a: None,
            b: Vec::new(),
            stopped: Vec::new(),
            topic: unique.clone(),
            group: unique,
            store: store.clone(),
            rate: settings.rate,
            exit_codes: Vec::new(),
            started: 0,
        };
        std::fs::write(fleet.folder.path().join("lines"), plan.lines())?;
        for _ in 0..settings.members {
            fleet.join()?;
        }
        fleet.publish()?;
        Ok(fleet)
    }

    pub(crate) fn address(&self) -> String {
        match &self.broker {
            Broker::Given(address) | Broker::Jars(address, _) => address.clone(),
            Broker::Embedded(broker) => broker.address(),
        }
    }

    /// The dead-letter topic.
    pub(crate) fn letters(&self) -> String {
        format!("dlq.{}.{}", self.group, self.topic)
    }

    pub(crate) fn members(&self) -> usize {
        self.b.len()
    }

    pub(crate) fn member_ids(&self) -> Vec<u32> {
        self.b.iter().map(Child::id).collect()
    }

    pub(crate) fn may_kill_broker(&self) -> bool {
        matches!(self.broker, Broker::Jars(..))
    }

    /// Inflicts the fault; `false` where there was nobody to inflict it on.
    pub(crate) fn inflict(&mut self, fault: Fault, schedule: &mut Schedule) -> anyhow::Result<bool> {
        match fault {
            Fault::KillB | Fault::TermB | Fault::StopB | Fault::Leave => {
                if self.b.is_empty() {
                    return Ok(false);
                }
                let member = self.b.remove(schedule.choose(self.b.len()));
                self.inflict_on(fault, member)?;
            }
            Fault::Join => self.join()?,
            Fault::KillA | Fault::TermA => {
                let Some(mut a) = self.a.take() else { return Ok(false) };
                if fault == Fault::TermA {
                    wait_until_it_hears(&a);
                }
                send(&a, if fault == Fault::KillA { Signal::SIGKILL } else { Signal::SIGTERM });
                let status = wait(&mut a, END)?;
                if fault == Fault::TermA {
                    self.exit_codes.push(status.code());
                }
                self.publish()?;
            }
            Fault::KillBroker => self.broker.kill_and_start()?,
        }
        Ok(true)
    }

    fn inflict_on(&mut self, fault: Fault, mut member: Child) -> anyhow::Result<()> {
        match fault {
            Fault::StopB => {
                send(&member, Signal::SIGSTOP);
                self.stopped.push((member, Instant::now() + STOPPED));
                return Ok(());
            }
            Fault::KillB => {
                send(&member, Signal::SIGKILL);
                wait(&mut member, END)?;
            }
            _ => {
                wait_until_it_hears(&member);
                send(&member, Signal::SIGTERM);
                self.exit_codes.push(wait(&mut member, END)?.code());
            }
        }
        if fault == Fault::Leave { Ok(()) } else { self.join() }
    }

    /// Wakes who has stood still long enough, and starts again what ended without being told to: that counts.
    pub(crate) fn keep_alive(&mut self) -> anyhow::Result<()> {
        let (awake, asleep): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.stopped).into_iter().partition(|(_, until)| *until <= Instant::now());
        self.stopped = asleep;
        for (member, _) in awake {
            send(&member, Signal::SIGCONT);
            self.b.push(member);
        }
        let mut alive = Vec::new();
        for mut member in std::mem::take(&mut self.b) {
            match member.try_wait()? {
                None => alive.push(member),
                // Also with 0: nobody had asked it to.
                Some(status) => self.exit_codes.push(status.code().filter(|code| *code != 0).or(Some(-1))),
            }
        }
        self.b = alive;
        if self.b.is_empty() && self.stopped.is_empty() {
            self.join()?;
        }
        Ok(())
    }

    /// Whether service-a has published its last line.
    pub(crate) fn has_published(&mut self) -> anyhow::Result<bool> {
        let Some(a) = &mut self.a else { return Ok(true) };
        let Some(status) = a.try_wait()? else { return Ok(false) };
        self.exit_codes.push(status.code());
        self.a = None;
        Ok(true)
    }

    /// Ends everything cleanly, and says how each ended that was asked to.
    pub(crate) fn stop(&mut self) -> anyhow::Result<Vec<Option<i32>>> {
        for (member, _) in std::mem::take(&mut self.stopped) {
            send(&member, Signal::SIGCONT);
            self.b.push(member);
        }
        for mut process in self.b.drain(..).chain(self.a.take()) {
            send(&process, Signal::SIGTERM);
            let status = wait(&mut process, END)?;
            self.exit_codes.push(status.code());
        }
        Ok(std::mem::take(&mut self.exit_codes))
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let store = match &self.store {
            StoreUrl::Sqlite(file) => format!("sqlite:{}", file.display()),
            StoreUrl::Postgres(url) => url.clone(),
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("torture-member").args(["--topic", &self.topic, "--group", &self.group]);
        command.args(["--retry-first", "100ms", "--retry-max", "1s", "--kafka", SESSION]);
        // Not on the command line, which every user of the machine can read: it may hold a password.
        command.env("SERVICE_B_STORE", store);
        let member = self.spawn(command, "service-b")?;
        self.b.push(member);
        Ok(())
    }

    fn publish(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.service_a);
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        command.args(["--topic", &self.topic, "--from", &path("lines"), "--key-field", "key"]);
        command.args([
            "--rate",
            &self.rate.to_string(),
            "--outbox",
            &format!("sqlite:{}", path("outbox.db")),
        ]);
        self.a = Some(self.spawn(command, "service-a")?);
        Ok(())
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> anyhow::Result<Child> {
        self.started += 1;
        let log = self.folder.path().join(format!("{:04}-{name}.log", self.started));
        command
            .args(["--bootstrap-servers", &self.address(), "--partitions", &PARTITIONS.to_string()])
            .args(["--kafka", "reconnect.backoff.max.ms=500"])
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log)?);
        command.spawn().with_context(|| format!("start {name}"))
    }

    /// Where the logs are; they stay when something went wrong.
    pub(crate) fn keep_logs(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for process in
            self.b.iter_mut().chain(self.stopped.iter_mut().map(|(process, _)| process)).chain(&mut self.a)
        {
            let _ = process.kill();
            let _ = process.wait();
        }
        if let Broker::Jars(_, script) = &self.broker {
            let _ = script_output(script, &["clean"]);
        }
    }
}

impl Broker {
    fn start(settings: &Settings) -> anyhow::Result<Self> {
        match settings.broker {
            None => Ok(Self::Given(settings.common.bootstrap_servers.clone())),
            Some(OwnBroker::Embedded) => {
                Ok(Self::Embedded(EmbeddedBroker::start(Options { port: 0, ..Options::default() })?))
            }
            Some(OwnBroker::Jars) => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/kafka");
                let output = script_output(&script, &["start", "0"])?;
                let address = output.lines().last().context(".ci/kafka said no address")?.to_owned();
                Ok(Self::Jars(address, script))
            }
        }
    }

    fn kill_and_start(&self) -> anyhow::Result<()> {
        if let Self::Jars(_, script) = self {
            script_output(script, &["kill"])?;
            script_output(script, &["start"])?;
        }
        Ok(())
    }
}

fn script_output(script: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let name = format!("torture-{}", std::process::id());
    let output = Command::new(script).args(arguments).args(["--name", &name]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A process that has only just begun hears no SIGTERM yet and dies of it, as any does: that proves nothing.
fn wait_until_it_hears(child: &Child) {
    let end = Instant::now() + Duration::from_secs(10);
    let hears = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        Some(u64::from_str_radix(&caught, 16).ok()? & (1 << (Signal::SIGTERM as u64 - 1)) != 0)
    };
    while hears() == Some(false) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// To a child that has ended it goes to nobody: its number is ours until it is waited for.
fn send(child: &Child, signal: Signal) {
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
}

fn wait(child: &mut Child, at_most: Duration) -> anyhow::Result<ExitStatus> {
    let end = Instant::now() + at_most;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        anyhow::ensure!(Instant::now() < end, "process {} does not end", child.id());
        std::thread::sleep(Duration::from_millis(20));
    }
}
