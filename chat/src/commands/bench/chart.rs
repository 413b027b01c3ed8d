//! A line chart as SVG: a few lines over one axis of powers of two. Readable on light and dark ground.

use std::fmt::Write;

/// One line.
pub struct Line<'a> {
    /// What it is.
    pub name: &'a str,
    /// (x, y), x ascending and positive.
    pub points: Vec<[f64; 2]>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 3] = ["#1f8a99", "#c26a00", "#8257c9"];

/// All lines in one picture, from 0 upwards.
pub fn chart(y_name: &str, x_name: &str, lines: &[Line<'_>]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let log = |x: f64| x.max(1e-9).log2();
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(log(p[0])), h.max(log(p[0]))));
    let top = points().fold(0.0, |m: f64, p| m.max(p[1])) * 1.05;
    let x = |v: f64| MARGIN + (log(v) - low) / (high - low).max(1e-9) * (WIDTH - 2.0 * MARGIN);
    let y = |v: f64| HEIGHT - MARGIN - v / top.max(1e-9) * (HEIGHT - 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#777\">\n"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let (at, right) = (y(value), WIDTH - MARGIN);
        let _ =
            writeln!(out, "<path d=\"M{MARGIN} {at:.1}H{right}\" stroke=\"#999\" stroke-opacity=\".35\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
            MARGIN - 6.0,
            at + 4.0
        );
    }
    for [v, _] in lines.first().map_or(&[][..], |line| &line.points) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{v}</text>",
            x(*v),
            HEIGHT - MARGIN + 18.0
        );
    }
    for ((line, colour), i) in lines.iter().zip(COLOURS).zip(0..) {
        let path: Vec<String> =
            line.points.iter().map(|p| format!("{:.1} {:.1}", x(p[0]), y(p[1]))).collect();
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            path.join("L")
        );
        for p in &line.points {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                x(p[0]),
                y(p[1])
            );
        }
        let at = MARGIN + 18.0 * f64::from(i);
        let _ =
            writeln!(out, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{}</text>", MARGIN + 12.0, line.name);
    }
    let _ = writeln!(out, "<text x=\"{}\" y=\"24\">{y_name}</text>", MARGIN - 40.0);
    let (middle, below) = (WIDTH / 2.0, HEIGHT - 14.0);
    let _ =
        writeln!(out, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{x_name}</text>\n</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_values_are_higher_in_the_picture_and_one_point_is_enough() {
        let picture = |points: Vec<[f64; 2]>| chart("y", "x", &[Line { name: "a", points }]);
        let svg = picture(vec![[1.0, 10.0], [8.0, 40.0]]);
        let ys: Vec<f64> = svg
            .lines()
            .filter_map(|line| line.split_once("cy=\"")?.1.split('"').next()?.parse().ok())
            .collect();
        assert!(ys.len() == 2 && ys[1] < ys[0], "{svg}");
        assert!(!picture(vec![[4.0, 7.0]]).contains("NaN"));
        assert!(!picture(Vec::new()).contains("NaN"));
    }
}
