//! Flags that both services have.

use std::path::PathBuf;

use clap::{ArgMatches, Args};

use crate::client::{Connection, Property};
use crate::telemetry::LogFormat;

/// The settings that every command has that publishes or handles.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka and logs")]
pub struct CommonArgs {
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Partitions of a topic that has to be made; one that exists is left as it is
    #[arg(long, env = "KAFKA_PARTITIONS", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: i32,

    /// The file of settings, and logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where Kafka is.
#[derive(Debug, Clone, Args)]
pub struct KafkaArgs {
    /// Where Kafka is; several brokers by commas
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "localhost:9092", value_name = "HOST:PORT")]
    pub bootstrap_servers: String,

    /// A librdkafka setting; repeatable, in the variable separated by `;`
    #[arg(
        long = "kafka",
        env = "KAFKA_PROPERTIES",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "KEY=VALUE"
    )]
    pub properties: Vec<Property>,
}

/// The settings that every command has.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// A TOML file of settings, named as the flags are: `topic = "topic1"`
    #[arg(long, env = "CONFIG_FILE", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How log lines look; `RUST_LOG` chooses what is logged
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

impl CommonArgs {
    /// How to reach Kafka.
    pub fn connection(&self) -> Connection {
        self.kafka.connection()
    }
}

impl KafkaArgs {
    /// How to reach it.
    pub fn connection(&self) -> Connection {
        Connection::new(&self.bootstrap_servers, &self.properties)
    }
}

impl LogArgs {
    /// How log lines look, of whichever command that was said. What prints about the program alone has no such flag.
    pub(super) fn format(matches: &ArgMatches) -> LogFormat {
        match matches.subcommand() {
            Some((_, command)) => Self::format(command),
            None => matches.try_get_one("log_format").ok().flatten().copied().unwrap_or(LogFormat::Human),
        }
    }
}
