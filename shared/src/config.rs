//! Settings: flag over environment variable over file over default, for both services alike.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches};

use crate::client::{Connection, Property};
use crate::telemetry::LogFormat;

/// The heading of flags that say what a tool is asked for. They are no settings: a file says nothing about them.
pub const FILTER: &str = "Filter";

/// The settings that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka and logs")]
pub struct CommonArgs {
    /// Where Kafka is; several brokers by commas
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "localhost:9092", value_name = "HOST:PORT")]
    pub bootstrap_servers: String,

    /// A librdkafka setting; repeatable, in the variable separated by `;`
    #[arg(
        long = "kafka",
        env = "KAFKA_PROPERTIES",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "KEY=VALUE"
    )]
    pub properties: Vec<Property>,

    /// Partitions of a topic that has to be made; one that exists is left as it is
    #[arg(long, env = "KAFKA_PARTITIONS", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: i32,

    /// A TOML file of settings, named as the flags are: `topic = "topic1"`
    #[arg(long, env = "CONFIG_FILE", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How log lines look; `RUST_LOG` chooses what is logged
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

impl CommonArgs {
    /// How to reach Kafka.
    pub fn connection(&self) -> Connection {
        Connection::new(&self.bootstrap_servers, &self.properties)
    }
}

/// Parses the process's arguments, with the file's settings as defaults. Wrong usage ends the process with
/// exit code 2, `--help` with 0, as clap does it.
pub fn parse<T: CommandFactory + FromArgMatches>() -> T {
    parse_from(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
}

/// [`parse`] with the arguments given.
///
/// # Errors
/// Wrong usage, or a file that cannot be used: which setting, and what to write.
pub fn parse_from<T: CommandFactory + FromArgMatches>(arguments: Vec<OsString>) -> Result<T, clap::Error> {
    let mut command = T::command();
    if let Some(path) = config_path(&arguments) {
        command = with_file(command, &path)?;
    }
    T::from_arg_matches(&command.try_get_matches_from(arguments).map_err(without_secret)?)
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

/// `--config` has to be known before the rest can be parsed.
fn config_path(arguments: &[OsString]) -> Option<PathBuf> {
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
fn with_file(mut command: Command, path: &Path) -> Result<Command, clap::Error> {
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

/// Parses a duration as people write it: `500ms`, `30s`, `1h 30m`. For clap's `value_parser`.
///
/// # Errors
/// Not a duration, or a negative one: what to write instead.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let friendly = text.parse::<jiff::SignedDuration>().ok();
    friendly
        .and_then(|duration| std::time::Duration::try_from(duration).ok())
        .ok_or_else(|| "write a duration such as 500ms, 30s or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreUrl;
    use clap::Parser;
    use std::time::Duration;

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
        parse_from(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_is_over_the_file_and_the_file_over_the_default() {
        let cli = parse_with("topic = ['a', 'b']\npause = '6s'", &["--pause", "9s"]).expect("settings");
        assert_eq!((cli.topic, cli.pause), (vec!["a".to_owned(), "b".to_owned()], Duration::from_secs(9)));
        assert_eq!(cli.other, "untouched");
    }

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

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").is_err() && duration("soon").is_err() && duration("5").is_err());
    }
}
