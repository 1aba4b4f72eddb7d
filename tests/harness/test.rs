//! One test: its broker, its topic and group, and the programs it started.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use super::broker::Broker;
use super::log::Log;
use super::process::Process;
use super::records::Records;

/// What a member logs once it has partitions of the test's topic. The group of its commands logs the like for its own.
pub const ASSIGNED: &str = "assigned pair.";

/// Programs by name, and what they print.
type Started = Vec<(String, Arc<Log>)>;

/// What a scenario works with. Topic and group are fresh, so that tests do not see each other.
#[derive(Debug)]
pub struct Test {
    /// The broker.
    pub broker: Broker,
    /// A client that shares no code with the services.
    pub records: Records,
    /// The test's topic. Not made yet: see [`Test::topic`].
    pub topic: String,
    /// The test's group.
    pub group: String,
    /// Where its members have their ledger, all in one file; or in one database of the server in `PAIR_TEST_STORE`.
    store: TempDir,
    server: Option<String>,
    started: Arc<Mutex<Started>>,
}

impl Test {
    /// A test on that broker.
    pub fn new(broker: Broker) -> Self {
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let records = Records::new(broker.address());
        let test = Self {
            broker,
            records,
            topic: format!("pair.{unique}"),
            group: format!("pair-{unique}"),
            store: tempfile::tempdir().unwrap(),
            server: std::env::var("PAIR_TEST_STORE").ok(),
            started: Arc::default(),
        };
        if let Some(server) = &test.server {
            super::database::make(server, &test.database());
        }
        test
    }

    /// One on another broker, whose programs this one reports.
    pub fn on(&self, broker: Broker) -> Self {
        let mut other = Self::new(broker);
        other.started = Arc::clone(&self.started);
        other
    }

    /// Makes the test's topic, with room for large records, and gives its name.
    pub fn topic(&self, partitions: i32) -> &str {
        self.broker.create_topic(&self.topic, partitions, &[("max.message.bytes", "4194304")]);
        if let Broker::Embedded(_) = self.broker {
            // A member would make it, and wait for five seconds on the way: there is no admin API to answer.
            for topic in [self.dead_letters(), self.commands(), self.dead_commands(), self.replies()] {
                self.broker.create_topic(&topic, partitions, &[]);
            }
        }
        &self.topic
    }

    /// Where this group's dead letters go.
    pub fn dead_letters(&self) -> String {
        format!("dlq.{}.{}", self.group, self.topic)
    }

    /// Where this group's dead commands go.
    pub fn dead_commands(&self) -> String {
        format!("dlq.{0}.{0}", self.commands())
    }

    /// The store of the test's members.
    pub fn store(&self) -> String {
        match &self.server {
            Some(server) => format!("{}/{}", server.rsplit_once('/').unwrap().0, self.database()),
            None => format!("sqlite:{}", self.store.path().join("ledger.db").display()),
        }
    }

    fn database(&self) -> String {
        self.group.replace('-', "_")
    }

    /// What the store holds: the first column of the first row.
    pub fn sql(&self, query: &str) -> i64 {
        super::database::number(&self.store(), query)
    }

    /// Changes what is in the store, as nobody should; the statement for SQLite, and that for PostgreSQL.
    pub fn change_store(&self, sqlite: &str, postgres: &str) {
        let store = self.store();
        super::database::change(&store, if store.starts_with("sqlite:") { sqlite } else { postgres });
    }

    /// Whether the store can be written, by somebody else than who is in the middle of it.
    pub fn store_is_free(&self) -> bool {
        super::database::is_free(&self.store())
    }

    /// Starts service-a on the test's topic.
    pub fn service_a(&self, arguments: &[&str]) -> Process {
        let command = self.command(&beside("service-a"), arguments, &["--topic", &self.topic]);
        self.start("service-a", command)
    }

    /// Starts `service-a command send` to the test's group.
    pub fn send(&self, arguments: &[&str]) -> Process {
        let arguments = [&["command", "send"], arguments].concat();
        let sender = self.sender();
        let command =
            self.command(&beside("service-a"), &arguments, &["--to", &self.group, "--sender", &sender]);
        self.start("service-a command", command)
    }

    /// Who sends commands, unless a test says otherwise.
    fn sender(&self) -> String {
        format!("{}-sender", self.group)
    }

    /// By which topic the test's group takes commands.
    pub fn commands(&self) -> String {
        format!("{}.commands", self.group)
    }

    /// By which topic the replies come.
    pub fn replies(&self) -> String {
        format!("{}.replies", self.sender())
    }

    /// Starts service-b on the test's topic and in its group, with its log as JSON.
    pub fn service_b(&self, arguments: &[&str]) -> Process {
        let command = self.member(&beside("service-b"), arguments);
        self.start("service-b", command)
    }

    /// Starts a service-b whose handler does what its events say: see the module `scripted`.
    pub fn scripted(&self, arguments: &[&str]) -> Process {
        let mut command = self.member(&std::env::current_exe().unwrap(), arguments);
        command.env(crate::scripted::ASKED, "1");
        self.start("scripted", command)
    }

    /// The same, with a handler that says that it is pure.
    pub fn pure(&self, arguments: &[&str]) -> Process {
        let mut command = self.member(&std::env::current_exe().unwrap(), arguments);
        command.env(crate::scripted::ASKED, crate::scripted::PURE);
        self.start("pure", command)
    }

    /// Starts a service at the highest log level, with nothing but these arguments.
    pub fn traced(&self, service: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(beside(service));
        command.args(arguments).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        self.start(service, command)
    }

    /// Starts an operator's tool of service-b on the test's store, group and broker.
    pub fn tool(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(beside("service-b"));
        command.args(arguments).env("SERVICE_B_STORE", self.store()).env("SERVICE_B_GROUP", &self.group);
        command.env("KAFKA_BOOTSTRAP_SERVERS", self.broker.address());
        self.start(&arguments[..2].join("-"), command)
    }

    /// What a shell needs so that both programs work on this test's group, store and broker.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let programs = beside("service-b");
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            ("PATH", format!("{}:{path}", programs.parent().unwrap().display())),
            ("SERVICE_B_STORE", self.store()),
            ("SERVICE_B_GROUP", self.group.clone()),
            ("SERVICE_A_TO", self.group.clone()),
            ("SERVICE_A_SENDER", self.group.clone()),
            ("KAFKA_BOOTSTRAP_SERVERS", self.broker.address()),
        ]
    }

    /// Runs an operator's tool of service-a to its end: its exit code, and what it printed and logged.
    pub fn ask_outbox(&self, outbox: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(beside("service-a"));
        command.args(arguments).env("SERVICE_A_OUTBOX", outbox);
        let mut process = self.start(&arguments[..2].join("-"), command);
        let code = process.exit_code(super::soon());
        (code, process.stdout().join("\n"), process.stderr().join("\n"))
    }

    /// Runs one to its end: its exit code, and what it printed and logged.
    pub fn answer(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut process = self.tool(arguments);
        let code = process.exit_code(super::soon());
        (code, process.stdout().join("\n"), process.stderr().join("\n"))
    }

    /// Starts any program.
    pub fn start(&self, name: &str, command: Command) -> Process {
        let process = Process::start(command);
        self.started.lock().unwrap().push((name.to_owned(), process.log()));
        process
    }

    fn member(&self, program: &PathBuf, arguments: &[&str]) -> Command {
        let store = self.store();
        let defaults =
            ["--topic", &self.topic, "--group", &self.group, "--log-format", "json", "--store", &store];
        let mut command = self.command(program, arguments, &defaults);
        if !arguments.contains(&"consumer") {
            for setting in self.broker.member_settings() {
                command.args(["--kafka", setting]);
            }
        }
        command
    }

    /// A command line: the arguments, and the defaults of those that it does not name.
    fn command(&self, program: &PathBuf, arguments: &[&str], defaults: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments);
        let address = self.broker.address();
        for pair in defaults.chunks(2).chain([["--bootstrap-servers", address.as_str()].as_slice()]) {
            if !arguments.contains(&pair[0]) {
                command.args(pair);
            }
        }
        command
    }

    /// The last lines of every program, for the report of a failure; all of them are in the files it names.
    pub fn report(&self) -> String {
        let started = self.started.lock().unwrap();
        let of = |(number, (name, log)): (usize, &(String, Arc<Log>))| {
            let file = format!("{}/{}.{number}.{name}.log", env!("CARGO_TARGET_TMPDIR"), self.topic);
            // The report stands without it.
            let _ = std::fs::write(&file, log.all().join("\n"));
            format!("--- {name}, whole in {file}\n{}\n", log.tail(25))
        };
        started.iter().enumerate().map(of).collect()
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let of_commands = [self.commands(), self.dead_commands(), self.replies()];
        self.broker.delete_topics(&[&[self.topic.clone(), self.dead_letters()], &of_commands[..]].concat());
        if let Some(server) = &self.server {
            super::database::remove(server, &self.database());
        }
    }
}

/// A program beside this one: the tests' binary is in `target/<profile>/deps`.
fn beside(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps").join(name)
}

/// What a service-b that logs JSON said it received: time of the line, data, id.
pub fn printed(process: &Process) -> Vec<(String, String, String)> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = process.stderr();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| {
            let data = line["message"].as_str()?.strip_prefix("Received message: ")?.to_owned();
            Some((text(&line, "timestamp"), data, text(&line, "id")))
        })
        .collect()
}
