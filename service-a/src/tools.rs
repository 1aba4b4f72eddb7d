//! What service-a prints about itself.

use std::io::{self, ErrorKind};

use clap::{CommandFactory, Subcommand};
use shared::manual::{Completions, Man};

use crate::config::Cli;

/// The tools.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Print what a shell needs to complete commands
    #[command(
        after_help = "Example:\n  service-a completions bash > /etc/bash_completion.d/service-a\n  source <(service-a completions zsh)"
    )]
    Completions(Completions),
    /// Print a manual page
    #[command(after_help = "Example:\n  service-a man > service-a.1\n  service-a man publish | man -l -")]
    Man(Man),
}

impl Tool {
    /// Prints the answer. A reader that has seen enough (`| head`) is no error.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub fn run(self) -> anyhow::Result<()> {
        let printed = match self {
            Self::Completions(shell) => shell.print(Cli::command(), &mut io::stdout()),
            Self::Man(page) => page.print(Cli::command(), &mut io::stdout()),
        };
        match printed {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}
