//! The processes of the run, and what is done to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::schedule::{Fault, Planned, Target};
use crate::broker::Broker;
use crate::process::Process;

/// How to start a program.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// For what may hold a password: arguments are there for everybody on the machine to read.
    pub(crate) environment: (&'static str, String),
    pub(crate) log: PathBuf,
}

/// A fault as it was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Injected {
    pub(crate) fault: Fault,
    pub(crate) target: Target,
    /// Milliseconds since 1970, as the effects have it.
    pub(crate) at: i64,
}

/// How long a program may take from its start until it listens for signals.
const UNTIL_IT_HEARS: Duration = Duration::from_secs(10);

/// service-a, the service-bs and the broker.
#[derive(Debug)]
pub(crate) struct Fleet {
    recipes: BTreeMap<Target, Recipe>,
    running: BTreeMap<Target, Process>,
    pub(crate) broker: Broker,
    /// What the broker is being told.
    control: Option<Process>,
    /// What comes back when, and how.
    back: Vec<(Instant, Target, Fault)>,
    pub(crate) injected: Vec<Injected>,
    /// What the members said when they were last heard: events known already and attempts that failed.
    pub(crate) duplicates: u64,
    pub(crate) retries: u64,
    /// Programs that ended and nobody had asked them to.
    pub(crate) surprises: Vec<String>,
    /// Whether service-a has published everything.
    pub(crate) is_published: bool,
}

impl Fleet {
    pub(crate) fn new(recipes: BTreeMap<Target, Recipe>, broker: Broker) -> Self {
        Self {
            recipes,
            running: BTreeMap::new(),
            broker,
            control: None,
            back: Vec::new(),
            injected: Vec::new(),
            duplicates: 0,
            retries: 0,
            surprises: Vec::new(),
            is_published: false,
        }
    }

    /// Starts everything that does not run.
    ///
    /// # Errors
    /// A program cannot be started.
    pub(crate) fn start_all(&mut self) -> anyhow::Result<()> {
        let targets: Vec<Target> = self.recipes.keys().copied().collect();
        targets.into_iter().try_for_each(|target| self.start(target))
    }

    fn start(&mut self, target: Target) -> anyhow::Result<()> {
        if target == Target::Broker {
            // Told while another word is under way, it would be refused: that one first.
            self.control = Some(self.broker.begin("start")?);
            return Ok(());
        }
        let is_needed = target != Target::Publisher || !self.is_published;
        if let Some(recipe) = self.recipes.get(&target)
            && is_needed
            && !self.running.contains_key(&target)
        {
            let mut command = Command::new(&recipe.program);
            let (name, value) = &recipe.environment;
            command.args(&recipe.arguments).env(name, value).env("RUST_LOG", "info");
            self.running.insert(target, Process::start(command, &recipe.log)?);
        }
        Ok(())
    }

    /// Does the fault; `false` if its target is not there now.
    ///
    /// # Errors
    /// The broker cannot be told.
    pub(crate) async fn inject(&mut self, planned: &Planned) -> anyhow::Result<bool> {
        let Planned { target, fault, away, .. } = *planned;
        if self.back.iter().any(|(_, other, _)| *other == target) {
            return Ok(false);
        }
        let at = milliseconds();
        if target == Target::Broker {
            self.wait_for_control().await?;
            self.control = Some(self.broker.begin("kill")?);
        } else {
            let Some(process) = self.running.get_mut(&target) else { return Ok(false) };
            let is_asked = matches!(fault, Fault::Term | Fault::Leave);
            let start = Instant::now();
            while is_asked && !process.hears_sigterm() && start.elapsed() < UNTIL_IT_HEARS {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if process.ended().is_some() {
                return Ok(false);
            }
            process.signal(match fault {
                Fault::Kill => Signal::SIGKILL,
                Fault::Term | Fault::Leave => Signal::SIGTERM,
                Fault::Freeze => Signal::SIGSTOP,
            });
        }
        self.injected.push(Injected { fault, target, at });
        self.back.push((Instant::now() + away, target, fault));
        Ok(true)
    }

    /// Looks who has ended, and brings back what is due.
    ///
    /// # Errors
    /// A program cannot be started.
    pub(crate) async fn tend(&mut self) -> anyhow::Result<()> {
        self.reap();
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.back).into_iter().partition(|(at, ..)| *at <= now);
        self.back = later;
        let due: Vec<(Instant, Target, Fault)> = due;
        for (_, target, fault) in due {
            match (fault, target) {
                (Fault::Freeze, _) => {
                    if let Some(process) = self.running.get_mut(&target) {
                        process.signal(Signal::SIGCONT);
                    }
                }
                (_, Target::Broker) => {
                    self.wait_for_control().await?;
                    self.start(target)?;
                }
                // A SIGTERM may still be at work: once it has ended, and not two at a time.
                _ if self.running.contains_key(&target) => self.back.push((now, target, fault)),
                _ => self.start(target)?,
            }
        }
        Ok(())
    }

    fn reap(&mut self) {
        let mut ended = Vec::new();
        for (target, process) in &mut self.running {
            if let Some(status) = process.ended() {
                ended.push((*target, status, process.last_line()));
            }
        }
        for (target, status, line) in ended {
            self.running.remove(&target);
            self.count(&line);
            let fault = self.back.iter().find(|(_, other, _)| *other == target).map(|(.., fault)| *fault);
            let was_asked = match fault {
                Some(Fault::Kill) => true,
                // Who is asked to end has to do so cleanly.
                Some(Fault::Term | Fault::Leave) => status.success(),
                Some(Fault::Freeze) | None => false,
            };
            if target == Target::Publisher && status.success() && fault.is_none() {
                self.is_published = true;
            } else if !was_asked {
                self.surprises.push(format!("{target:?} ended with {status}"));
                if fault.is_none() {
                    self.back.push((Instant::now() + Duration::from_secs(1), target, Fault::Kill));
                }
            }
        }
    }

    /// Adds what a member that has ended had counted.
    fn count(&mut self, line: &str) {
        let Ok(summary) = serde_json::from_str::<serde_json::Value>(line) else { return };
        self.duplicates += summary["duplicates"].as_u64().unwrap_or(0);
        self.retries += summary["retries"].as_u64().unwrap_or(0);
    }

    async fn wait_for_control(&mut self) -> anyhow::Result<()> {
        if let Some(mut control) = self.control.take() {
            let status = control.wait(Duration::from_secs(120)).await?;
            anyhow::ensure!(status.success(), ".ci/kafka ended with {status}: see its log");
        }
        Ok(())
    }

    /// Whether everything that was away is back.
    pub(crate) fn is_whole(&self) -> bool {
        self.back.is_empty()
    }

    /// The members that run, with the moment of their start.
    pub(crate) fn members(&self) -> impl Iterator<Item = (u32, Instant)> {
        let members = self.running.iter().filter(|(target, _)| matches!(target, Target::Member(_)));
        members.map(|(_, process)| (process.pid(), process.started))
    }

    /// SIGTERM for everybody, and the end for who does not listen.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.back.clear();
        for process in self.running.values_mut() {
            process.signal(Signal::SIGCONT);
            process.signal(Signal::SIGTERM);
        }
        for (target, mut process) in std::mem::take(&mut self.running) {
            match process.wait(Duration::from_secs(40)).await {
                Ok(status) if status.success() => {}
                Ok(status) => self.surprises.push(format!("{target:?} ended with {status}")),
                Err(error) => self.surprises.push(format!("{target:?}: {error:#}")),
            }
            self.count(&process.last_line());
        }
        if let Some(mut control) = self.control.take() {
            control.wait(Duration::from_secs(120)).await?;
        }
        Ok(())
    }
}

/// Now, as the effects have it.
fn milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
