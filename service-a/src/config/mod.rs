//! The settings of service-a.

mod check;
mod cli;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use shared::config::{CommonArgs, duration};
use shared::event::PLAIN_SOURCE;
use shared::listing::Output;
use shared::store::StoreUrl;
use shared::topic::Topic;

pub use self::cli::{Asked, Cli};

/// Everything that can be set. Flag over environment variable over `--config` file over default.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// The topic; made at start if it does not exist
    #[arg(long, env = "KAFKA_TOPIC", default_value = "topic1")]
    pub topic: Topic,

    /// Publish the lines of this file, an event each; `-` is standard input. Without it a counter counts
    #[arg(long, env = "SERVICE_A_FROM", value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// Publish the dead letters of this topic, `dlq.GROUP.TOPIC`, to where each came from
    ///
    /// For a group whose ledger is gone; where it is there, `service-b dead-letters redrive` is what is wanted, and a group
    /// that has an event's row takes no notice of it here. The topic is read from its beginning to where it ends now, as
    /// nobody's member. Key, value, headers and id are as they were sent; the record's time is now. A plain record has no id
    /// but its place, so that it counts as new. A letter without its value is named, and not published. Another run
    /// publishes all again, under the same ids.
    #[arg(long, env = "SERVICE_A_FROM_TOPIC", value_name = "TOPIC")]
    pub from_topic: Option<Topic>,

    /// Publish them to this topic, whatever their headers say
    #[arg(long, env = "SERVICE_A_TO_TOPIC", value_name = "TOPIC", requires = "from_topic")]
    pub to_topic: Option<Topic>,

    /// Stop after so many of them
    #[arg(long, env = "SERVICE_A_LIMIT", value_name = "LETTERS", requires = "from_topic", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Stop after that many events; 0 is never [default: 10 of the counter, all lines]
    #[arg(long, env = "SERVICE_A_COUNT")]
    pub count: Option<u64>,

    /// Time from one event to the next: `500ms`, `1s`; `0s` is none [default: 1s for the counter, none for lines]
    #[arg(long, env = "SERVICE_A_INTERVAL", value_parser = duration)]
    pub interval: Option<Duration>,

    /// Events per second, instead of --interval
    #[arg(long, env = "SERVICE_A_RATE", value_parser = rate, conflicts_with = "interval")]
    pub rate: Option<f64>,

    /// The key of every event: those of one key stay in order [default: `counter` for the counter, none for lines]
    #[arg(long, env = "SERVICE_A_KEY", value_name = "TEXT")]
    pub key: Option<String>,

    /// Take the key from this field of each line's JSON object; a line without it gets none
    #[arg(long, env = "SERVICE_A_KEY_FIELD", value_name = "NAME", conflicts_with = "key")]
    pub key_field: Option<String>,

    /// The events' type: reverse DNS, past tense
    ///
    /// [default: `com.example.counter.event_created.v1`, for lines `com.example.line.read.v1`]
    #[arg(long = "type", env = "SERVICE_A_TYPE", value_name = "TYPE", value_parser = word)]
    pub ty: Option<String>,

    /// The events' source: a URI reference to where they happen
    #[arg(long, env = "SERVICE_A_SOURCE", default_value = "/service-a", value_name = "URI", value_parser = source)]
    pub source: String,

    /// Events say that they are not to be handled before so long after they were made: `30s`
    #[arg(long, env = "SERVICE_A_DELAY", value_parser = duration, value_name = "TIME")]
    pub delay: Option<Duration>,

    /// Events say that they are not worth handling any more so long after they were made: `1h`
    #[arg(long, env = "SERVICE_A_EXPIRES_AFTER", value_parser = duration, value_name = "TIME")]
    pub expires_after: Option<Duration>,

    /// Keep events in this store until Kafka has them: `sqlite:PATH` or `postgres://…`
    ///
    /// An event is stored together with how far its source has been read. Killed and started again with the same
    /// arguments, service-a goes on exactly there: no line is lost, none is stored twice, and a stored event keeps its
    /// id. Kafka may be away meanwhile. A file is known by its path. Standard input and pipes have no place to go on
    /// from: what a restart reads there counts as new.
    #[arg(
        long,
        env = "SERVICE_A_OUTBOX",
        value_name = "STORE",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub outbox: Option<StoreUrl>,

    /// How many events the outbox holds before reading waits
    #[arg(long, env = "SERVICE_A_OUTBOX_BOUND", default_value_t = 100_000, value_name = "EVENTS", value_parser = bound)]
    pub outbox_bound: usize,

    /// Print the records, a JSON object a line, and publish nothing
    #[arg(long, env = "SERVICE_A_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,

    /// How the closing line looks
    #[arg(long, env = "SERVICE_A_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub output: Output,

    /// How long to wait for acknowledgements, and to empty the outbox, after Ctrl-C or SIGTERM
    #[arg(long, env = "SERVICE_A_SHUTDOWN_DEADLINE", default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub shutdown_deadline: Duration,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a comment here would become the program's description")]
    pub common: CommonArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 1e-6 => Ok(rate),
        _ => Err("write events per second, such as 5 or 0.5".to_owned()),
    }
}

fn bound(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bound) if bound > 0 => Ok(bound),
        _ => Err("write how many events, at least 1".to_owned()),
    }
}

/// A word without spaces or control characters.
pub(crate) fn word(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if good { Ok(text.to_owned()) } else { Err("write at least one character, and no spaces".to_owned()) }
}

fn source(text: &str) -> Result<String, String> {
    let good = word(text)?;
    if good == PLAIN_SOURCE { Err("reserved for records that are not events".to_owned()) } else { Ok(good) }
}
