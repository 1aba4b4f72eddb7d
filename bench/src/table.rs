//! The table of a scenario: medians with their range, and ours over each reference.

use crate::measure::Run;

/// The runs of one subject.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Run>,
}

/// Prints a row a subject, then the ratios of the first to each other, pair by pair.
#[allow(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn print(events: u64, rows: &[Row]) {
    println!("{:<28}{:>26}{:>22}{:>12}", "", "events/s", "CPU µs an event", "peak MiB");
    for row in rows {
        let rate = spread(row, |run| events as f64 / run.wall.as_secs_f64());
        let cpu = spread(row, |run| run.cpu.as_secs_f64() * 1e6 / events as f64);
        let peak = spread(row, |run| run.peak_kib as f64 / 1024.0);
        println!(
            "{:<28}{:>26}{:>22}{:>12.0}",
            row.name,
            format!("{:.0} [{:.0}-{:.0}]", rate.1, rate.0, rate.2),
            format!("{:.2} [{:.2}-{:.2}]", cpu.1, cpu.0, cpu.2),
            peak.1
        );
    }
    let Some((ours, references)) = rows.split_first() else { return };
    for reference in references {
        let pairs = ours.runs.iter().zip(&reference.runs);
        let mut ratios: Vec<f64> = pairs.map(|(a, b)| b.wall.as_secs_f64() / a.wall.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        let (low, median, high) = (ratios.first(), ratios.get(ratios.len() / 2), ratios.last());
        if let (Some(low), Some(median), Some(high)) = (low, median, high) {
            println!("rate of {} / {}: {median:.2} [{low:.2}-{high:.2}]", ours.name, reference.name);
        }
    }
}

/// Least, median and most.
fn spread(row: &Row, figure: impl Fn(&Run) -> f64) -> (f64, f64, f64) {
    let mut figures: Vec<f64> = row.runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(figures.len() / 2), at(figures.len().saturating_sub(1)))
}
