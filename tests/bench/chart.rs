//! A picture of throughput and latency over the number of clients.

use std::{ops::Range, path::Path};

use plotters::{
    coord::{CoordTranslate, ranged1d::ValueFormatter},
    prelude::*,
    style::RGBColor,
};

/// One line of a panel: its name and its points, clients and value.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (1_000, 420);
const COLOURS: [RGBColor; 4] = [
    RGBColor(0x1f, 0x6f, 0xb4),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0x1b, 0x9e, 0x77),
    RGBColor(0x75, 0x70, 0xb3),
];

/// Draws acknowledged sends a second on the left and milliseconds on the right, both on logarithmic scales.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(
    path: &Path,
    rates: &[Line],
    latencies: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let halves = area.split_evenly((1, 2));
    panel(&halves[0], "acknowledged sends a second", rates)?;
    panel(&halves[1], "milliseconds to the answer", latencies)?;
    area.present()?;
    Ok(())
}

fn panel<Error: std::error::Error + Send + Sync + 'static>(
    area: &DrawingArea<impl DrawingBackend<ErrorType = Error>, plotters::coord::Shift>,
    title: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let clients = range(points().map(|point| point.0));
    let values = range(points().map(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(clients.log_scale(), values.log_scale())?;
    mesh(&mut chart)?;
    for (line, colour) in lines.iter().zip(COLOURS) {
        let style = colour.stroke_width(2);
        let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        let name = drawn.label(line.name);
        name.legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        let dots = line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}

fn mesh<Backend, X, Y>(
    chart: &mut ChartContext<'_, Backend, Cartesian2d<X, Y>>,
) -> Result<(), DrawingAreaErrorKind<Backend::ErrorType>>
where
    Backend: DrawingBackend,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Cartesian2d<X, Y>: CoordTranslate,
{
    chart
        .configure_mesh()
        .x_desc("clients, one call outstanding each")
        .x_label_formatter(&|clients| format!("{clients:.0}"))
        .y_label_formatter(&|value| label(*value))
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 13))
        .draw()
}

fn label(value: f64) -> String {
    if value >= 1_000.0 { format!("{:.0},000", value / 1_000.0) } else { format!("{value}") }
}

/// Around all of these, with some air.
fn range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let (least, most) =
        values.fold((f64::MAX, f64::MIN), |(least, most), one| (least.min(one), most.max(one)));
    least / 1.3..most * 1.6
}
