//! The figures as Markdown: a table a scenario, a row a subject in a variant.

use std::fmt::Write as _;

use super::result::{Found, distinct};
use crate::report::Spread;

/// Ends with a newline, if there is anything.
pub(super) fn markdown(found: &[Found]) -> String {
    let scenarios = distinct(found.iter().map(|found| found.scenario.as_str()));
    let tables = scenarios.into_iter().map(|scenario| {
        let rows: Vec<&Found> = found.iter().filter(|found| found.scenario == scenario).collect();
        table(scenario, &rows)
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// What a column shows of a row, and how.
struct Column<'a> {
    name: String,
    is_number: bool,
    cell: Box<dyn Fn(&Found) -> String + 'a>,
}

impl<'a> Column<'a> {
    fn text(name: &str, cell: impl Fn(&Found) -> String + 'a) -> Self {
        Self { name: name.to_owned(), is_number: false, cell: Box::new(cell) }
    }

    fn number(name: &str, digits: usize, figure: impl Fn(&Found) -> Option<Spread> + 'a) -> Self {
        let cell = move |found: &Found| cell(figure(found), digits);
        Self { name: name.to_owned(), is_number: true, cell: Box::new(cell) }
    }
}

fn table(scenario: &str, found: &[&Found]) -> String {
    let mut columns = vec![
        Column::text(scenario, |found| found.variant.clone()),
        Column::text("subject", |found| found.subject.clone()),
        Column::number("events/s", 0, |found| found.rate),
        Column::number("CPU µs an event", 2, |found| found.cpu_us),
        Column::number("peak MiB", 0, |found| found.rss_mib),
    ];
    for name in distinct(found.iter().flat_map(|found| found.figures.iter().map(|(name, _)| name.as_str()))) {
        columns.push(Column::number(&name.replace('_', " "), 2, move |found| found.figure(name)));
    }
    columns.push(Column::text("ratios", ratios));
    // A column in which nobody has anything says nothing.
    columns.retain(|column| found.iter().any(|found| !(column.cell)(found).is_empty()));
    let mut text = String::new();
    row(&mut text, columns.iter().map(|column| column.name.clone()));
    row(&mut text, columns.iter().map(|column| if column.is_number { "---:" } else { "---" }.to_owned()));
    for found in found {
        row(&mut text, columns.iter().map(|column| (column.cell)(found)));
    }
    text
}

fn row(text: &mut String, cells: impl Iterator<Item = String>) {
    for cell in cells {
        let _ = write!(text, "| {} ", cell.replace('|', "\\|"));
    }
    text.push_str("|\n");
}

fn ratios(found: &Found) -> String {
    let ratio = |(reference, spread): &(String, Spread)| format!("{} of {reference}", cell(Some(*spread), 2));
    found.ratios.iter().map(ratio).collect::<Vec<_>>().join("<br>")
}

fn cell(spread: Option<Spread>, digits: usize) -> String {
    let Some(Spread { low, median, high }) = spread else { return String::new() };
    let shown = |figure| grouped(figure, digits);
    format!("{} [{}–{}]", shown(median), shown(low), shown(high))
}

/// 1,234,567.
fn grouped(figure: f64, digits: usize) -> String {
    let text = format!("{figure:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut shown = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if shown.ends_with(|last: char| last.is_ascii_digit()) && left.is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::of;
    use super::*;

    #[test]
    fn each_scenario_has_a_table_with_the_columns_that_it_fills() {
        let found = of(&[
            r#"{"scenario":"drain","variant":"100 B","subject":"ours","rate":1234567.4,"rate_range":[999,2000000],"rss_mib":39.5,"rss_mib_range":[39,40],"ratios":{"a":1,"b|c":0.5},"ratios_range":{"a":[0.9,1.1],"b|c":[0.5,0.5]}}"#,
            r#"{"scenario":"drain","variant":"100 B","subject":"a","rate":1000,"rate_range":[1000,1000]}"#,
            r#"{"scenario":"latency","variant":"1000/s","subject":"ours","p50_ms":1.25,"p50_ms_range":[1,2]}"#,
        ]);
        let expected = "\
| drain | subject | events/s | peak MiB | ratios |
| --- | --- | ---: | ---: | --- |
| 100 B | ours | 1,234,567 [999–2,000,000] | 40 [39–40] | 1.00 [0.90–1.10] of a<br>0.50 [0.50–0.50] of b\\|c |
| 100 B | a | 1,000 [1,000–1,000] |  |  |

| latency | subject | p50 ms |
| --- | --- | ---: |
| 1000/s | ours | 1.25 [1.00–2.00] |
";
        assert_eq!(markdown(&found), expected);
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(grouped(12.345, 2), "12.35");
        assert_eq!(grouped(-123.0, 0), "-123");
        assert_eq!(grouped(1000.0, 1), "1,000.0");
    }
}
