//! Asking before something is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::config::Cli;

/// Says what is about to be done, and asks. `false` where the answer is not `y`. Without a terminal there is nobody to
/// ask, so that it ends as wrong usage does, with exit code 2.
///
/// # Errors
/// The terminal is gone.
pub(super) fn confirm(what: &str, is_agreed: bool) -> anyhow::Result<bool> {
    if is_agreed {
        return Ok(true);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let text = format!("{what} There is no terminal to ask on: say --yes if that is meant");
        Cli::command().error(ErrorKind::MissingRequiredArgument, text).exit();
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{what} Go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
