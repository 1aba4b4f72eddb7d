//! The settings of tools that ask Kafka.

use clap::Args;
use shared::client::{Connection, Property};

/// Where Kafka is.
#[derive(Debug, Clone, Args)]
pub(super) struct KafkaArgs {
    /// Where Kafka is; several brokers by commas
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "localhost:9092", value_name = "HOST:PORT")]
    bootstrap_servers: String,

    /// A librdkafka setting; repeatable, in the variable separated by `;`
    #[arg(
        long = "kafka",
        env = "KAFKA_PROPERTIES",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "KEY=VALUE"
    )]
    properties: Vec<Property>,
}

impl KafkaArgs {
    /// How to reach it.
    pub(super) fn connection(&self) -> Connection {
        Connection::new(&self.bootstrap_servers, &self.properties)
    }
}
