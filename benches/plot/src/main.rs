//! Draws what the bench `scale` prints: cost against size.
//!
//!     cargo bench --bench scale | cargo run -p qmonitor-plot > docs/scale.svg
//!
//! There is a panel for each thing that there were many of. Both axes are
//! logarithmic: a cost that does not depend on the size is a level line, and one
//! that grows with it rises by a decade in each decade.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 720);
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 3] = [
    RGBColor(0x1f, 0x5f, 0xa8),
    RGBColor(0xc4, 0x4e, 0x13),
    RGBColor(0x2b, 0x7a, 0x3d),
];

/// What was done with one of many, and its points: how many, microseconds.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Panel {
    of: String,
    lines: Vec<Line>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let panels = read(std::io::stdin().lines())?;
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    // The same scale everywhere, so that panels can be compared.
    let points = || panels.iter().flat_map(|p| &p.lines).flat_map(|l| &l.points);
    let sizes = decades(points().map(|(size, _)| *size));
    let costs = decades(points().map(|(_, cost)| *cost));
    // Room for the names of the lines.
    let costs = costs.start..costs.end * 10.0;
    let areas = root.split_evenly((panels.len().div_ceil(2), 2));
    for (panel, area) in panels.iter().zip(&areas) {
        panel.draw(area, sizes.clone(), costs.clone())?;
    }
    root.present()?;
    drop((areas, root));
    print!("{svg}");
    Ok(())
}

/// Lines such as `objects  object-add, -del  1000  16.2`; others are left out.
fn read(input: impl Iterator<Item = std::io::Result<String>>) -> std::io::Result<Vec<Panel>> {
    let mut panels: Vec<Panel> = Vec::new();
    for text in input {
        let text = text?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [of, name @ .., size, cost] = &words[..] else {
            continue;
        };
        let (Ok(size), Ok(cost)) = (size.parse(), cost.parse()) else {
            continue;
        };
        let (of, name) = ((*of).to_owned(), name.join(" "));
        let panel = find_or_add(&mut panels, |p| p.of == of, || Panel::new(of.clone()));
        let line = find_or_add(
            &mut panel.lines,
            |l| l.name == name,
            || Line::new(name.clone()),
        );
        line.points.push((size, cost));
    }
    Ok(panels)
}

fn find_or_add<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl Fn() -> T) -> &mut T {
    let at = all.iter().position(is).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    &mut all[at]
}

/// The whole powers of ten around some values.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut least, mut most) = (f64::MAX, f64::MIN);
    for value in values {
        (least, most) = (least.min(value), most.max(value));
    }
    10_f64.powf(least.log10().floor())..10_f64.powf(most.log10().ceil())
}

impl Line {
    fn new(name: String) -> Line {
        Line {
            name,
            points: Vec::new(),
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Panel {
    fn new(of: String) -> Panel {
        Panel {
            of,
            lines: Vec::new(),
        }
    }

    fn draw(
        &self,
        area: &Area<'_>,
        sizes: Range<f64>,
        costs: Range<f64>,
    ) -> Result<(), Box<dyn Error>> {
        let mut chart = ChartBuilder::on(area)
            .caption(format!("one of many {}", self.of), (FONT, 22))
            .margin(12)
            .margin_right(44)
            .x_label_area_size(28)
            .y_label_area_size(72)
            .build_cartesian_2d(sizes.log_scale(), costs.log_scale())?;
        chart
            .configure_mesh()
            .bold_line_style(BLACK.mix(0.15))
            .light_line_style(TRANSPARENT)
            .label_style((FONT, 17))
            .x_label_formatter(&|size| format!("{size}"))
            .y_label_formatter(&|cost| format!("{cost} us"))
            .draw()?;
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let points = || line.points.iter().copied();
            let marks = points().map(|point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(marks)?;
            chart
                .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font((FONT, 17))
            .draw()?;
        Ok(())
    }
}
