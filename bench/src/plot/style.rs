//! What all pictures share. Their background is white: they are read on dark pages, too.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Okabe and Ito's colours, which the colour-blind can tell apart. The first one is ours.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
];
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);
pub(super) const TITLE: i32 = 17;
pub(super) const LABEL: i32 = 12;
/// Where a picture's own part begins, below the title and the legend.
pub(super) const TOP: i32 = 64;
/// How much room the vertical axis leaves above itself for its unit.
pub(super) const UNIT: u32 = 26;

pub(super) fn colour(place: usize) -> RGBColor {
    COLOURS[place % COLOURS.len()]
}

/// A picture of that size, drawn by `draw`.
///
/// # Errors
/// What `draw` says.
pub(super) fn picture(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(text)
}

/// Writes at a place: `from` says which point of the text lies there.
pub(super) fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    from: (HPos, VPos),
) -> anyhow::Result<()> {
    let style = ("sans-serif", size).into_font().color(&INK).pos(Pos::new(from.0, from.1));
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

/// The title, and below it what each colour means.
pub(super) fn head(area: &Area<'_>, title: &str, subjects: &[&str]) -> anyhow::Result<()> {
    write(area, title, (16, 12), TITLE, (HPos::Left, VPos::Top))?;
    let mut x = 16;
    for (place, subject) in subjects.iter().enumerate() {
        area.draw(&Rectangle::new([(x, 42), (x + 11, 53)], colour(place).filled()))?;
        write(area, subject, (x + 16, 48), LABEL, (HPos::Left, VPos::Center))?;
        // No font is at hand to measure it: letters of this size are about as wide.
        x += 16 + subject.chars().count() as i32 * 7 + 16;
    }
    Ok(())
}

/// What the vertical axis counts, above it: beside it, plotters would cut it off.
pub(super) fn unit(area: &Area<'_>, text: &str) -> anyhow::Result<()> {
    write(area, text, (16, 4), LABEL, (HPos::Left, VPos::Top))
}

/// How wide the legend is.
pub(super) fn legend_width(subjects: &[&str]) -> u32 {
    subjects.iter().map(|subject| 32 + subject.chars().count() as u32 * 7).sum::<u32>() + 32
}

/// 1.25 M, 812 k, 40.
pub(super) fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 999_500.0 => format!("{:.2} M", figure / 1e6),
        figure if figure >= 999.5 => format!("{:.0} k", figure / 1e3),
        figure => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_figures_are_short() {
        let shown = [12.4, 999.7, 999_499.0, 999_500.0, 1_256_000.0].map(short);
        assert_eq!(shown, ["12", "1 k", "999 k", "1.00 M", "1.26 M"]);
    }
}
