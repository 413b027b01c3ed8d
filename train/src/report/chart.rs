//! Lines over one axis as SVG: measurements and training runs side by side. Readable on light and dark ground.
//!
//! A scale is linear or logarithmic. Where the first line has few points, at round numbers, those are the marks of the axis;
//! otherwise 1, 2 or 5 times a power of ten.

use super::short;
use std::fmt::Write;

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What it is; lines without a name are not in the list.
    pub name: String,
    /// (x, y), x ascending; positive where the scale is logarithmic.
    pub points: Vec<[f64; 2]>,
    /// Which of the colours; several lines may share one.
    pub colour: usize,
}

/// A scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Zero,
    /// From the smallest value.
    Linear,
    /// Logarithmic.
    Log,
}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// What it says.
    pub name: &'a str,
    /// How values become places.
    pub scale: Scale,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 6] = ["#1f8a99", "#c26a00", "#8257c9", "#3d8b37", "#b3434f", "#6b7a00"];
/// Points of a line that are drawn as dots.
const MOST_DOTS: usize = 24;
/// Points of the first line that are marks of the axis.
const MOST_MARKS: usize = 8;

/// A range of values and its places on the picture.
struct Span {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Span {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, [from, to]: [f64; 2]) -> Span {
        let usable = values.filter(|v| v.is_finite() && (scale != Scale::Log || *v > 0.0));
        let (low, high) = usable.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (1.0, 1.0) } else { (low, high) };
        let (low, high) = match scale {
            Scale::Zero => (0.0, if high > 0.0 { 1.05 * high } else { 1.0 }),
            Scale::Linear if high > low => (low - 0.04 * (high - low), high + 0.04 * (high - low)),
            Scale::Linear => (low - 0.5, high + 0.5),
            Scale::Log if high > low => (low, high),
            Scale::Log => (low / 2.0, high * 2.0),
        };
        Span { scale, low, high, from, to }
    }
    fn place(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Log => (value.max(self.low * 1e-9) / self.low).ln() / (self.high / self.low).ln(),
            _ => (value - self.low) / (self.high - self.low),
        };
        self.from + part * (self.to - self.from)
    }
    /// Round numbers inside.
    fn marks(&self) -> Vec<f64> {
        if self.scale == Scale::Log {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let all = decades.flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)));
            let inside: Vec<f64> = all.filter(|v| (self.low..=self.high).contains(v)).collect();
            let every = inside.len().div_ceil(MOST_MARKS).max(1);
            return inside.into_iter().step_by(every).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|v| *v <= self.high).collect()
    }
}

/// All lines in one picture.
pub fn chart(x: Axis<'_>, y: Axis<'_>, lines: &[Line]) -> String {
    let values = |axis: usize| lines.iter().flat_map(move |line| line.points.iter().map(move |p| p[axis]));
    let across = Span::new(x.scale, values(0), [MARGIN, WIDTH - MARGIN]);
    let up = Span::new(y.scale, values(1), [HEIGHT - MARGIN, MARGIN]);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#777\">\n"
    );
    let text = |out: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str| {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
    };
    for value in up.marks() {
        let (at, right) = (up.place(value), WIDTH - MARGIN);
        let _ =
            writeln!(out, "<path d=\"M{MARGIN} {at:.1}H{right}\" stroke=\"#999\" stroke-opacity=\".35\"/>");
        text(&mut out, [MARGIN - 6.0, at + 4.0], "end", &label(value));
    }
    let first = lines.first().map_or(&[][..], |line| &line.points);
    let round = |p: &[f64; 2]| label(p[0]).parse() == Ok(p[0]);
    let own = !first.is_empty() && first.len() <= MOST_MARKS && first.iter().all(round);
    let marks = if own { first.iter().map(|p| p[0]).collect() } else { across.marks() };
    for value in marks {
        text(&mut out, [across.place(value), HEIGHT - MARGIN + 18.0], "middle", &label(value));
    }
    let mut named = 0.0;
    for line in lines {
        let colour = COLOURS[line.colour % COLOURS.len()];
        let places: Vec<[f64; 2]> =
            line.points.iter().map(|p| [across.place(p[0]), up.place(p[1])]).collect();
        let path: Vec<String> = places.iter().map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
        if !path.is_empty() {
            let _ = writeln!(
                out,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join("L")
            );
        }
        for [x, y] in places.iter().filter(|_| places.len() <= MOST_DOTS) {
            let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
        }
        if !line.name.is_empty() {
            let (right, at) = (WIDTH - MARGIN, MARGIN - 24.0 + 17.0 * named);
            let name = line.name.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(
                out,
                "<text x=\"{right}\" y=\"{at}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>"
            );
            named += 1.0;
        }
    }
    text(&mut out, [MARGIN - 44.0, 24.0], "start", y.name);
    text(&mut out, [WIDTH / 2.0, HEIGHT - 14.0], "middle", x.name);
    out + "</svg>\n"
}

/// A mark in as few characters as it needs.
fn label(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        a if !(1e-3..1e5).contains(&a) => format!("{value:.0e}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => short(value).trim_end_matches('0').into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(scales: [Scale; 2], points: Vec<[f64; 2]>) -> String {
        let line = Line { name: "a<b".into(), points, colour: 0 };
        let [x, y] = scales.map(|scale| Axis { name: "axis", scale });
        chart(x, y, &[line])
    }

    #[test]
    fn higher_values_are_higher_in_the_picture_and_one_point_is_enough() {
        for scales in [[Scale::Log, Scale::Zero], [Scale::Linear, Scale::Linear], [Scale::Log, Scale::Log]] {
            let svg = picture(scales, vec![[1.0, 10.0], [8.0, 40.0]]);
            let ys: Vec<f64> = svg
                .lines()
                .filter_map(|line| line.split_once("cy=\"")?.1.split('"').next()?.parse().ok())
                .collect();
            assert!(ys.len() == 2 && ys[1] < ys[0], "{svg}");
            assert!(svg.contains("a&lt;b"));
            for points in [vec![[4.0, 7.0]], vec![[0.0, 0.0]], Vec::new()] {
                let svg = picture(scales, points);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn marks_are_round_and_inside() {
        let span = |scale, low, high| Span::new(scale, [low, high].into_iter(), [0.0, 1.0]).marks();
        assert_eq!(span(Scale::Zero, 3.0, 40.0), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(span(Scale::Log, 1.0, 30.0), [1.0, 2.0, 5.0, 10.0, 20.0]);
        assert!(span(Scale::Log, 1e10, 1e20).len() <= MOST_MARKS);
        assert_eq!([0.0, 0.25, 20.0, 3e9, 1e-5].map(label), ["0", "0.25", "20", "3e9", "1e-5"]);
    }
}
