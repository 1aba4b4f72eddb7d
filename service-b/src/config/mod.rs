//! Settings of service-b: one struct, documented for `--help`, checked before anything starts.

mod check;
mod cli;
mod runtime;

use std::time::Duration;

use clap::{Args, ValueEnum};
use shared::client::GroupProtocol;
use shared::config::{CommonArgs, duration};
use shared::consumer::{Delivery, OnDead};
use shared::listing::Output;
use shared::store::StoreUrl;
use shared::topic::Topic;

pub use self::cli::{Asked, Cli, Command};
use crate::handlers::HandlingArgs;

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
