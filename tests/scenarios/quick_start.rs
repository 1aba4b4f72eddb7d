//! What the README tells a newcomer to type does what the README says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Scenario, Test, scenario};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![scenario!(the_quick_start_works_as_written, Readme)]
}

/// Under which heading the commands stand.
const HEADING: &str = "Run it";

/// The lines of the `sh` blocks between that heading and the next.
fn commands(readme: &str) -> Vec<String> {
    let (mut inside, mut in_block, mut found) = (false, false, Vec::new());
    for line in readme.lines() {
        if in_block && line.trim() == "```" {
            in_block = false;
        } else if in_block {
            found.push(line.trim().to_owned());
        } else if let Some(heading) = line.strip_prefix('#') {
            inside = heading.trim_start_matches('#').trim() == HEADING;
        } else if inside && line.trim() == "```sh" {
            in_block = true;
        }
    }
    found.retain(|line| !line.is_empty() && !line.starts_with('#'));
    found
}

/// Catches: a README that names commands which do not exist or print something else.
fn the_quick_start_works_as_written(test: &Test) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&readme);
    let demo: Vec<&String> = commands.iter().filter(|line| line.as_str() == "cargo run").collect();
    assert_eq!(demo.len(), 1, "one `cargo run` under {HEADING:?}, found: {commands:?}");
    let cargo = || {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root);
        cargo
    };
    let mut build = cargo();
    build.arg("build");
    assert_eq!(test.start("cargo build", build).exit_code(Duration::from_mins(20)), Some(0));
    let mut run = cargo();
    run.arg("run");
    let mut run = test.start("cargo run", run);
    assert_eq!(run.exit_code(Duration::from_secs(20)), Some(0));
    let lines = run.stdout();
    assert!(lines.last().is_some_and(|line| line.contains("10 published, 10 handled")), "{lines:?}");
}
