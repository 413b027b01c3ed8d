//! The roofline as a picture: arithmetic intensity against speed, both logarithmic, as SVG.
//!
//! One dot per kernel (its largest shape in f32). A kernel that computes nothing has no intensity and is left to the
//! table. Labels look for a free place near their dot, the nearest first; one that had to move away gets a thin line. Colours
//! follow the reader's light or dark scheme.

use crate::svg::{STYLE, escaped, line, text};
use serde_json::Value;
use std::fmt::Write;

const WIDTH: f64 = 1180.0;
const HEIGHT: f64 = 760.0;
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [64.0, 54.0, 24.0, 52.0];
/// Of a label's letter and line.
const LETTER: [f64; 2] = [6.1, 11.0];

/// A kernel in the picture.
#[derive(Clone, Debug, PartialEq)]
struct Dot {
    name: String,
    /// FLOP per byte, and GFLOP/s.
    at: [f64; 2],
    compute_bound: bool,
    title: String,
}

/// Both axes: what is shown, from where to where.
struct Axes {
    x: [f64; 2],
    y: [f64; 2],
}

impl Axes {
    fn place(&self, at: [f64; 2]) -> [f64; 2] {
        let part = |v: f64, [lo, hi]: [f64; 2]| (v / lo).ln() / (hi / lo).ln();
        let [left, top, right, bottom] = MARGIN;
        [
            left + part(at[0], self.x) * (WIDTH - left - right),
            HEIGHT - bottom - part(at[1], self.y) * (HEIGHT - top - bottom),
        ]
    }
}

/// The picture of what `nanochat bench kernels --json` printed.
pub fn svg(all: &Value, date: &str) -> String {
    let dots = dots(all);
    let peak = |key: &str| all["roofs"].as_array().and_then(|roofs| roofs.last()?[key].as_f64());
    let f32 = peak("f32_gflops").unwrap_or(f64::NAN);
    let range = |i: usize, more: &[f64]| {
        let values = dots.iter().map(|d| d.at[i]).chain(more.iter().copied()).filter(|v| v.is_finite());
        let (lo, hi) = values.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
        [lo / if i == 0 { 3.0 } else { 1.6 }, hi * 1.6] // room for names at the left
    };
    let top = peak("bf16_gflops").unwrap_or(f32);
    let axes = Axes { x: range(0, &[0.1, 100.0]), y: range(1, &[top]) };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\n\
         <style>{STYLE}</style>\n<rect class=\"bg\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let machine = all["machine"].as_str().unwrap_or("?");
    let head = format!("Kernels under the roof: {machine}, {} threads, f32, {date}", all["threads"]);
    text(&mut out, "t", [MARGIN[0], 24.0], "start", &head);
    text(&mut out, "a", [WIDTH / 2.0, HEIGHT - 10.0], "middle", "operations per byte moved");
    text(&mut out, "a", [MARGIN[0], 44.0], "start", "GFLOP/s   (blue: bound by memory, red: by arithmetic)");
    grid(&mut out, &axes);
    let mut taken: Vec<[f64; 4]> = Vec::new();
    roofs(&mut out, all, &axes, f32, &mut taken);
    let places: Vec<[f64; 2]> = dots.iter().map(|dot| axes.place(dot.at)).collect();
    taken.extend(places.iter().map(|[x, y]| [x - 4.0, y - 4.0, x + 4.0, y + 4.0]));
    for (dot, at) in dots.iter().zip(&places) {
        label(&mut out, dot, *at, &mut taken);
    }
    for (dot, [x, y]) in dots.iter().zip(&places) {
        let class = if dot.compute_bound { "c" } else { "m" };
        let title = escaped(&dot.title);
        let _ = writeln!(
            out,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"><title>{title}</title></circle>"
        );
    }
    out + "</svg>\n"
}

/// One dot per kernel: of its f32 shapes the one with the most work.
fn dots(all: &Value) -> Vec<Dot> {
    let mut dots: Vec<(f64, Dot)> = Vec::new();
    for row in all["kernels"].as_array().into_iter().flatten().filter(|row| row["dtype"] == "f32") {
        let number = |key: &str| row[key].as_f64().unwrap_or(0.0);
        let (flops, bytes, name) = (number("flops"), number("bytes"), row["kernel"].as_str().unwrap_or("?"));
        if !(flops > 0.0 && bytes > 0.0) {
            continue;
        }
        let percent = 100.0 * number("of_roof");
        let title = format!("{name} {}: {percent:.0} % of roof", row["label"].as_str().unwrap_or("?"));
        let at = [flops / bytes, number("gflops")];
        let dot = Dot { name: name.into(), at, compute_bound: row["bound"] == "compute", title };
        match dots.iter_mut().find(|(_, d)| d.name == name) {
            Some(old) if old.0 < flops => *old = (flops, dot),
            Some(_) => {}
            None => dots.push((flops, dot)),
        }
    }
    dots.into_iter().map(|(_, dot)| dot).collect()
}

/// Lines at 1, 2 and 5 times the powers of ten.
fn grid(out: &mut String, axes: &Axes) {
    let [left, top, right, bottom] = MARGIN;
    let ticks = |[lo, hi]: [f64; 2]| -> Vec<f64> {
        let all = (-3..5).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e)));
        all.filter(|v| *v >= lo && *v <= hi).collect()
    };
    for v in ticks(axes.x) {
        let [x, _] = axes.place([v, axes.y[0]]);
        line(out, "g", [x, top], [x, HEIGHT - bottom]);
        text(out, "", [x, HEIGHT - bottom + 15.0], "middle", &format!("{v}"));
    }
    for v in ticks(axes.y) {
        let [_, y] = axes.place([axes.x[0], v]);
        line(out, "g", [left, y], [WIDTH - right, y]);
        text(out, "", [left - 6.0, y + 3.5], "end", &format!("{v}"));
    }
}

/// The flat roofs of the dtypes, and a slope for the fastest and the slowest level of memory.
fn roofs(out: &mut String, all: &Value, axes: &Axes, f32: f64, taken: &mut Vec<[f64; 4]>) {
    let roof = all["roofs"].as_array().and_then(|roofs| roofs.last()).unwrap_or(&Value::Null);
    let bandwidth =
        |level: &Value| level["read"].as_f64().unwrap_or(0.0).max(level["triad"].as_f64().unwrap_or(0.0));
    let levels = roof["gb_per_s"].as_array().cloned().unwrap_or_default();
    let mut fastest = 0.0f64;
    for (class, level) in [("r d", levels.first()), ("r", levels.last())] {
        let Some(level) = level.filter(|level| bandwidth(level) > 0.0) else { continue };
        let speed = bandwidth(level);
        fastest = fastest.max(speed);
        // From where the slope enters the picture to where it meets the flat roof.
        let from = (axes.y[0] / speed).max(axes.x[0]);
        let (a, b) = (axes.place([from, from * speed]), axes.place([f32 / speed, f32]));
        line(out, class, a, b);
        let middle = [a[0] + 0.72 * (b[0] - a[0]), a[1] + 0.72 * (b[1] - a[1])];
        let angle = (b[1] - a[1]).atan2(b[0] - a[0]).to_degrees();
        let words = format!("{} MiB: {speed:.0} GB/s", level["mib"]);
        let _ = writeln!(
            out,
            "<text transform=\"translate({:.1} {:.1}) rotate({angle:.1})\" dy=\"-5\" text-anchor=\"middle\">{words}</text>",
            middle[0], middle[1]
        );
        // Labels keep away from the line and from its words.
        for step in 0..=60 {
            let part = step as f64 / 60.0;
            let [x, y] = [0, 1].map(|i| a[i] + part * (b[i] - a[i]));
            let words = if (part - 0.72).abs() < 0.12 { 15.0 } else { 0.0 };
            taken.push([x - 1.0, y - 1.0 - words, x + 1.0, y + 1.0]);
        }
    }
    let flats = [("f32", Some(f32), "r"), ("bf16 products", roof["bf16_gflops"].as_f64(), "r d")];
    for (name, speed, class) in flats {
        let Some(speed) = speed.filter(|speed| speed.is_finite()) else { continue };
        let (a, b) = (axes.place([f32 / fastest, speed]), axes.place([axes.x[1], speed]));
        line(out, class, a, b);
        let words = format!("{name}: {speed:.0} GFLOP/s");
        text(out, "", [b[0], b[1] - 5.0], "end", &words);
        taken.push([a[0], a[1] - 1.0, b[0], b[1] + 1.0]);
        taken.push([b[0] - LETTER[0] * words.len() as f64, b[1] - 16.0, b[0], b[1]]);
    }
}

/// A dot's name at the nearest free place, in rings of growing radius around it.
fn label(out: &mut String, dot: &Dot, [x, y]: [f64; 2], taken: &mut Vec<[f64; 4]>) {
    let width = LETTER[0] * dot.name.chars().count() as f64;
    let [left, top, right, bottom] = MARGIN;
    let rings = (0..40).flat_map(|ring| (0..24).map(move |step| (7.0 + 7.0 * ring as f64, step)));
    for (radius, step) in rings {
        let (sin, cos) = (step as f64 * std::f64::consts::TAU / 24.0).sin_cos();
        let [near, middle] = [x + radius * cos, y - radius * sin];
        let from = if cos >= -0.01 { near } else { near - width };
        let area = [from - 2.0, middle - LETTER[1] / 2.0, from + width + 2.0, middle + LETTER[1] / 2.0];
        let inside = area[0] > left && area[2] < WIDTH - right && area[1] > top && area[3] < HEIGHT - bottom;
        let free = |t: &[f64; 4]| area[2] < t[0] || t[2] < area[0] || area[3] < t[1] || t[3] < area[1];
        if !inside || !taken.iter().all(free) {
            continue;
        }
        if radius > 7.0 {
            line(out, "l", [x, y], [near, middle]);
        }
        text(out, "", [from, middle + 3.5], "start", &dot.name);
        taken.push(area);
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured() -> Value {
        let row = |kernel: &str, dtype: &str, flops: f64, bound: &str| {
            json!({ "kernel": kernel, "label": "d4 <x>", "dtype": dtype, "flops": flops, "bytes": 100.0, "gflops": flops / 100.0,
                    "bound": bound, "of_roof": 0.5 })
        };
        json!({
            "machine": "a machine", "threads": 2,
            "roofs": [{ "f32_gflops": 200.0, "bf16_gflops": 400.0, "gb_per_s": [{ "mib": 1, "read": 170.0, "triad": 150.0 }, { "mib": 256, "read": 20.0, "triad": 30.0 }] }],
            "kernels": [row("small", "f32", 25.0, "memory"), row("small", "f32", 50.0, "memory"), row("small", "bf16", 70.0, "memory"),
                        row("large", "f32", 5000.0, "compute"), row("copy", "f32", 0.0, "memory")],
        })
    }

    #[test]
    fn a_kernel_has_one_dot_for_its_largest_f32_shape_and_none_without_operations() {
        let dots = dots(&measured());
        let short: Vec<_> = dots.iter().map(|d| (&d.name[..], d.at, d.compute_bound)).collect();
        assert_eq!(short, [("small", [0.5, 0.5], false), ("large", [50.0, 50.0], true)]);
    }

    #[test]
    fn the_picture_has_every_dot_label_and_roof_and_is_well_formed() {
        let svg = svg(&measured(), "today");
        assert_eq!((svg.matches("<circle").count(), svg.matches("</circle>").count()), (2, 2));
        for part in [
            "small</text>",
            "large</text>",
            ">1 MiB: 170 GB/s",
            "256 MiB: 30 GB/s",
            "f32: 200 GFLOP/s",
            "bf16 products: 400",
            "&lt;x&gt;",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn axes_are_logarithmic() {
        let axes = Axes { x: [1.0, 100.0], y: [1.0, 100.0] };
        let ([x0, y0], [x1, y1], [x2, y2]) =
            (axes.place([1.0; 2]), axes.place([10.0; 2]), axes.place([100.0; 2]));
        assert!((x1 - (x0 + x2) / 2.0).abs() < 1e-9 && (y1 - (y0 + y2) / 2.0).abs() < 1e-9);
        assert!(x0 < x2 && y0 > y2);
    }

    #[test]
    fn labels_of_neighbours_do_not_overlap() {
        let (mut out, mut taken) = (String::new(), Vec::new());
        let dot =
            |name: &str| Dot { name: name.into(), at: [1.0; 2], compute_bound: false, title: String::new() };
        (0..20).for_each(|i| label(&mut out, &dot(&format!("kernel_{i}")), [500.0, 400.0], &mut taken));
        assert_eq!(taken.len(), 20);
        for (i, a) in taken.iter().enumerate() {
            assert!(
                taken[..i].iter().all(|b| a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1]),
                "{a:?}"
            );
        }
    }
}
