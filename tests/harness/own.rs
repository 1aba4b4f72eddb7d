//! Kafka from jars of one test's own: with listeners of its choice, to be cut off, stopped and damaged.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// The protocol of a listener for everybody.
pub const PLAIN: &str = "PLAINTEXT";

/// One node of a Kafka, started by `.ci/kafka` under a name of its own; dropping it removes it.
#[derive(Debug)]
pub struct Node {
    script: PathBuf,
    name: String,
    arguments: Vec<String>,
}

impl Node {
    /// The only node, not started yet. Its listeners: port, the port that clients are told, protocol.
    pub fn alone(listeners: &[(u16, u16, &str)], settings: &[&str]) -> Self {
        let controller = free_port();
        Self::of(&[controller], 1, listeners, settings)
    }

    /// Of several nodes, by the ports of their controllers, the one with that number, from 1 on.
    pub fn of(controllers: &[u16], number: usize, listeners: &[(u16, u16, &str)], settings: &[&str]) -> Self {
        let voters = controllers.iter().zip(1..).map(|(port, number)| format!("{number}@127.0.0.1:{port}"));
        let (mut bound, mut advertised, mut protocols) = (Vec::new(), Vec::new(), Vec::new());
        for ((port, told, protocol), number) in listeners.iter().zip(0..) {
            bound.push(format!("L{number}://127.0.0.1:{port}"));
            advertised.push(format!("L{number}://127.0.0.1:{told}"));
            protocols.push(format!("L{number}:{protocol}"));
        }
        bound.push(format!("CONTROLLER://127.0.0.1:{}", controllers[number - 1]));
        protocols.push("CONTROLLER:PLAINTEXT".to_owned());
        let own = [
            format!("node.id={number}"),
            format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(",")),
            format!("listeners={}", bound.join(",")),
            format!("advertised.listeners={}", advertised.join(",")),
            format!("listener.security.protocol.map={}", protocols.join(",")),
            "inter.broker.listener.name=L0".to_owned(),
        ];
        let settings = own.into_iter().chain(settings.iter().map(|&setting| setting.to_owned()));
        let mut arguments = vec!["--port".to_owned(), listeners[0].0.to_string()];
        arguments.extend(settings.flat_map(|setting| ["--set".to_owned(), setting]));
        let script = std::env::var_os("PAIR_KAFKA_CONTROL").expect("checked before the test").into();
        let name = format!("test-{}-{number}", uuid::Uuid::now_v7().simple());
        Self { script, name, arguments }
    }

    /// Starts it, with its data if it ran before, and waits until it serves.
    pub fn start(&self) {
        self.run("start");
    }

    /// Ends it as an operator does.
    pub fn stop(&self) {
        self.run("stop");
    }

    /// Kills it: no time to say goodbye.
    pub fn kill(&self) {
        self.run("kill");
    }

    /// Where its records are: a folder for each partition.
    pub fn data(&self) -> PathBuf {
        let home = std::env::var_os("KAFKA_HOME_DIR").map(PathBuf::from);
        let beside = || self.script.parent().unwrap_or(Path::new(".")).join("../target/kafka");
        home.unwrap_or_else(beside).join(&self.name).join("data")
    }

    fn run(&self, word: &str) {
        let mut command = Command::new(&self.script);
        let output = command.args(["--name", &self.name, word]).args(&self.arguments).output().unwrap();
        assert!(output.status.success(), "{word}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Killed first: nothing of it is needed any more, and a clean end takes its time.
        for word in ["kill", "clean"] {
            let _ = Command::new(&self.script).args(["--name", &self.name, word]).output();
        }
    }
}

/// A port below those that the kernel gives to outgoing connections, one of which could take it while its broker is down.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 11_000;
    let candidates =
        std::iter::repeat_with(|| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let mut free = candidates.take(1_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a free port between 20000 and 32000")
}
