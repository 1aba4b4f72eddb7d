//! The file of settings, `--config`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use super::FILTER;

/// The file that is named. It has to be known before the rest can be parsed.
pub(super) fn path(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if text == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("CONFIG_FILE").map(PathBuf::from)
}

/// The file's settings become the defaults of the flags they are named after, in every subcommand.
pub(super) fn apply(mut command: Command, path: &Path) -> Result<Command, clap::Error> {
    let shown = path.display();
    let refuse =
        |command: &mut Command, text: String| command.error(clap::error::ErrorKind::InvalidValue, text);
    let table: toml::Table = match std::fs::read_to_string(path).map_err(|error| error.to_string()) {
        // The parser's own text quotes the line, which may hold a secret.
        Ok(text) => match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => return Err(refuse(&mut command, format!("--config {shown}: {}", error.message()))),
        },
        Err(error) => return Err(refuse(&mut command, format!("--config {shown}: {error}"))),
    };
    for (name, value) in table {
        let Some(values) = texts(&name, &value) else {
            let text = format!(
                "--config {shown}: {name}: write a string, a number, a truth value or a list of them"
            );
            return Err(refuse(&mut command, text));
        };
        if value.is_array() && !is_repeatable(&command, &name) {
            let text = format!("--config {shown}: {name}: write one value, not a list");
            return Err(refuse(&mut command, text));
        }
        let (changed, found) = set_default(command, &name, &values);
        command = changed;
        if !found {
            return Err(refuse(
                &mut command,
                format!("--config {shown}: there is no setting `{name}`; see --help"),
            ));
        }
    }
    Ok(command)
}

/// A TOML value as the texts that a flag would take. `[kafka]` is a table of librdkafka's settings.
fn texts(name: &str, value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Float(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(truth) => Some(vec![truth.to_string()]),
        toml::Value::Array(items) => {
            items.iter().map(|item| texts(name, item)?.pop()).collect::<Option<Vec<_>>>()
        }
        toml::Value::Table(table) if name == "kafka" => {
            let text = |value| texts("", value).filter(|texts| texts.len() == 1)?.pop();
            table
                .iter()
                .map(|(key, value)| Some(format!("{key}={}", text(value).filter(|_| !value.is_array())?)))
                .collect()
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}

/// Whether the flag may be given several times; one that there is not is refused elsewhere.
fn is_repeatable(command: &Command, name: &str) -> bool {
    let all = std::iter::once(command).chain(command.get_subcommands());
    let found = all.flat_map(Command::get_arguments).find(|arg| is_setting(arg, name));
    found.is_none_or(|arg| matches!(arg.get_action(), ArgAction::Append))
}

fn is_setting(argument: &Arg, name: &str) -> bool {
    argument.get_long() == Some(name) && argument.get_help_heading() != Some(FILTER)
}

fn set_default(command: Command, name: &str, values: &[String]) -> (Command, bool) {
    let id = command.get_arguments().find(|arg| is_setting(arg, name)).map(|arg| arg.get_id().clone());
    let mut found = id.is_some() && name != "config";
    let mut command = match id {
        Some(id) if found => command.mut_arg(id, |arg| arg.default_values(values.to_vec())),
        _ => command,
    };
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for subcommand in subcommands {
        command = command.mut_subcommand(subcommand, |sub| {
            let (sub, here) = set_default(sub, name, values);
            found |= here;
            sub
        });
    }
    (command, found)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    /// Catches: a listing that leaves out what the file's topic is not, and does not say so.
    #[test]
    fn what_is_asked_for_is_no_setting() {
        #[derive(Debug, Parser)]
        struct Asking {
            #[arg(long, help_heading = FILTER)]
            topic: Option<String>,
            #[command(subcommand)]
            run: Run,
        }
        #[derive(Debug, clap::Subcommand)]
        enum Run {
            Run {
                #[arg(long)]
                topic: Vec<String>,
            },
        }
        let command = set_default(Asking::command(), "topic", &["a".to_owned()]).0;
        let matches = command.try_get_matches_from(["x", "run"]).expect("settings");
        let Asking { topic, run: Run::Run { topic: topics } } =
            Asking::from_arg_matches(&matches).expect("settings");
        assert_eq!((topic, topics), (None, vec!["a".to_owned()]));
    }
}
