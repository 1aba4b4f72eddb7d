//! One subject, one run: a process of its own, its CPU time and its memory as the kernel counts them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::resource::UsageWho;

use crate::machine::used;

/// What a run took.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// How many events it says it got through.
    pub(crate) events: u64,
    pub(crate) wall: Duration,
    /// User and system time of the process; the broker's is not in it.
    pub(crate) cpu: Duration,
    /// The most memory it had resident, as sampled; of several processes the sum of each one's most.
    pub(crate) peak_kib: Option<u64>,
    /// What the subject measures besides, by the name that says its unit.
    pub(crate) figures: Vec<(&'static str, f64)>,
}

impl Run {
    /// Not a number where the subject does not measure it.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.figures.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, figure)| *figure)
    }
}

/// How often memory, and whether it has ended, is looked at.
const SAMPLE: Duration = Duration::from_millis(5);

const SETTINGS: [&str; 6] = ["KAFKA_", "SERVICE_A_", "SERVICE_B_", "CONFIG_FILE", "LOG_FORMAT", "NO_COLOR"];

/// Settings in the environment of whoever starts the bench are not the bench's; what the command itself sets stays.
pub(crate) fn without_settings(command: &mut Command) {
    let given: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for (name, _) in std::env::vars_os().filter(|(name, _)| !given.contains(name)) {
        let shown = name.to_string_lossy();
        // Where the jars are is no setting of the services.
        if SETTINGS.iter().any(|prefix| shown.starts_with(prefix)) && shown != "KAFKA_HOME_DIR" {
            command.env_remove(&name);
        }
    }
}

/// Runs the command to its end; what it prints says how many events it got through.
///
/// # Errors
/// It cannot be started, or does not succeed, or its output does not say it.
pub(crate) fn run(
    command: &mut Command,
    events: impl FnOnce(&str) -> anyhow::Result<u64>,
) -> anyhow::Result<Run> {
    let one = std::slice::from_mut(command);
    run_together(one, |outputs| events(outputs.first().map_or("", String::as_str)))
}

/// The same of several that are started at once, until the last one ends.
///
/// # Errors
/// As with one.
pub(crate) fn run_together(
    commands: &mut [Command],
    events: impl FnOnce(&[String]) -> anyhow::Result<u64>,
) -> anyhow::Result<Run> {
    let before = used(UsageWho::RUSAGE_CHILDREN);
    let start = Instant::now();
    let mut children = Vec::new();
    for command in &mut *commands {
        without_settings(command);
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        children.push((command.spawn().context("start")?, 0));
    }
    let mut is_running = true;
    while is_running {
        is_running = false;
        for (child, peak_kib) in &mut children {
            if child.try_wait()?.is_none() {
                is_running = true;
                *peak_kib = resident_peak_kib(child.id()).unwrap_or(0).max(*peak_kib);
            }
        }
        std::thread::sleep(if is_running { SAMPLE } else { Duration::ZERO });
    }
    let wall = start.elapsed();
    let peak_kib = Some(children.iter().map(|(_, peak_kib)| peak_kib).sum());
    let mut outputs = Vec::new();
    for ((child, _), command) in children.into_iter().zip(commands) {
        let done = child.wait_with_output()?;
        if !done.status.success() {
            anyhow::bail!("{} ended with {}", shown(command), done.status);
        }
        outputs.push(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let events = events(&outputs)?;
    // Of all children that have ended: the difference is that of these.
    let cpu = used(UsageWho::RUSAGE_CHILDREN).saturating_sub(before);
    Ok(Run { events, wall, cpu, peak_kib, figures: Vec::new() })
}

/// Without its environment, in which a store's URL may hold a password, and without the values of librdkafka's settings,
/// which may be one.
fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    let mut is_setting = false;
    for argument in command.get_args().map(|argument| argument.to_string_lossy()) {
        text.push(' ');
        match argument.split_once('=') {
            Some((key, _)) if is_setting => text.extend([key, "=…"]),
            _ => text.push_str(&argument),
        }
        is_setting = ["--kafka", "-X"].contains(&argument.as_ref());
    }
    text
}

/// Of a program that prints the number and nothing else.
pub(crate) fn count(output: &str) -> anyhow::Result<u64> {
    output.trim().parse().with_context(|| format!("not a number of events: {output:?}"))
}

fn resident_peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The program of that name, built like this one and standing beside it.
///
/// # Errors
/// It cannot be built.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "-p", name]).args(profile).status()?;
    anyhow::ensure!(built.success() && beside.exists(), "cannot build {name}");
    Ok(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_what_may_be_secret() {
        let mut command = Command::new("kcat");
        command.args(["-t", "a=b", "-X", "sasl.password=x=y", "--kafka", "debug=all"]).env("STORE", "secret");
        assert_eq!(shown(&command), "kcat -t a=b -X sasl.password=… --kafka debug=…");
    }
}
