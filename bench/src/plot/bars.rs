//! Events a second: a bar a subject, a group of bars a variant.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::result::{Found, distinct};
use super::style::{
    Area, GRID, INK, LABEL, TOP, UNIT, colour, head, legend_width, picture, short, unit, write,
};

const BAR: u32 = 16;
const LINE: u32 = 14;
/// Of a group, at the least: its name stands below it.
const NARROWEST: u32 = 120;

/// # Errors
/// There is nothing to draw.
pub(super) fn draw(title: &str, found: &[Found]) -> anyhow::Result<String> {
    let subjects = distinct(found.iter().map(|found| found.subject.as_str()));
    let variants = distinct(found.iter().map(|found| found.variant.as_str()));
    let most = found.iter().filter_map(|found| found.rate).map(|rate| rate.high).fold(1.0, f64::max);
    let group = NARROWEST.max(subjects.len() as u32 * BAR + 24);
    let lines = variants.iter().map(|variant| variant.split(", ").count() as u32).max().unwrap_or(1);
    let width = (variants.len() as u32 * group + 100).max(legend_width(&subjects));
    picture((width, 420), |area| {
        head(area, title, &subjects)?;
        let (_, below) = area.split_vertically(TOP);
        let mut chart = ChartBuilder::on(&below)
            .margin_right(16)
            .margin_top(UNIT)
            .x_label_area_size(lines * LINE + 16)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..variants.len() as f64, 0.0..most * 1.06)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(8)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(("sans-serif", LABEL, &INK))
            .y_label_formatter(&|rate| short(*rate))
            .draw()?;
        unit(&below, "events/s")?;
        // As much of a group as its bars take, in the middle.
        let (plot, bar) = (chart.plotting_area(), f64::from(BAR) / f64::from(group));
        let left = (1.0 - bar * subjects.len() as f64) / 2.0;
        for (place, variant) in variants.iter().enumerate() {
            let bars = found.iter().filter(|found| found.variant == **variant);
            for (rate, subject) in bars.filter_map(|found| Some((found.rate?, &found.subject))) {
                let number = subjects.iter().position(|other| other == subject).unwrap_or_default();
                let x = place as f64 + left + bar * number as f64;
                let middle = x + bar / 2.0;
                plot.draw(&Rectangle::new(
                    [(x, 0.0), (x + bar * 0.9, rate.median)],
                    colour(number).filled(),
                ))?;
                plot.draw(&PathElement::new([(middle, rate.low), (middle, rate.high)], INK))?;
                if number == 0 {
                    let [foot, median, high] =
                        [0.0, rate.median, rate.high].map(|rate| plot.map_coordinate(&(middle, rate)));
                    // A short bar has it above its range.
                    let (colour, at) = if foot.1 - median.1 > 48 { (WHITE, foot) } else { (INK, high) };
                    upwards(area, &short(rate.median), at, colour)?;
                }
            }
            let (x, y) = plot.map_coordinate(&(place as f64 + 0.5, 0.0));
            for (line, part) in (0..).zip(variant.split(", ")) {
                write(area, part, (x, y + 7 + line * LINE as i32), LABEL, (HPos::Center, VPos::Top))?;
            }
        }
        Ok(())
    })
}

/// Ours alone says its figure, along its bar, where no other bar is in the way.
fn upwards(area: &Area<'_>, text: &str, at: (i32, i32), colour: RGBColor) -> anyhow::Result<()> {
    let upright = ("sans-serif", LABEL).into_font().transform(FontTransform::Rotate270);
    let style = upright.color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
    Ok(area.draw(&Text::new(text.to_owned(), (at.0 - 1, at.1 - 6), style))?)
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::of;
    use super::*;

    #[test]
    fn a_picture_has_its_labels_as_text_and_is_the_same_each_time() {
        let found = of(&[
            r#"{"scenario":"drain","variant":"100 B of text, none","subject":"service-b","rate":900000,"rate_range":[800000,950000]}"#,
            r#"{"scenario":"drain","variant":"100 B of text, none","subject":"kcat <x>","rate":1000000,"rate_range":[990000,1100000]}"#,
            r#"{"scenario":"drain","variant":"1024 B of json, zstd","subject":"service-b","rate":300000,"rate_range":[300000,300000]}"#,
        ]);
        let picture = draw("Draining", &found).expect("drawn");
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
        for label in [
            "Draining",
            "service-b",
            "kcat &lt;x&gt;",
            "100 B of text",
            "zstd",
            "events/s",
            "900 k",
            "1.00 M",
        ] {
            assert!(picture.contains(label), "no {label:?} in {picture}");
        }
        assert_eq!(picture, draw("Draining", &found).expect("drawn"));
    }

    #[test]
    fn the_largest_scenario_stays_small() {
        let line = |variant: usize, subject: usize| {
            format!(
                r#"{{"scenario":"drain","variant":"{variant} B of text, zstd","subject":"BaseConsumer, tuned {subject}","rate":{},"rate_range":[1,2000000]}}"#,
                123_456 * (subject + 1)
            )
        };
        let lines: Vec<String> =
            (0..8).flat_map(|variant| (0..6).map(move |subject| line(variant, subject))).collect();
        let found = of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(draw("Draining", &found).expect("drawn").len() < 30_000);
    }
}
