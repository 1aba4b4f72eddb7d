//! The command line: what is asked for.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use shared::telemetry::LogFormat;

use super::Config;
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
