//! Pictures and tables of what scenarios found, from the lines that `--json` wrote.

mod bars;
mod keys;
mod latency;
mod result;
mod style;
mod table;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use self::result::{Found, read};

/// What is drawn, and where to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plots {
    /// What `--json` wrote; where a subject was measured again, its last line counts
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder for the pictures, one a scenario: drain.svg, keys.svg, latency.svg and so on
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// The text of a picture.
type Draw = fn(&[Found]) -> anyhow::Result<String>;

const PICTURES: [(&str, Draw); 5] = [
    ("drain", |found| bars::draw("Draining a backlog, at-least-once", found)),
    ("produce", |found| bars::draw("Publishing a file", found)),
    ("ledger", |found| bars::draw("Draining a backlog, effectively-once: a row an event", found)),
    ("keys", keys::draw),
    ("latency", latency::draw),
];

/// Draws each scenario that has lines, and prints the tables of all.
///
/// # Errors
/// A file that cannot be read, a line that no scenario wrote, or a folder that cannot be written.
pub(crate) fn run(plots: &Plots) -> anyhow::Result<()> {
    let found = read(&plots.files)?;
    std::fs::create_dir_all(&plots.out).with_context(|| format!("--out {}", plots.out.display()))?;
    for (scenario, draw) in PICTURES {
        let found: Vec<Found> = found.iter().filter(|found| found.scenario == scenario).cloned().collect();
        if !found.is_empty() {
            let path = plots.out.join(format!("{scenario}.svg"));
            std::fs::write(&path, draw(&found)?).with_context(|| path.display().to_string())?;
            eprintln!("{}", path.display());
        }
    }
    std::io::stdout().lock().write_all(table::markdown(&found).as_bytes())?;
    Ok(())
}
