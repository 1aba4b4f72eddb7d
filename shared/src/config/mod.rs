//! Settings: flag over environment variable over file over default, for both services alike.

mod args;
mod file;

use std::ffi::OsString;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, FromArgMatches};

pub use self::args::{CommonArgs, KafkaArgs, LogArgs};
use crate::telemetry::LogFormat;

/// The heading of flags that say what a tool is asked for. They are no settings: a file says nothing about them.
pub const FILTER: &str = "Filter";

/// Parses the process's arguments, with the file's settings as defaults. Wrong usage ends the process with
/// exit code 2, `--help` with 0, as clap does it. Also says how log lines look: whoever starts needs that first.
pub fn parse<T: CommandFactory + FromArgMatches>() -> (T, LogFormat) {
    parse_from(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

/// [`parse`] with the arguments given.
///
/// # Errors
/// Wrong usage, or a file that cannot be used: which setting, and what to write.
pub fn parse_from<T: CommandFactory + FromArgMatches>(
    arguments: Vec<OsString>,
) -> Result<(T, LogFormat), clap::Error> {
    let mut command = T::command();
    if let Some(path) = file::path(&arguments) {
        command = file::apply(command, &path)?;
    }
    let matches = command.try_get_matches_from(arguments).map_err(without_secret)?;
    Ok((T::from_arg_matches(&matches)?, LogArgs::format(&matches)))
}

/// Parses these arguments and nothing else: no variable, no file. For who runs a service inside a program of its own.
///
/// # Errors
/// Wrong usage.
pub fn parse_alone<T: CommandFactory + FromArgMatches>(arguments: &[&str]) -> Result<T, clap::Error> {
    let command = without_variables(T::command());
    T::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn without_variables(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.env(None::<&'static str>));
    command.mut_subcommands(without_variables)
}

/// clap repeats a value that it refuses; that of a store may hold a password.
fn without_secret(mut error: clap::Error) -> clap::Error {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    if argument.starts_with("--store") || argument.starts_with("--outbox ") {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    error
}

/// Parses a duration as people write it: `500ms`, `30s`, `1h 30m`. For clap's `value_parser`.
///
/// # Errors
/// Not a duration, or a negative one: what to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let friendly = text.parse::<jiff::SignedDuration>().ok();
    friendly
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "write a duration such as 500ms, 30s or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreUrl;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        common: CommonArgs,
        #[arg(long, default_value = "topic1")]
        topic: Vec<String>,
        #[arg(long, default_value = "untouched")]
        other: String,
        #[arg(long, default_value = "1s", value_parser = duration)]
        pause: Duration,
        #[arg(long)]
        store: Option<StoreUrl>,
    }

    fn parse_with(file: &str, flags: &[&str]) -> Result<Cli, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, file).expect("a file");
        let mut arguments: Vec<OsString> = vec!["x".into(), "--config".into(), path.into()];
        arguments.extend(flags.iter().map(OsString::from));
        parse_from(arguments).map(|(cli, _)| cli).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_is_over_the_file_and_the_file_over_the_default() {
        let cli = parse_with("topic = ['a', 'b']\npause = '6s'", &["--pause", "9s"]).expect("settings");
        assert_eq!((cli.topic, cli.pause), (vec!["a".to_owned(), "b".to_owned()], Duration::from_secs(9)));
        assert_eq!(cli.other, "untouched");
    }

    #[test]
    fn the_kafka_table_is_passed_through() {
        let cli = parse_with("[kafka]\n'linger.ms' = 7", &[]).expect("settings");
        assert_eq!(cli.common.connection().producer().expect("settings").get("linger.ms"), Some("7"));
    }

    /// Catches: the parser's own words, which quote the line.
    #[test]
    fn a_file_that_cannot_be_used_is_refused_without_quoting_it() {
        assert!(parse_with("tpoic = 'a'", &[]).expect_err("unknown").contains("no setting `tpoic`"));
        let error = parse_with("[kafka]\n'sasl.password' = canary", &[]).expect_err("not TOML");
        assert!(!error.contains("canary"), "{error}");
        assert!(parse_with("pause = 'soon'", &[]).is_err());
        for list in ["pause = ['1s', '2s']", "[kafka]\n'linger.ms' = [7, 9]"] {
            assert!(parse_with(list, &[]).is_err(), "{list}");
        }
    }

    /// Catches: a store's URL that is repeated where it is refused, with the password in it.
    #[test]
    fn a_store_that_is_refused_is_not_repeated() {
        for flags in [["--store", "user:canary@host/db"], ["--store", "postgres:user:canary@host"]] {
            let error = parse_with("", &flags).expect_err("no store");
            assert!(error.contains("--store") && !error.contains("canary"), "{error}");
        }
        let error = parse_with("store = 'user:canary@host/db'", &[]).expect_err("no store");
        assert!(!error.contains("canary"), "{error}");
        assert!(parse_with("", &["--store", "sqlite:a.db"]).expect("settings").store.is_some());
    }

    /// Catches: a tool whose log lines look as those of the program without a command.
    #[test]
    fn each_command_says_how_its_log_lines_look() {
        #[derive(Debug, Parser)]
        #[command(args_conflicts_with_subcommands = true)]
        struct Nested {
            #[command(flatten)]
            _log: LogArgs,
            #[command(subcommand)]
            _run: Option<Run>,
        }
        #[derive(Debug, clap::Subcommand)]
        enum Run {
            Run(LogArgs),
            Print,
        }
        for (words, format) in [
            (&["--log-format", "json"][..], LogFormat::Json),
            (&["run", "--log-format", "json"], LogFormat::Json),
            (&["run"], LogFormat::Human),
            (&["print"], LogFormat::Human),
        ] {
            let arguments = ["x"].iter().chain(words).map(OsString::from).collect();
            assert_eq!(parse_from::<Nested>(arguments).expect("settings").1, format, "{words:?}");
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").is_err() && duration("soon").is_err() && duration("5").is_err());
    }
}
