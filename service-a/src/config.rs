//! Settings of service-a: one struct, documented for `--help`, checked before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shared::config::{CommonArgs, duration};
use shared::topic::Topic;

/// Publishes events to Kafka
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; `publish` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `publish`.
    #[command(flatten)]
    pub publish: Config,
}

/// What service-a can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish events from an event source
    #[command(after_help = EXAMPLES)]
    Publish(Box<Config>),
}

const EXAMPLES: &str = "Examples:
  service-a                                          event_0 to event_9, one a second
  service-a --count 0 --interval 100ms               without end, ten a second
  service-a --from orders.ndjson --key-field user    a file, a line an event, in order per user
  tail -f app.log | service-a --from - --topic logs  standard input
  service-a --from orders.ndjson --dry-run           what would be sent

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

impl Cli {
    /// The settings, whichever way they were given.
    pub fn config(self) -> Config {
        match self.command {
            Some(Command::Publish(config)) => *config,
            None => self.publish,
        }
    }
}

/// The settings of `publish`.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// The topic to publish to
    #[arg(long, env = "KAFKA_TOPIC", default_value = "topic1")]
    pub topic: Topic,

    /// The event source: a file, or `-` for standard input, a line an event [default: the counter]
    #[arg(long, env = "SERVICE_A_FROM", value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// How many events; 0 is without end [default: 10 of the counter, all of a file]
    #[arg(long, env = "SERVICE_A_COUNT")]
    pub count: Option<u64>,

    /// The time between two events [default: 1s for the counter, none for a file]
    #[arg(long, env = "SERVICE_A_INTERVAL", value_parser = duration, conflicts_with = "rate")]
    pub interval: Option<Duration>,

    /// Events a second, instead of an interval
    #[arg(long, env = "SERVICE_A_RATE", value_parser = rate)]
    pub rate: Option<f64>,

    /// The key of every event; what has the same key stays in order [default: `counter` for the counter]
    #[arg(long, env = "SERVICE_A_KEY", conflicts_with = "key_field")]
    pub key: Option<String>,

    /// The member of each line's JSON object that is its key
    #[arg(long, env = "SERVICE_A_KEY_FIELD", value_name = "NAME", requires = "from")]
    pub key_field: Option<String>,

    /// The events' type [default: `com.example.counter.event_created.v1`, of lines `com.example.line.read.v1`]
    #[arg(long = "type", env = "SERVICE_A_TYPE", value_name = "TYPE", value_parser = not_empty)]
    pub ty: Option<String>,

    /// The events' source, a URI reference
    #[arg(long, env = "SERVICE_A_SOURCE", default_value = "/service-a", value_parser = not_empty)]
    pub source: String,

    /// Print the records that would be sent, a JSON object each, and send none
    #[arg(long)]
    pub dry_run: bool,

    /// How long a stop waits for acknowledgements
    #[arg(long, env = "SERVICE_A_SHUTDOWN_DEADLINE", default_value = "30s", value_parser = duration)]
    pub shutdown_deadline: Duration,

    /// How the closing line looks
    #[arg(long, env = "SERVICE_A_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub output: Output,

    /// Kafka and logs. Last, because clap's heading holds from here on.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A sentence.
    Text,
    /// A JSON object.
    Json,
}

const COUNTER_EVENTS: u64 = 10;
const COUNTER_INTERVAL: Duration = Duration::from_secs(1);

impl Config {
    /// How many events at most.
    pub fn limit(&self) -> Option<u64> {
        match (self.count, &self.from) {
            (Some(0), _) | (None, Some(_)) => None,
            (Some(count), _) => Some(count),
            (None, None) => Some(COUNTER_EVENTS),
        }
    }

    /// The time between two events; zero is full speed.
    pub fn pause(&self) -> Duration {
        match (self.interval, self.rate, &self.from) {
            (Some(interval), _, _) => interval,
            (None, Some(rate), _) => Duration::from_secs_f64(1.0 / rate),
            (None, None, Some(_)) => Duration::ZERO,
            (None, None, None) => COUNTER_INTERVAL,
        }
    }

    /// The events' type.
    pub fn event_type(&self) -> &str {
        match (&self.ty, &self.from) {
            (Some(ty), _) => ty,
            (None, Some(_)) => "com.example.line.read.v1",
            (None, None) => "com.example.counter.event_created.v1",
        }
    }

    /// Checks what clap cannot: what is wrong shows before anything starts.
    ///
    /// # Errors
    /// Which setting, and what to write.
    pub fn check(&self) -> anyhow::Result<()> {
        self.common.connection().producer()?;
        Ok(())
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "write events a second, for example 100 or 0.5".to_owned())?;
    if (0.000_1..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err("write a number from 0.0001 to 1e9".to_owned())
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}
