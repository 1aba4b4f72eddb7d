//! A run that is stopped in the middle leaves nothing behind.
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Catches: a signal that reaches who supervises alone, a folder that stays.
#[test]
fn a_run_that_is_stopped_ends_what_it_has_started_and_removes_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["keys", "--broker", "embedded", "--rounds", "1"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    // The run itself, and the broker.
    wait_until("there are two processes", || processes_in(folder.path()).len() == 2);
    kill(Pid::from_raw(bench.id().cast_signed()), Signal::SIGTERM).expect("signalled");
    assert_eq!(exit_code(&mut bench), Some(143));
    assert_eq!(processes_in(folder.path()), [0; 0]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

/// Those whose temporary files go into a folder within it: whatever a run starts has that from the run.
fn processes_in(folder: &Path) -> Vec<u32> {
    let inside = format!("TMPDIR={}/", folder.display());
    let is_in = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(inside.as_bytes()))
    };
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_in).collect()
}

fn exit_code(bench: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_until("it has ended", || {
        status = bench.try_wait().expect("waited for");
        status.is_some()
    });
    status?.code()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "still not so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
