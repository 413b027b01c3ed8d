//! How the time of a training step grows with the length of rows and with depth, as a picture: two logarithmic panels, ours
//! and PyTorch's, and the FLOPs formula `6·(N − V·C) + 12·L·C·T` per token as a dashed line through our first point. A line
//! that runs beside the dashed one wastes nothing as the model grows.

use crate::svg::{STYLE, escaped, line, text};
use serde_json::Value;
use std::fmt::Write;

/// The models of these runs: token ids, where nothing else is said, and width per block.
const V: f64 = 4096.0;
const WIDTH_PER_BLOCK: f64 = 64.0;

/// A measured model.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// In words.
    pub name: String,
    /// What grows: T, or the depth.
    pub x: f64,
    /// By the formula.
    pub flops_per_token: f64,
    /// Milliseconds for 1000 tokens.
    pub ours: f64,
    /// As above.
    pub torch: f64,
}

/// The two series, lengths and depths, each with the name of what grows.
pub fn series(results: &[Value]) -> [(&'static str, Vec<Point>); 2] {
    [
        ("T, tokens in a row (depth 4)", points(results, "scaling.t", 4.0)),
        ("depth (T 512)", points(results, "scaling.d", 512.0)),
    ]
}

/// Those called `prefix` and a number; `other` is the size that does not grow.
fn points(results: &[Value], prefix: &str, other: f64) -> Vec<Point> {
    let lengths = prefix == "scaling.t";
    let point = |r: &Value| {
        let x: f64 = r["name"].as_str()?.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
        let (t, depth) = if lengths { (x, other) } else { (other, x) };
        let ms = |key: &str| Some(1e6 / r[key].as_f64()?);
        let (ours, torch) = (ms("ours_tokens_per_s")?, ms("torch_tokens_per_s")?);
        let name = format!("depth {depth}, T {t}");
        Some(Point { name, x, flops_per_token: flops_per_token(depth, V, t), ours, torch })
    };
    let mut points: Vec<Point> = results.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

/// Operations of training on one token, with `v` token ids and rows of `t`.
pub(crate) fn flops_per_token(depth: f64, v: f64, t: f64) -> f64 {
    let c = WIDTH_PER_BLOCK * depth;
    6.0 * (v * c + depth * 12.0 * c * c) + 12.0 * depth * c * t
}

/// The same for the current generation, of which three layers of four see a quarter of `t`, or 128 where that is more. Gates
/// are left out: they are less than a thousandth.
pub(crate) fn flops_per_token_in_windows(depth: f64, v: f64, t: f64) -> f64 {
    let short = (128.0 * (t / 512.0).ceil()).min(t);
    let long = (depth / 4.0).ceil();
    flops_per_token(depth, v, t) - 12.0 * WIDTH_PER_BLOCK * depth * (depth - long) * (t - short)
}

const WIDTH: f64 = 1180.0;
const HEIGHT: f64 = 460.0;
/// Top and bottom of both panels; left and right of each.
const PANEL_Y: [f64; 2] = [70.0, HEIGHT - 52.0];
const PANELS_X: [[f64; 2]; 2] = [[64.0, 570.0], [654.0, 1156.0]];

/// The picture; `None` unless both series have at least two points.
pub fn svg(results: &[Value]) -> Option<String> {
    let series = series(results);
    if series.iter().any(|(_, points)| points.len() < 2) {
        return None;
    }
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\n\
         <style>{STYLE}.o{{stroke:#0969da;stroke-width:1.6}}.p{{stroke:#cf222e;stroke-width:1.6}}</style>\n\
         <rect class=\"bg\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let machine = results.iter().find_map(|r| r["machine"].as_str()).unwrap_or("?");
    let head = format!("A training step of growing models: {machine}, V 4096, f32, 4096 tokens a step");
    text(&mut out, "t", [PANELS_X[0][0], 24.0], "start", &head);
    let legend = "ms per 1000 tokens   (blue: ours, red: PyTorch compiled, dashed: the FLOPs formula through our first point)";
    text(&mut out, "a", [PANELS_X[0][0], 48.0], "start", legend);
    for ((what, points), x) in series.iter().zip(PANELS_X) {
        panel(&mut out, what, points, x);
    }
    Some(out + "</svg>\n")
}

fn panel(out: &mut String, what: &str, points: &[Point], [left, right]: [f64; 2]) {
    let formula = |p: &Point| points[0].ours * p.flops_per_token / points[0].flops_per_token;
    let values = points.iter().flat_map(|p| [p.ours, p.torch, formula(p)]);
    let (lo, hi) = values.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
    let (y_range, x_range) = ([lo / 1.3, hi * 1.3], [points[0].x / 1.15, points[points.len() - 1].x * 1.15]);
    let part = |v: f64, [lo, hi]: [f64; 2]| (v / lo).ln() / (hi / lo).ln();
    let place = |x: f64, y: f64| {
        let [top, bottom] = PANEL_Y;
        [left + part(x, x_range) * (right - left), bottom - part(y, y_range) * (bottom - top)]
    };
    let ticks = (-2..6).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)));
    for v in ticks.filter(|v| *v >= y_range[0] && *v <= y_range[1]) {
        let [_, y] = place(x_range[0], v);
        line(out, "g", [left, y], [right, y]);
        text(out, "", [left - 6.0, y + 3.5], "end", &format!("{v}"));
    }
    for p in points {
        let [x, _] = place(p.x, lo);
        line(out, "g", [x, PANEL_Y[0]], [x, PANEL_Y[1]]);
        text(out, "", [x, PANEL_Y[1] + 15.0], "middle", &format!("{}", p.x));
    }
    text(out, "a", [(left + right) / 2.0, HEIGHT - 12.0], "middle", what);
    for pair in points.windows(2) {
        let ends = |f: &dyn Fn(&Point) -> f64| (place(pair[0].x, f(&pair[0])), place(pair[1].x, f(&pair[1])));
        for (class, (a, b)) in [("r d", ends(&formula)), ("p", ends(&|p| p.torch)), ("o", ends(&|p| p.ours))]
        {
            line(out, class, a, b);
        }
    }
    for p in points {
        for (class, whose, ms) in [("c", "PyTorch", p.torch), ("m", "ours", p.ours)] {
            let [x, y] = place(p.x, ms);
            let title = escaped(&format!("{}, {whose}: {ms:.1} ms per 1000 tokens", p.name));
            let _ = writeln!(
                out,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"><title>{title}</title></circle>"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::tests::result;

    #[test]
    fn points_are_sorted_by_what_grows_and_other_names_are_left_out() {
        let names =
            ["scaling.t4096.compiled", "scaling.t512.compiled", "scaling.threads1.compiled", "train.d4"];
        let [(_, lengths), (_, depths)] = series(&names.map(|name| result(name, 1000.0, 500.0)));
        assert_eq!(lengths.iter().map(|p| p.x).collect::<Vec<_>>(), [512.0, 4096.0]);
        assert!(depths.is_empty());
        assert_eq!((lengths[0].ours, lengths[0].torch), (1000.0, 2000.0));
    }

    #[test]
    fn the_picture_needs_two_points_of_each_and_has_a_dot_for_every_one() {
        let names = ["scaling.t512.c", "scaling.t1024.c", "scaling.d2.c", "scaling.d4.c"];
        let mut results = names.map(|name| result(name, 1000.0, 500.0)).to_vec();
        let svg = svg(&results).unwrap();
        assert_eq!((svg.matches("<circle").count(), svg.matches("stroke-dasharray").count()), (8, 1));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        results.pop();
        assert!(super::svg(&results).is_none());
    }
}
