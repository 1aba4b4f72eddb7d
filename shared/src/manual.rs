//! What a shell and `man` know of a program, from its settings.

use std::io::{self, Write};

use clap::{Args, Command, Subcommand};
use clap_complete::Shell;

/// What a program prints about itself.
#[derive(Debug, Subcommand)]
pub enum Manual {
    /// Print what a shell needs to complete commands
    #[command(
        after_help = "Examples, of both services:\n  service-a completions bash > /etc/bash_completion.d/service-a\n  source <(service-b completions zsh)"
    )]
    Completions(Completions),
    /// Print a manual page
    #[command(
        after_help = "Examples, of both services:\n  service-a man > service-a.1\n  service-b man events list | man -l -"
    )]
    Man(Man),
}

impl Manual {
    /// Prints it.
    ///
    /// # Errors
    /// There is no such command, nobody reads any more, or the disk is full.
    pub fn print(&self, command: Command, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Completions(shell) => shell.print(command, to),
            Self::Man(page) => page.print(command, to),
        }
    }
}

/// The settings of `completions`.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints what the shell is to read.
    fn print(&self, mut command: Command, to: &mut impl Write) -> io::Result<()> {
        let name = command.get_name().to_owned();
        // In memory first: what generates it takes an error of writing for its own.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        to.write_all(&text)
    }
}

/// The settings of `man`.
#[derive(Debug, Clone, Args)]
pub struct Man {
    /// The page of this command: `man events list`; without one, the program's
    command: Vec<String>,
}

impl Man {
    /// Prints a page, as roff.
    fn print(&self, command: Command, to: &mut impl Write) -> io::Result<()> {
        let mut page = command;
        let mut name = page.get_name().to_owned();
        let source = format!("{name} {}", page.get_version().unwrap_or_default());
        // Gives subcommands what they have from their parents.
        page.build();
        for word in &self.command {
            let Some(found) = page.find_subcommand(word) else {
                let known: Vec<&str> = page.get_subcommands().map(Command::get_name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let text =
                    format!("{name} has no command {word:?}: write one of those that it has ({known})");
                return Err(io::Error::other(text));
            };
            name = format!("{name}-{}", found.get_name());
            page = found.clone();
        }
        clap_mangen::Man::new(page.display_name(name)).source(source).render(to)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, Subcommand};

    use super::*;

    #[derive(Parser)]
    #[command(name = "tool", version)]
    struct Cli {
        #[command(subcommand)]
        _noun: Noun,
    }

    #[derive(Subcommand)]
    enum Noun {
        /// What happened
        #[command(subcommand)]
        Events(Verb),
    }

    #[derive(Subcommand)]
    enum Verb {
        /// List them
        List {
            /// How many
            #[arg(long)]
            limit: Option<u32>,
        },
    }

    fn page(words: &[&str]) -> io::Result<String> {
        let mut text = Vec::new();
        let man = Man { command: words.iter().map(|word| (*word).to_owned()).collect() };
        man.print(Cli::command(), &mut text)?;
        Ok(String::from_utf8(text).expect("text"))
    }

    #[test]
    fn each_command_has_a_page() {
        assert!(page(&[]).expect("a page").contains(".TH tool 1"));
        let list = page(&["events", "list"]).expect("a page");
        assert!(list.contains(".TH tool-events-list 1") && list.contains("limit"), "{list}");
        let error = page(&["events", "lsit"]).expect_err("no such command").to_string();
        assert!(error.contains("tool-events has no command \"lsit\"") && error.contains("(list"), "{error}");
    }

    #[test]
    fn each_shell_learns_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut text = Vec::new();
            Completions { shell }.print(Cli::command(), &mut text).expect("written");
            let text = String::from_utf8(text).expect("text");
            assert!(text.contains("events") && text.contains("limit"), "{shell}");
        }
    }
}
