//! What a scenario found: a table for people, and a line of JSON for machines.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// Least, median and most of a figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Not a number where there are no figures.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let middle = figures.len() / 2;
        // Of an even number, the mean of the two in the middle.
        let median = f64::midpoint(at(figures.len().saturating_sub(1) / 2), at(middle));
        Self { low: at(0), median, high: at(figures.len().saturating_sub(1)) }
    }
}

/// One subject in one variant of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) scenario: &'static str,
    pub(crate) variant: String,
    pub(crate) subject: String,
    pub(crate) events: u64,
    pub(crate) rounds: usize,
    /// Rounds that other load disturbed.
    pub(crate) left_out: usize,
    /// Events a second.
    pub(crate) rate: Option<Spread>,
    /// CPU time of the client, an event.
    pub(crate) cpu_us: Option<Spread>,
    /// The most memory that was resident.
    pub(crate) rss_mib: Option<Spread>,
    /// What the scenario measures besides, by the name that says its unit.
    pub(crate) figures: Vec<(&'static str, Spread)>,
    /// Of ours: its rate over that of each reference, or its figure over what is possible.
    pub(crate) ratios: Vec<(String, Spread)>,
}

/// Takes the lines as they come.
#[derive(Debug)]
pub(crate) struct Report {
    json: Option<File>,
}

impl Report {
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn new(json: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("--json {}", path.display()))
        };
        Ok(Self { json: json.map(open).transpose()? })
    }

    /// Prints the subjects of one variant, and adds them to the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&self, lines: &[Line]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        write!(out, "{}", text(lines))?;
        for line in lines {
            if let Some(mut file) = self.json.as_ref() {
                writeln!(file, "{}", object(line))?;
            }
        }
        Ok(out.flush()?)
    }
}

fn text(lines: &[Line]) -> String {
    let Some(first) = lines.first() else { return String::new() };
    let left_out = match first.left_out {
        0 => String::new(),
        number => format!(", {number} left out for other load"),
    };
    let mut rows = vec![vec![
        format!(
            "{}, {}: {} events, {} rounds{left_out}",
            first.scenario, first.variant, first.events, first.rounds
        ),
        "events/s".to_owned(),
        "CPU µs an event".to_owned(),
        "peak MiB".to_owned(),
    ]];
    rows[0].extend(first.figures.iter().map(|(name, _)| name.replace('_', " ")));
    for line in lines {
        let mut row = vec![
            format!("  {}", line.subject),
            cell(line.rate, 0),
            cell(line.cpu_us, 2),
            cell(line.rss_mib, 0),
        ];
        row.extend(line.figures.iter().map(|(_, spread)| cell(Some(*spread), 2)));
        rows.push(row);
    }
    let mut text = aligned(&rows);
    for line in lines {
        for (reference, ratio) in &line.ratios {
            let _ = writeln!(text, "  {} / {reference}: {}", line.subject, cell(Some(*ratio), 2));
        }
    }
    text + "\n"
}

fn cell(spread: Option<Spread>, digits: usize) -> String {
    match spread {
        None => "-".to_owned(),
        Some(Spread { low, median, high }) => {
            format!("{median:.digits$} [{low:.digits$}-{high:.digits$}]")
        }
    }
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            let _ =
                if column == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.push('\n');
    }
    text
}

fn object(line: &Line) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    set("scenario", json!(line.scenario));
    set("variant", json!(line.variant));
    set("subject", json!(line.subject));
    set("events", json!(line.events));
    set("rounds", json!(line.rounds));
    set("left_out", json!(line.left_out));
    let figures = [("rate", line.rate), ("cpu_us", line.cpu_us), ("rss_mib", line.rss_mib)];
    let figures = figures.into_iter().filter_map(|(name, spread)| Some((name, spread?)));
    for (name, Spread { low, median, high }) in figures.chain(line.figures.iter().copied()) {
        set(name, json!(median));
        set(&format!("{name}_range"), json!([low, high]));
    }
    if !line.ratios.is_empty() {
        let of = |pick: fn(&Spread) -> Value| -> Map<String, Value> {
            line.ratios.iter().map(|(reference, spread)| (reference.clone(), pick(spread))).collect()
        };
        set("ratios", Value::Object(of(|spread| json!(spread.median))));
        set("ratios_range", Value::Object(of(|spread| json!([spread.low, spread.high]))));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(subject: &str) -> Line {
        Line {
            scenario: "drain",
            variant: "100 B".to_owned(),
            subject: subject.to_owned(),
            events: 10,
            rounds: 2,
            left_out: 1,
            rate: Some(Spread::of([3.0, 1.0].into_iter())),
            cpu_us: None,
            rss_mib: None,
            figures: vec![("p99_ms", Spread::of([1.5].into_iter()))],
            ratios: vec![("bare".to_owned(), Spread::of([0.5].into_iter()))],
        }
    }

    #[test]
    fn a_line_of_json_has_medians_and_their_range() {
        let object = object(&line("ours"));
        assert_eq!(object["rate"], 2.0);
        assert_eq!(object["rate_range"], json!([1.0, 3.0]));
        assert_eq!(object["p99_ms"], 1.5);
        assert_eq!(object["ratios"]["bare"], 0.5);
        assert!(object.get("cpu_us").is_none());
    }

    #[test]
    fn the_table_is_aligned_and_ends_with_the_ratios() {
        let text = text(&[line("ours"), line("a longer name")]);
        assert!(text.starts_with("drain, 100 B: 10 events, 2 rounds, 1 left out for other load"), "{text}");
        let widths: Vec<usize> = text.lines().take(3).map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|two| two[0] == two[1]), "{text}");
        assert!(text.contains("ours / bare: 0.50 [0.50-0.50]"), "{text}");
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "these have no fraction that is rounded")]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).median, 2.5);
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()).median, 2.0);
        assert!(Spread::of(std::iter::empty()).median.is_nan());
    }
}
