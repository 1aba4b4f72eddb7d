//! Logs: for people by default, a JSON object a line for machines. They go to standard error, so that
//! standard output holds results alone.

use std::io::{self, IsTerminal, Stderr, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people, coloured on a terminal.
    Human,
    /// A JSON object a line.
    Json,
}

/// Starts logging. `RUST_LOG` chooses what is logged (`info` by default); a second call changes nothing.
pub fn init(format: LogFormat) {
    start(format, "info");
}

/// [`init`] for a command that answers: of what is logged only warnings, unless `RUST_LOG` says more.
pub fn init_answering(format: LogFormat) {
    start(format, "warn");
}

/// [`init`] for a program whose output is not its log: of what is logged only warnings, unless `RUST_LOG` says more.
pub fn init_quiet() {
    start(LogFormat::Human, "warn");
}

fn start(format: LogFormat, level: &str) {
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).ok().map(EnvFilter::try_new);
    let refused = filter.as_ref().and_then(|filter| filter.as_ref().err().map(ToString::to_string));
    let filter = filter.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Lines(io::stderr()));
    let _ = match format {
        LogFormat::Human => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colours).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Some(reason) = refused {
        tracing::warn!("RUST_LOG is not understood, so that it is taken for `{level}`: {reason}");
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

/// Whether a progress line stands on the terminal.
static HAS_PROGRESS: AtomicBool = AtomicBool::new(false);

/// Says that a progress line stands on the terminal, or no longer: a log line then takes its place, and the progress
/// line is drawn again below.
pub fn progress_line(is_there: bool) {
    HAS_PROGRESS.store(is_there, Ordering::Relaxed);
}

/// Standard error; a log line is one write.
struct Lines(Stderr);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = self.0.lock();
        if HAS_PROGRESS.load(Ordering::Relaxed) {
            // To the line's beginning, and empty it.
            stderr.write_all(b"\r\x1b[2K")?;
        }
        stderr.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Text in which control characters are escaped: what comes from outside must not write its own log lines.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl std::fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        self.0.chars().try_for_each(|character| {
            if character.is_control() {
                write!(f, "{}", character.escape_default())
            } else {
                f.write_char(character)
            }
        })
    }
}
