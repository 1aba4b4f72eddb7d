//! Other people's clients.

use std::io::Write;
use std::process::{Command, Stdio};

/// Why kcat cannot be used.
pub fn kcat_missing() -> Option<String> {
    let found = Command::new("kcat").arg("-V").output().is_ok_and(|output| output.status.success());
    (!found).then(|| "kcat is not installed".to_owned())
}

/// Runs kcat, with that on its standard input, and gives its standard output.
pub fn kcat(arguments: &[&str], input: &str) -> String {
    output(Command::new("kcat").args(arguments), input)
}

/// A Python that has kafka-python.
#[derive(Debug)]
pub struct Python;

impl Python {
    fn program() -> String {
        std::env::var("KAFKA_PYTHON").unwrap_or_else(|_| "python3".to_owned())
    }

    /// Runs a script and gives its standard output.
    pub fn run(script: &str) -> String {
        output(Command::new(Self::program()).args(["-c", script]), "")
    }
}

/// Why kafka-python cannot be used. service-a's batches are compressed with lz4, which it needs a library for.
pub fn python_missing() -> Option<String> {
    let program = Python::program();
    let found = Command::new(&program).args(["-c", "import kafka, lz4"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    (!found).then(|| format!("{program} has no kafka-python with lz4: name one that has it in KAFKA_PYTHON"))
}

fn output(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
