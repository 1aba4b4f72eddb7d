//! Settings of service-b: one struct, documented for `--help`, checked before anything starts.

use std::time::Duration;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use shared::client::{Connection, Group, GroupProtocol, Property, TopicSpec};
use shared::config::{CommonArgs, duration};
use shared::consumer::{Delivery, Handlers, OnDead, Options, RetryPolicy};
use shared::listing::Output;
use shared::store::StoreUrl;
use shared::telemetry::LogFormat;
use shared::topic::Topic;

use crate::handlers::HandlingArgs;
use crate::tools::Tool;

/// Subscribes to Kafka topics and handles their events
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `run`.
    #[command(flatten)]
    pub run: Config,
}

/// What service-b can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Subscribe, and handle events until told to stop
    #[command(after_help = EXAMPLES)]
    Run(Box<Config>),
    /// Something for an operator.
    #[command(flatten)]
    Tool(Tool),
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To handle events.
    Run(Box<Config>, Handlers),
    /// To answer an operator.
    Tool(Tool),
}

const EXAMPLES: &str = "Examples:
  service-b                                              log the events of topic1
  service-b --embedded-broker                            the same, without any Kafka
  service-b --topic orders --handle 'com.example.*=log'  one topic, one handler
  service-b --handle '*=discard' --until-caught-up       drain what is there, and say how fast
  service-b --handle '*=statistics'                      count by type, key and minute
  service-b --store postgres://me@db/ledger              several machines share the work
  service-a command send ping                            ask it who it is

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

impl Cli {
    /// The settings of `run`, whichever way they were given.
    pub fn into_config(self) -> Config {
        match self.command {
            Some(Command::Run(config)) => *config,
            Some(Command::Tool(_)) | None => self.run,
        }
    }
}

/// The settings of `run`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// A topic to subscribe to; repeatable, in the variable separated by commas
    #[arg(long = "topic", env = "KAFKA_TOPIC", value_delimiter = ',', default_value = "topic1")]
    pub topics: Vec<Topic>,

    /// The consumer group: members of one group share the partitions
    #[arg(long, env = "SERVICE_B_GROUP", default_value = "service-b")]
    pub group: String,

    /// Which handlers there are.
    #[command(flatten)]
    pub handling: HandlingArgs,

    /// Take commands by the topic `GROUP.commands`; never with --until-caught-up, which ends and answers nobody
    #[arg(long, env = "SERVICE_B_COMMANDS", value_enum, default_value_t = Commands::On)]
    pub commands: Commands,

    /// Handle what is there at the start, then end: the mode of a batch job. An error while something of it is paused
    #[arg(long, env = "SERVICE_B_UNTIL_CAUGHT_UP")]
    pub until_caught_up: bool,

    /// Run Kafka inside this process, in memory, at the first of the bootstrap servers: for trying things out
    #[arg(long)]
    pub embedded_broker: bool,

    /// How many workers [default: the number of cores]
    #[arg(long, env = "SERVICE_B_LANES", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub lanes: Option<u16>,

    /// How many handlers may be under way at once; of one key always one
    #[arg(long, env = "SERVICE_B_CONCURRENCY", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,

    /// How many events may be under way before intake pauses
    #[arg(long, env = "SERVICE_B_WINDOW", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub window: u32,

    /// How many MiB of them
    #[arg(long, env = "SERVICE_B_WINDOW_MIB", default_value_t = 16, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub window_mib: u32,

    /// How long a handler may take before the attempt counts as failed
    #[arg(long, env = "SERVICE_B_HANDLER_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub handler_timeout: Duration,

    /// Where the ledger is: `sqlite:FILE`, or `postgres://…` for several machines [default: sqlite:./data/service-b.db]
    #[arg(
        long,
        env = "SERVICE_B_STORE",
        value_name = "URL",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub store: Option<StoreUrl>,

    /// What is promised: a row for every event, or only for those that wait, are dead or have effects
    #[arg(long, env = "SERVICE_B_DELIVERY", value_enum, default_value_t = Delivery::EffectivelyOnce)]
    pub delivery: Delivery,

    /// How long a settled event is remembered, at least, so that it is known when it arrives again
    #[arg(long, env = "SERVICE_B_DEDUPE_FOR", default_value = "24h", value_parser = duration, value_name = "TIME")]
    pub dedupe_for: Duration,

    /// Go on although the group has worked with another store: what that one held is lost
    #[arg(long)]
    pub adopt_store: bool,

    /// The longest first pause before a transient failure is tried again
    #[arg(long, env = "SERVICE_B_RETRY_FIRST", default_value = "1s", value_parser = duration, value_name = "TIME")]
    pub retry_first: Duration,

    /// The longest pause
    #[arg(long, env = "SERVICE_B_RETRY_MAX", default_value = "10m", value_parser = duration, value_name = "TIME")]
    pub retry_max: Duration,

    /// How long an event may go on failing before it becomes a dead letter
    #[arg(long, env = "SERVICE_B_RETRY_FOR", default_value = "24h", value_parser = duration, value_name = "TIME")]
    pub retry_for: Duration,

    /// How many events of one key may wait in the ledger before its partition is held
    #[arg(long, env = "SERVICE_B_DEFERRED_MAX", default_value_t = 1000, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub deferred_max: u32,

    /// What a dead event does to the later ones of its key
    #[arg(long, env = "SERVICE_B_ON_DEAD", value_enum, default_value_t = OnDead::FlowOn)]
    pub on_dead: OnDead,

    /// How partitions are handed out
    #[arg(long, env = "SERVICE_B_GROUP_PROTOCOL", value_enum, default_value_t = GroupProtocol::Classic)]
    pub group_protocol: GroupProtocol,

    /// A name that outlives the process: a restart within the session timeout moves no partition
    #[arg(long, env = "SERVICE_B_INSTANCE_ID", value_name = "ID")]
    pub instance_id: Option<String>,

    /// What to do where a committed offset is gone from its partition
    #[arg(long, env = "SERVICE_B_ON_MISSING_OFFSETS", value_enum, default_value_t = OnMissingOffsets::Fail)]
    pub on_missing_offsets: OnMissingOffsets,

    /// How long a stop or a rebalance waits for what is under way; at most 45s
    #[arg(long, env = "SERVICE_B_SHUTDOWN_DEADLINE", default_value = "30s", value_parser = duration)]
    pub shutdown_deadline: Duration,

    /// How the closing line looks
    #[arg(long, env = "SERVICE_B_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub output: Output,

    /// Kafka and logs. Last, because clap's heading holds from here on.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Whether commands are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Commands {
    /// They are handled, and answered.
    On,
    /// Their topic is not subscribed to, nor made.
    Off,
}

/// What to do where the records between the committed offset and the partition's beginning were deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnMissingOffsets {
    /// End with an error: somebody should know that events are lost.
    Fail,
    /// Go on with the oldest record there is.
    Earliest,
    /// Go on with the next one to come.
    Latest,
}

/// A rebalance waits that long too, and polls nothing meanwhile: well below `max.poll.interval.ms`.
const LONGEST_DEADLINE: Duration = Duration::from_secs(45);

impl Asked {
    /// What the process's own arguments ask for, and how log lines are to look. Wrong usage ends the process with exit
    /// code 2.
    pub fn from_args() -> (Self, LogFormat) {
        let (cli, log_format) = shared::config::parse::<Cli>();
        let config = match cli {
            Cli { command: Some(Command::Tool(tool)), .. } => match tool.check() {
                Ok(()) => return (Self::Tool(tool), log_format),
                Err(reason) => Cli::command().error(ErrorKind::ArgumentConflict, reason).exit(),
            },
            cli => cli.into_config(),
        };
        match config.check().and_then(|()| config.handling.handlers(&config.group)) {
            Ok(handlers) => (Self::Run(Box::new(config), handlers), log_format),
            Err(reason) => Cli::command().error(ErrorKind::ValueValidation, format!("{reason:#}")).exit(),
        }
    }
}

impl Config {
    /// How to reach Kafka. The embedded broker lets a member join or leave only after a session timeout, so
    /// that with it the timeout is short.
    pub fn connection(&self) -> Connection {
        let mut connection = self.common.connection();
        if self.embedded_broker && self.group_protocol == GroupProtocol::Classic {
            let quick = ["session.timeout.ms=2000", "heartbeat.interval.ms=500"];
            let quick = quick.iter().filter_map(|text| text.parse::<Property>().ok());
            connection.properties = quick.chain(connection.properties).collect();
        }
        connection
    }

    /// By which topic commands come, if any do.
    ///
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub fn commands_topic(&self) -> anyhow::Result<Option<Topic>> {
        let takes = self.commands == Commands::On && !self.until_caught_up;
        takes.then(|| Topic::commands(&self.group)).transpose().with_context(|| self.bad_group())
    }

    fn bad_group(&self) -> String {
        format!("--group {:?} has to be part of a topic's name", self.group)
    }

    /// The topics that must be there: those subscribed to, and their dead letters'.
    ///
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub fn topic_specs(&self) -> anyhow::Result<Vec<TopicSpec>> {
        let partitions = self.common.partitions;
        let mut specs = Vec::new();
        let events = self.topics.iter().map(|topic| (topic, self.group.as_str()));
        let commands = self.commands_topic()?;
        // Their topic's name is their group's.
        let commands = commands.iter().map(|topic| (topic, topic.as_str()));
        for (topic, group) in events.chain(commands) {
            let dead_letters = topic.dead_letters(group).with_context(|| self.bad_group())?;
            specs.push(TopicSpec::new(topic.clone(), partitions));
            specs.push(TopicSpec::new(dead_letters, partitions));
        }
        Ok(specs)
    }

    fn group(&self) -> Group {
        Group {
            id: self.group.clone(),
            instance_id: self.instance_id.clone(),
            protocol: self.group_protocol,
            on_missing_offsets: match self.on_missing_offsets {
                OnMissingOffsets::Fail => "error",
                OnMissingOffsets::Earliest => "earliest",
                OnMissingOffsets::Latest => "latest",
            },
        }
    }

    /// What the runtime needs to know, with the ledger in that store.
    ///
    /// # Errors
    /// The group's name cannot be part of a topic's name.
    pub fn options(&self, store: StoreUrl) -> anyhow::Result<Options> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Options {
            topics: self.topics.clone(),
            commands: self.commands_topic()?,
            group: self.group(),
            lanes: self.lanes.map_or(cores, usize::from),
            concurrency: self.concurrency as usize,
            window: self.window as usize,
            window_bytes: self.window_mib as usize * 1024 * 1024,
            handler_timeout: self.handler_timeout,
            retry: RetryPolicy { first: self.retry_first, max: self.retry_max, total: self.retry_for },
            store,
            adopt_store: self.adopt_store,
            delivery: self.delivery,
            deferred_max: self.deferred_max as usize,
            on_dead: self.on_dead,
            dedupe_for: self.dedupe_for,
            unhandled: self.handling.unhandled,
            until_caught_up: self.until_caught_up,
            shutdown_deadline: self.shutdown_deadline,
        })
    }

    /// Checks what clap cannot: what is wrong shows before anything starts.
    ///
    /// # Errors
    /// Which setting, and what to write.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.group.is_empty(), "--group: a group needs a name");
        anyhow::ensure!(
            self.shutdown_deadline <= LONGEST_DEADLINE,
            "--shutdown-deadline: at most {LONGEST_DEADLINE:?}; the group shuts a member out that does not poll for a minute"
        );
        // What waits there to be published would go to a broker that is gone in a moment.
        anyhow::ensure!(
            !(self.embedded_broker && self.store.is_some()),
            "--embedded-broker forgets everything at its end: leave --store (SERVICE_B_STORE) out with it"
        );
        self.topic_specs()?;
        if let Some(commands) = self.commands_topic()? {
            anyhow::ensure!(
                !self.topics.contains(&commands),
                "--topic {commands}: commands come by this topic; leave it out, or say --commands off"
            );
        }
        self.connection().consumer(&self.group())?;
        self.connection().producer()?;
        Ok(())
    }
}
