//! The command line: what is asked for.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use shared::consumer::Handlers;
use shared::telemetry::LogFormat;

use super::Config;
use crate::tools::Tool;

const EXAMPLES: &str = "Examples:
  service-b                                              log the events of topic1
  service-b --embedded-broker                            the same, without any Kafka
  service-b --topic orders --handle 'com.example.*=log'  one topic, one handler
  service-b --handle '*=discard' --until-caught-up       drain what is there, and say how fast
  service-b --handle '*=statistics'                      count by type, key and minute
  service-b --store postgres://me@db/ledger              several machines share the work
  service-a command send ping                            ask it who it is

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

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

impl Cli {
    /// The settings of `run`, whichever way they were given.
    pub fn into_config(self) -> Config {
        match self.command {
            Some(Command::Run(config)) => *config,
            Some(Command::Tool(_)) | None => self.run,
        }
    }
}

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
