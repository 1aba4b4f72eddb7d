//! From publish to handled: a panel a percentile, a line a subject, over the rate.

use plotters::prelude::*;

use super::result::{Found, distinct};
use super::style::{Area, GRID, INK, LABEL, TOP, UNIT, colour, head, legend_width, picture, unit};

const PANELS: [(&str, &str); 3] =
    [("p50_ms", "p50, milliseconds"), ("p99_ms", "p99, milliseconds"), ("p999_ms", "p99.9, milliseconds")];
const PANEL: u32 = 310;

/// What all panels have in common, so that they can be compared.
struct Axes<'a> {
    subjects: Vec<&'a str>,
    rates: Vec<&'a str>,
    low: f64,
    high: f64,
}

/// # Errors
/// There is nothing to draw.
pub(super) fn draw(found: &[Found]) -> anyhow::Result<String> {
    let figures = || PANELS.iter().flat_map(|(name, _)| found.iter().filter_map(|found| found.figure(name)));
    let axes = Axes {
        subjects: distinct(found.iter().map(|found| found.subject.as_str())),
        rates: distinct(found.iter().map(|found| found.variant.as_str())),
        // A logarithm has no zero.
        low: figures().map(|figure| figure.low.max(0.01)).fold(f64::INFINITY, f64::min),
        high: figures().map(|figure| figure.high).fold(0.02, f64::max),
    };
    anyhow::ensure!(axes.low.is_finite(), "no line of the scenario latency has p50_ms, p99_ms or p999_ms");
    let width = (PANELS.len() as u32 * PANEL + 20).max(legend_width(&axes.subjects));
    picture((width, 420), |area| {
        head(area, "Latency from publish to handled, at a steady rate", &axes.subjects)?;
        let (_, below) = area.split_vertically(TOP);
        for (panel, (name, title)) in below.split_evenly((1, PANELS.len())).iter().zip(PANELS) {
            axes.panel(panel, name, title, found)?;
        }
        Ok(())
    })
}

impl Axes<'_> {
    fn panel(&self, area: &Area<'_>, name: &str, title: &str, found: &[Found]) -> anyhow::Result<()> {
        let last = self.rates.len() as f64 - 1.0;
        let mut chart = ChartBuilder::on(area)
            .margin_top(UNIT)
            .margin_right(16)
            .margin_bottom(8)
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d(-0.4..last + 0.4, (self.low * 0.7..self.high * 1.4).log_scale())?;
        let rate = |x: &f64| {
            let is_a_rate = (x - x.round()).abs() < 1e-6 && *x > -0.5;
            is_a_rate
                .then(|| self.rates.get(x.round() as usize))
                .flatten()
                .map_or_else(String::new, ToString::to_string)
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(self.rates.len())
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(("sans-serif", LABEL, &INK))
            .x_label_formatter(&rate)
            .y_label_formatter(&|ms| milliseconds(*ms))
            .x_desc("events published a second")
            .draw()?;
        unit(area, title)?;
        let plot = chart.plotting_area();
        for (number, subject) in self.subjects.iter().enumerate() {
            let mut medians = Vec::new();
            for (place, rate) in self.rates.iter().enumerate() {
                let of = found.iter().find(|found| found.variant == *rate && found.subject == *subject);
                let Some(figure) = of.and_then(|found| found.figure(name)) else { continue };
                // Beside each other, so that ranges do not hide one another.
                let x = place as f64 + (number as f64 - (self.subjects.len() as f64 - 1.0) / 2.0) * 0.06;
                plot.draw(&PathElement::new([(x, figure.low.max(0.01)), (x, figure.high)], colour(number)))?;
                plot.draw(&Circle::new((x, figure.median.max(0.01)), 4, colour(number).filled()))?;
                medians.push((x, figure.median.max(0.01)));
            }
            plot.draw(&PathElement::new(medians, colour(number).stroke_width(2)))?;
        }
        Ok(())
    }
}

fn milliseconds(ms: f64) -> String {
    if ms < 1.0 { format!("{}", (ms * 1000.0).round() / 1000.0) } else { format!("{ms:.0}") }
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::of;
    use super::*;

    #[test]
    fn each_percentile_has_its_panel_and_each_rate_its_place() {
        let line = |rate: u32, subject: &str, ms: f64| {
            format!(
                r#"{{"scenario":"latency","variant":"{rate}/s","subject":"{subject}","p50_ms":{ms},"p50_ms_range":[{ms},{ms}],"p99_ms":{0},"p99_ms_range":[{ms},{0}],"p999_ms":{1},"p999_ms_range":[{0},{1}]}}"#,
                ms * 4.0,
                ms * 30.0
            )
        };
        let lines = [
            line(1_000, "at-least-once", 1.1),
            line(1_000, "bare pair", 0.9),
            line(10_000, "at-least-once", 1.6),
            line(10_000, "bare pair", 1.2),
        ];
        let found = of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let picture = draw(&found).expect("drawn");
        for label in ["at-least-once", "bare pair", "1000/s", "10000/s", "p50", "p99.9", "milliseconds"] {
            assert!(picture.contains(label), "no {label:?} in {picture}");
        }
        assert!(picture.len() < 30_000);
        assert!(draw(&[]).is_err());
    }
}
