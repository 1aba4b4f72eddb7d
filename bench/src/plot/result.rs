//! A line of a report, read back.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::report::Spread;

/// No scenario comes to more, of anything. Pictures have no room for more, either.
const MOST: f64 = 1e12;

/// One subject in one variant of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) scenario: String,
    pub(super) variant: String,
    pub(super) subject: String,
    pub(super) rate: Option<Spread>,
    pub(super) cpu_us: Option<Spread>,
    pub(super) rss_mib: Option<Spread>,
    /// What the scenario measures besides, by name.
    pub(super) figures: Vec<(String, Spread)>,
    /// Of ours, by the reference.
    pub(super) ratios: Vec<(String, Spread)>,
}

/// All lines, each subject of a variant once, in the order in which they came first.
///
/// # Errors
/// A file that cannot be read, or a line that no scenario wrote: says which.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        add(&mut all, file, &text)?;
    }
    Ok(all)
}

fn add(all: &mut Vec<Found>, file: &Path, text: &str) -> anyhow::Result<()> {
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let found = parse(line)
            .with_context(|| format!("{}:{number}: not a line that --json has written", file.display()))?;
        match all.iter_mut().find(|other| other.is_of(&found)) {
            Some(earlier) => *earlier = found,
            None => all.push(found),
        }
    }
    Ok(())
}

fn parse(line: &str) -> anyhow::Result<Found> {
    let object: Map<String, Value> = serde_json::from_str(line)?;
    let text = |name: &str| {
        let text = object.get(name).and_then(Value::as_str);
        text.map(ToOwned::to_owned).with_context(|| format!("{name:?} is no text"))
    };
    let mut found = Found {
        scenario: text("scenario")?,
        variant: text("variant")?,
        subject: text("subject")?,
        rate: None,
        cpu_us: None,
        rss_mib: None,
        figures: Vec::new(),
        ratios: Vec::new(),
    };
    for (range_name, range) in &object {
        let Some(name) = range_name.strip_suffix("_range") else { continue };
        let median = object.get(name).with_context(|| format!("{range_name:?} without {name:?}"))?;
        if name == "ratios" {
            found.ratios = ratios(median, range)?;
            continue;
        }
        let spread = spread(median, range).with_context(|| format!("{name:?}"))?;
        match name {
            "rate" => {
                anyhow::ensure!(spread.is_none_or(|spread| spread.low >= 0.0), "a rate below 0");
                found.rate = spread;
            }
            "cpu_us" => found.cpu_us = spread,
            "rss_mib" => found.rss_mib = spread,
            _ => found.figures.extend(spread.map(|spread| (name.to_owned(), spread))),
        }
    }
    // So that p999 comes after p99.
    found.figures.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
    Ok(found)
}

fn ratios(medians: &Value, ranges: &Value) -> anyhow::Result<Vec<(String, Spread)>> {
    let medians = medians.as_object().context("\"ratios\" is no object")?;
    let mut ratios = Vec::new();
    for (reference, median) in medians {
        let spread = ranges.get(reference).map(|range| spread(median, range));
        let spread = spread.with_context(|| format!("no range of the ratio to {reference:?}"))??;
        ratios.extend(spread.map(|spread| (reference.clone(), spread)));
    }
    Ok(ratios)
}

/// None where there were no figures: what is not a number is written as null.
fn spread(median: &Value, range: &Value) -> anyhow::Result<Option<Spread>> {
    if median.is_null() {
        return Ok(None);
    }
    let number = |value: &Value| {
        let number = value.as_f64().with_context(|| format!("{value} is no number"))?;
        anyhow::ensure!(number.abs() <= MOST, "{value} is no figure that was measured");
        Ok(number)
    };
    let (low, high) = match range.as_array().map(Vec::as_slice) {
        Some([low, high]) => (number(low)?, number(high)?),
        _ => anyhow::bail!("{range} is no range"),
    };
    let median = number(median)?;
    anyhow::ensure!(low <= median && median <= high, "{median} lies outside of {range}");
    Ok(Some(Spread { low, median, high }))
}

impl Found {
    fn is_of(&self, other: &Self) -> bool {
        let name = |found: &Self| (found.scenario.clone(), found.variant.clone(), found.subject.clone());
        name(self) == name(other)
    }

    pub(super) fn figure(&self, name: &str) -> Option<Spread> {
        self.figures.iter().find(|(other, _)| other == name).map(|(_, spread)| *spread)
    }

    pub(super) fn ratio(&self, reference: &str) -> Option<Spread> {
        self.ratios.iter().find(|(other, _)| other == reference).map(|(_, spread)| *spread)
    }
}

/// Each value once, in the order in which they came first.
pub(super) fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::plot) fn of(lines: &[&str]) -> Vec<Found> {
        let mut all = Vec::new();
        add(&mut all, Path::new("sample.jsonl"), &lines.join("\n")).expect("lines");
        all
    }

    const LINE: &str = r#"{"scenario":"drain","variant":"100 B","subject":"ours","events":10,"rounds":2,"left_out":0,
        "rate":2.0,"rate_range":[1.0,3.0],"p99_ms":1.5,"p99_ms_range":[1.5,1.5],"cpu_us":null,"cpu_us_range":[null,null],
        "ratios":{"bare":0.5},"ratios_range":{"bare":[0.4,0.6]}}"#;

    fn spread(low: f64, median: f64, high: f64) -> Spread {
        Spread { low, median, high }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let found = of(&[&LINE.replace('\n', " ")]).remove(0);
        assert_eq!(found.rate, Some(spread(1.0, 2.0, 3.0)));
        assert_eq!((found.cpu_us, found.rss_mib), (None, None));
        assert_eq!(found.figure("p99_ms"), Some(spread(1.5, 1.5, 1.5)));
        assert_eq!(found.ratio("bare"), Some(spread(0.4, 0.5, 0.6)));
    }

    #[test]
    fn percentiles_are_in_their_order() {
        let found = of(&[
            r#"{"scenario":"latency","variant":"1/s","subject":"ours","p999_ms":3,"p999_ms_range":[3,3],"p99_ms":2,"p99_ms_range":[2,2],"p50_ms":1,"p50_ms_range":[1,1]}"#,
        ]);
        let names: Vec<&str> = found[0].figures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["p50_ms", "p99_ms", "p999_ms"]);
    }

    #[test]
    fn what_was_measured_again_replaces_what_was_before() {
        let line = LINE.replace('\n', " ");
        let found = of(&[&line, "", &line.replace("ours", "bare"), &line.replace("2.0", "2.5")]);
        assert_eq!(found.iter().map(|found| found.subject.as_str()).collect::<Vec<_>>(), ["ours", "bare"]);
        assert_eq!(found[0].rate, Some(spread(1.0, 2.5, 3.0)));
    }

    #[test]
    fn a_malformed_line_is_named() {
        let line = LINE.replace('\n', " ");
        for (bad, problem) in [
            ("{", "EOF"),
            ("7", "invalid type"),
            (r#"{"scenario":"drain","variant":1}"#, "\"variant\" is no text"),
            (&line.replace("[1.0,3.0]", "[1.0]"), "[1.0] is no range"),
            (&line.replace("[1.0,3.0]", "[1.0,1e300]"), "1e+300 is no figure that was measured"),
            (&line.replace("[1.0,3.0]", "[3.0,3.0]"), "2 lies outside of [3.0,3.0]"),
            (&line.replace("[1.0,3.0]", "[-1.0,3.0]"), "a rate below 0"),
            (&line.replace("\"rate\":2.0", "\"rate\":\"fast\""), "\"fast\" is no number"),
            (&line.replace("\"rate\":2.0,", ""), "\"rate_range\" without \"rate\""),
            (&line.replace("{\"bare\":[0.4,0.6]}", "{}"), "no range of the ratio to \"bare\""),
        ] {
            let text = format!("{line}\n\n{bad}\n");
            let error = add(&mut Vec::new(), Path::new("a.jsonl"), &text).expect_err(bad);
            let said = format!("{error:#}");
            assert!(said.starts_with("a.jsonl:3: ") && said.contains(problem), "{said}");
        }
    }
}
