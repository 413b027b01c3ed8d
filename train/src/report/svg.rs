//! A curve as SVG: text that a browser draws, small enough to stand in the page itself.

use super::short;

/// Points of a curve beyond which neighbours are averaged.
const MOST_POINTS: usize = 400;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 24.0;

/// One curve with its axes. Nothing where there are no points.
pub fn curve(title: &str, points: &[(f64, f64)]) -> String {
    if points.is_empty() {
        return String::new();
    }
    let points = thinned(points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = points.iter().map(of);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if high > low { (low, high) } else { (low - 0.5, high + 0.5) }
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
    let x = |v: f64| LEFT + (v - x0) / (x1 - x0) * (WIDTH - LEFT - 8.0);
    let y = |v: f64| 22.0 + (y1 - v) / (y1 - y0) * (HEIGHT - BOTTOM - 22.0);
    let path: String = points.iter().map(|&(a, b)| format!("{:.1},{:.1} ", x(a), y(b))).collect();
    let floor = HEIGHT - BOTTOM;
    let label = |at_x: f64, at_y: f64, anchor: &str, text: &str| {
        format!("<text x=\"{at_x:.0}\" y=\"{at_y:.0}\" text-anchor=\"{anchor}\">{text}</text>")
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    out += &format!("<path d=\"M{LEFT} 22V{floor}H{}\" class=\"axis\"/>", WIDTH - 8.0);
    out += &label(LEFT, 14.0, "start", &format!("<tspan class=\"name\">{title}</tspan>"));
    out += &label(LEFT - 4.0, y(y1) + 4.0, "end", &short(y1));
    out += &label(LEFT - 4.0, y(y0) + 4.0, "end", &short(y0));
    out += &label(LEFT, HEIGHT - 8.0, "start", &format!("{x0:.0}"));
    out += &label(WIDTH - 8.0, HEIGHT - 8.0, "end", &format!("step {x1:.0}"));
    out + &format!("<polyline points=\"{}\" class=\"curve\"/></svg>", path.trim_end())
}

/// Averages of neighbours where there are too many points.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |of: &[(f64, f64)]| {
        let n = of.len() as f64;
        (of.iter().map(|p| p.0).sum::<f64>() / n, of.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(group).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_fit_their_frame_and_flat_ones_are_drawn() {
        let steps: Vec<(f64, f64)> = (0..5000).map(|i| (f64::from(i), 5.0 - f64::from(i) * 1e-3)).collect();
        let svg = curve("loss", &steps);
        let list = svg.split("points=\"").nth(1).and_then(|s| s.split('"').next()).unwrap();
        let points: Vec<Vec<f64>> =
            list.split(' ').map(|p| p.split(',').map(|v| v.parse().unwrap()).collect()).collect();
        assert!(points.len() <= MOST_POINTS);
        assert!(points.iter().all(|p| (LEFT..=WIDTH).contains(&p[0]) && (0.0..=HEIGHT).contains(&p[1])));
        assert!(points[0][1] < points[points.len() - 1][1], "a falling loss falls");
        assert!(!curve("flat", &[(0.0, 1.0), (1.0, 1.0)]).contains("NaN"));
        assert!(curve("none", &[]).is_empty());
    }
}
