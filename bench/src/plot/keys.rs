//! How close the lanes come to what is possible, by the number of keys.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::result::Found;
use super::style::{GRID, INK, LABEL, TOP, UNIT, colour, head, picture, unit, write};
use crate::report::Spread;

/// # Errors
/// There is nothing to draw.
pub(super) fn draw(found: &[Found]) -> anyhow::Result<String> {
    let point = |found: &Found| -> Option<(f64, Spread)> {
        let keys: f64 = found.variant.split(' ').next()?.parse().ok()?;
        let over = found.ratio("bound").filter(|over| over.low >= 0.0);
        // "inf" and "0" are numbers, too, and have no place on the axis.
        over.filter(|_| (1.0..=1e9).contains(&keys)).map(|over| (keys, over))
    };
    let points: Vec<(f64, Spread)> = found.iter().filter_map(point).collect();
    anyhow::ensure!(!points.is_empty(), "no line of the scenario keys has a ratio to the bound");
    let most = points.iter().map(|(_, over)| over.high).fold(1.2, f64::max);
    let keys = points.iter().map(|(keys, _)| *keys).fold(10.0, f64::max);
    picture((640, 400), |area| {
        head(area, "Handlers of 0 to 5 ms, 100 under way", &["service-b: time taken / least time possible"])?;
        let (_, below) = area.split_vertically(TOP);
        let mut chart = ChartBuilder::on(&below)
            .margin_right(40)
            .margin_top(UNIT)
            .margin_bottom(8)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d((0.8..keys * 1.4).log_scale(), 0.0..most * 1.1)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(("sans-serif", LABEL, &INK))
            .x_label_formatter(&|keys| format!("{keys:.0}"))
            .y_label_formatter(&|over| format!("{over:.1}"))
            .x_desc("keys")
            .draw()?;
        unit(&below, "time / bound")?;
        chart.draw_series(LineSeries::new([(0.8, 1.0), (keys * 1.4, 1.0)], INK))?;
        let medians = points.iter().map(|(keys, over)| (*keys, over.median));
        chart.draw_series(LineSeries::new(medians, colour(0).stroke_width(2)))?;
        let plot = chart.plotting_area();
        for (keys, over) in &points {
            plot.draw(&PathElement::new([(*keys, over.low), (*keys, over.high)], INK))?;
            plot.draw(&Circle::new((*keys, over.median), 4, colour(0).filled()))?;
            let (x, y) = plot.map_coordinate(&(*keys, over.high));
            write(area, &format!("{:.2}", over.median), (x, y - 8), LABEL, (HPos::Center, VPos::Bottom))?;
        }
        let (x, y) = plot.map_coordinate(&(0.8, 1.0));
        write(area, "1.0: nothing is lost", (x + 6, y + 6), LABEL, (HPos::Left, VPos::Top))
    })
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::of;
    use super::*;

    #[test]
    fn each_number_of_keys_has_its_point() {
        let line = |keys: u32, ratio: f64| {
            format!(
                r#"{{"scenario":"keys","variant":"{keys} keys","subject":"service-b, lanes","ratios":{{"bound":{ratio}}},"ratios_range":{{"bound":[{ratio},{ratio}]}}}}"#
            )
        };
        let lines = [line(1, 1.21), line(100, 1.07), line(10_000, 1.02)];
        let found = of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let picture = draw(&found).expect("drawn");
        for label in ["1.21", "1.07", "1.02", "10000", "keys", "time / bound"] {
            assert!(picture.contains(label), "no {label:?} in {picture}");
        }
        assert!(draw(&[]).is_err());
    }
}
