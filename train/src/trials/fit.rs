//! Curves through results: where a loss is smallest, and how a quantity grows.
//!
//! Near its optimum a loss is a parabola in the logarithm of a size or a rate (Hoffmann et al. 2022, approach 2):
//! `y = a·u² + b·u + c`, u = ln x, with its lowest point at `u = −b/(2a)`. Sizes that are best for their compute grow as a power of
//! it: `y = k·xᵖ` is a line in logarithms. Both are least squares, solved exactly.

/// The lowest point of a fitted parabola.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lowest {
    /// Where.
    pub x: f64,
    /// The value there.
    pub y: f64,
}

/// What a series of results says of its best x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimum {
    /// Inside of what was tried.
    Inside(Lowest),
    /// The best one is the smallest or largest x that was tried: try further.
    Edge(Lowest),
}

/// The optimum of at least three points (x > 0, y) with different x; `None` of fewer.
pub fn optimum(points: &[[f64; 2]]) -> Option<Optimum> {
    let best = points.iter().copied().min_by(|a, b| a[1].total_cmp(&b[1]))?;
    let [a, b, c] = parabola(points)?;
    let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p[0]), h.max(p[0])));
    let u = -b / (2.0 * a);
    if a > 0.0 && u > low.ln() && u < high.ln() {
        return Some(Optimum::Inside(Lowest { x: u.exp(), y: a * u * u + b * u + c }));
    }
    Some(Optimum::Edge(Lowest { x: best[0], y: best[1] }))
}

/// Coefficients of `y = a·u² + b·u + c`, u = ln x, by least squares.
fn parabola(points: &[[f64; 2]]) -> Option<[f64; 3]> {
    // Around the mean of u the sums are well-conditioned.
    let mean = points.iter().map(|p| p[0].ln()).sum::<f64>() / points.len() as f64;
    let mut m = [[0.0; 4]; 3];
    for [x, y] in points {
        let u = x.ln() - mean;
        let row = [u * u, u, 1.0];
        for i in 0..3 {
            for j in 0..3 {
                m[i][j] += row[i] * row[j];
            }
            m[i][3] += row[i] * y;
        }
    }
    let [a, b, c] = solve(m)?;
    // a(u−μ)² + b(u−μ) + c
    Some([a, b - 2.0 * a * mean, a * mean * mean - b * mean + c])
}

/// Three linear equations, by elimination with the largest pivot; `None` if they do not decide.
fn solve(mut m: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for at in 0..3 {
        let pivot = (at..3).max_by(|a, b| m[*a][at].abs().total_cmp(&m[*b][at].abs()))?;
        m.swap(at, pivot);
        let divisor = Some(m[at][at]).filter(|d| d.abs() > 1e-12)?; // NaN goes here, too
        for row in (0..3).filter(|row| *row != at) {
            let factor = m[row][at] / divisor;
            for column in at..4 {
                m[row][column] -= factor * m[at][column];
            }
        }
    }
    Some([0, 1, 2].map(|i| m[i][3] / m[i][i]))
}

/// `(p, k)` of `y = k·xᵖ` through at least two points of positive numbers with different x.
pub fn power(points: &[[f64; 2]]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let logs: Vec<[f64; 2]> = points.iter().map(|p| p.map(f64::ln)).collect();
    let mean = |i: usize| logs.iter().map(|p| p[i]).sum::<f64>() / n;
    let (mx, my) = (mean(0), mean(1));
    let xx: f64 = logs.iter().map(|p| (p[0] - mx).powi(2)).sum();
    let xy: f64 = logs.iter().map(|p| (p[0] - mx) * (p[1] - my)).sum();
    let decides = xx > 1e-12 && xy.is_finite(); // one point, equal points or NaN do not
    let p = xy / xx;
    decides.then(|| (p, (my - p * mx).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_in_the_logarithm_is_found_exactly() {
        let y = |x: f64| 0.3 * (x / 0.02).ln().powi(2) + 1.5;
        let points: Vec<[f64; 2]> = [0.005, 0.01, 0.03, 0.08].map(|x| [x, y(x)]).to_vec();
        let Some(Optimum::Inside(lowest)) = optimum(&points) else { panic!("no optimum inside") };
        assert!((lowest.x - 0.02).abs() < 1e-9 && (lowest.y - 1.5).abs() < 1e-9, "{lowest:?}");
    }

    #[test]
    fn an_optimum_at_the_edge_is_said_to_be_there() {
        let falling = [[1.0, 3.0], [2.0, 2.5], [4.0, 2.2]];
        assert_eq!(optimum(&falling), Some(Optimum::Edge(Lowest { x: 4.0, y: 2.2 })));
        assert_eq!(optimum(&falling[..2]), None);
        assert_eq!(optimum(&[[1.0, 3.0], [1.0, 2.0], [1.0, 2.5]]), None);
    }

    #[test]
    fn a_power_is_a_line_in_logarithms() {
        let points = [1.0, 10.0, 1000.0].map(|x: f64| [x, 2.0 * x.powf(0.5)]);
        let (p, k) = power(&points).unwrap();
        assert!((p - 0.5).abs() < 1e-12 && (k - 2.0).abs() < 1e-12);
        assert_eq!(power(&points[..1]), None);
    }
}
