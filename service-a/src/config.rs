//! The settings of service-a.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use shared::config::{CommonArgs, duration};
use shared::event::PLAIN_SOURCE;
use shared::listing::Output;
use shared::store::StoreUrl;
use shared::telemetry::LogFormat;
use shared::topic::Topic;

use crate::command;
use crate::tools::Tool;

const EXAMPLES: &str = "\
Examples:
  service-a                                          event_0 to event_9, one a second
  service-a --count 0 --interval 200ms               five a second, until Ctrl-C
  service-a --from orders.jsonl --key-field customer each line an event, in order per customer
  tail -f app.log | service-a --from - --topic logs  standard input, as it comes
  service-a --from orders.jsonl --outbox sqlite:outbox.db
                                                     each line once, also if it is killed and started again
  service-a --from orders.jsonl --dry-run | head     look first; needs no broker
  service-a --from-topic dlq.service-b.topic1        dead letters once more, without a ledger
  service-a command send ping                        ask service-b who it is

Exit codes: 0 all that was published was acknowledged, 1 it was not, 2 wrong usage.";

/// Publishes events to Kafka.
#[derive(Debug, Parser)]
#[command(name = "service-a", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Wanted>,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    /// Publish events (what happens without a command, too)
    #[command(after_help = EXAMPLES)]
    Publish(Box<Config>),
    /// What operators ask, and what the program prints about itself.
    #[command(flatten)]
    Tool(Tool),
    /// Ask a service to do something
    #[command(subcommand)]
    Command(command::Verb),
    /// Cancel an event, also one that has not arrived
    ///
    /// service-b answers: cancelled, or that it was too late and why.
    #[command(after_help = "Example:\n  service-a cancel 0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")]
    Cancel(Box<command::Cancel>),
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To publish events.
    Publish(Box<Config>),
    /// To ask a service for something.
    Command(command::Verb),
    /// To answer an operator, or to print something.
    Tool(Tool),
}

impl Asked {
    /// What the process's own arguments ask for, and how log lines are to look. Wrong usage ends the process with exit
    /// code 2.
    pub fn from_args() -> (Self, LogFormat) {
        let (cli, log_format) = shared::config::parse::<Cli>();
        let asked = match cli.command {
            Some(Wanted::Command(verb)) => Self::Command(verb),
            Some(Wanted::Cancel(cancel)) => Self::Command((*cancel).into()),
            Some(Wanted::Tool(tool)) => Self::Tool(tool),
            Some(Wanted::Publish(config)) => Self::Publish(config),
            None => Self::Publish(Box::new(cli.config)),
        };
        let checked = match &asked {
            Self::Publish(config) => config.check(),
            Self::Command(verb) => verb.check(),
            Self::Tool(tool) => tool.check(),
        };
        if let Err(reason) = checked {
            Cli::command().error(ErrorKind::ArgumentConflict, reason).exit()
        }
        (asked, log_format)
    }
}

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

impl Config {
    /// What no single flag can know.
    ///
    /// # Errors
    /// Two settings contradict each other, or librdkafka refuses one: which, and what to write.
    pub fn check(&self) -> Result<(), String> {
        // clap sees conflicts between flags and variables, but not with the file.
        if self.rate.is_some() && self.interval.is_some() {
            return Err("--rate and --interval (or the file's) say the same thing: keep one".to_owned());
        }
        if self.key.is_some() && self.key_field.is_some() {
            return Err("--key and --key-field (or the file's) say the same thing: keep one".to_owned());
        }
        if self.key_field.is_some() && self.from.is_none() {
            return Err("--key-field needs lines to look into: add --from FILE".to_owned());
        }
        if let (Some(delay), Some(expiry)) = (self.delay, self.expires_after)
            && expiry <= delay
        {
            return Err(
                "--expires-after must be longer than --delay: nobody could handle these events".to_owned()
            );
        }
        if let Some(from) = &self.from_topic {
            self.check_letters(from)?;
        }
        self.common.connection().producer().map(drop).map_err(|error| error.to_string())
    }

    /// Of what makes events nothing has a meaning for those that are there.
    fn check_letters(&self, from: &Topic) -> Result<(), String> {
        let others = [
            ("--from", self.from.is_some()),
            ("--count", self.count.is_some()),
            ("--interval", self.interval.is_some()),
            ("--rate", self.rate.is_some()),
            ("--key", self.key.is_some()),
            ("--key-field", self.key_field.is_some()),
            ("--type", self.ty.is_some()),
            ("--delay", self.delay.is_some()),
            ("--expires-after", self.expires_after.is_some()),
            ("--outbox", self.outbox.is_some()),
            ("--dry-run", self.dry_run),
        ];
        if let Some((other, _)) = others.iter().find(|(_, is_set)| *is_set) {
            return Err(format!(
                "{other} (or its variable, or the file's) has no meaning with --from-topic: leave it out"
            ));
        }
        match &self.to_topic {
            None if !from.is_dead_letters() => Err(format!(
                "{from} is no dead-letter topic, dlq.GROUP.TOPIC: to publish its records all the same, say where with --to-topic"
            )),
            Some(to) if to == from => {
                Err("--from-topic and --to-topic are the same: every record would be there twice".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Cli {
    /// With the command or without: the same settings.
    pub fn into_config(self) -> Config {
        match self.command {
            Some(Wanted::Publish(config)) => *config,
            Some(Wanted::Command(_) | Wanted::Cancel(_) | Wanted::Tool(_)) | None => self.config,
        }
    }

    /// What a service is asked for, if that is what is wanted.
    pub fn into_command(self) -> Option<command::Verb> {
        match self.command {
            Some(Wanted::Command(verb)) => Some(verb),
            _ => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &str) -> Result<Config, String> {
        let arguments = std::iter::once("service-a").chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let config = cli.into_config();
        config.check()?;
        Ok(config)
    }

    #[test]
    fn the_command_may_be_left_out() {
        for flags in ["--count 3", "publish --count 3"] {
            assert_eq!(config(flags).expect("settings").count, Some(3), "{flags}");
        }
        assert!(config("--count 3 publish").is_err());
    }

    #[test]
    fn dead_letters_may_go_back_and_other_records_only_where_they_are_told() {
        for flags in ["--from-topic dlq.g.t", "--from-topic dlq.g.t --limit 3", "--from-topic a --to-topic b"]
        {
            assert!(config(flags).is_ok(), "{flags}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for flags in [
            "--rate 5 --interval 1s",
            "--key a --key-field b --from -",
            "--key-field b",
            "--rate 0",
            "--rate NaN",
            "--interval soon",
            "--delay 1h --expires-after 30m",
            "--delay soon",
            "--outbox file.db",
            "--outbox sqlite:file.db --outbox-bound 0",
            "--source urn:kafka:record",
            "--from-topic topic1",
            "--from-topic dlq.g.t --to-topic dlq.g.t",
            "--from-topic dlq.g.t --limit 0",
            "--from-topic dlq.g.t --from -",
            "--from-topic dlq.g.t --dry-run",
            "--from-topic dlq.g.t --outbox sqlite:file.db",
            "--to-topic t",
            "--limit 3",
            "--topic a/b",
            "--kafka acks=0",
        ] {
            assert!(config(flags).is_err(), "{flags}");
        }
    }
}
