//! How large the terms are that a result is a sum of: what its error is measured against.
//!
//! A sum that nearly cancels is small, but its rounding error is not: it has the size of the terms. A tolerance relative to
//! the result would call that an error, one relative to the largest element of the tensor would hide errors elsewhere. So the
//! definition computes, beside every number it yields, the sum
//!
//! `terms(r) = |r| + Σ |v · ∂r/∂v|`
//!
//! over all numbers `v` that went into `r`: the inputs, and for a gradient also the seed gradients. For a sum of products
//! that is `Σ|terms|`, once for the sum and once per factor; for any other formula it is, to first order, how far `r` moves when
//! every input is off by one unit of roundoff in its worst direction: the error that a backward stable algorithm may make
//! (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, §1.5).
//!
//! Small samples get all derivatives by central differences of the definition in f64 ([`Definition::exact`]), which are at the same time
//! the numbers its gradient is checked against. Large ones get the root of the sum of squares instead of the sum, estimated by
//! moving all inputs at once in random directions ([`Definition::probed`]). Where a formula has terms inside that cancel before any
//! input's derivative shows it, the registry adds them (`OpInfo::hidden`).

use super::case::{Case, Kind};
use super::run::{Outcome, Plan, run};
use crate::registry::{Apply, OpSample};
use autograd::Result;
use kernels::philox::Philox;
use tensor::Device;

/// `terms` of every element of the outputs and of the inputs' gradients.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Of every output.
    pub y: Vec<Vec<f64>>,
    /// Of every input's gradient.
    pub dx: Vec<Vec<f64>>,
}

impl Terms {
    /// Add those of the registry to those that were found.
    pub fn add(&mut self, more: &Terms) {
        for (to, more) in [(&mut self.y, &more.y), (&mut self.dx, &more.dx)] {
            for (to, more) in to.iter_mut().zip(more) {
                to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
            }
        }
    }
}

/// What central differences of the definition say.
pub struct Differences {
    /// `∂(Σ dy·y)/∂x` for every element of every input.
    pub slopes: Vec<Vec<f64>>,
    /// Beside each slope, `Σ |dy·∂y/∂x|`.
    pub sizes: Vec<Vec<f64>>,
    /// Beside each slope, how far it changes with the inputs: `Σ |v · ∂slope/∂v|`.
    pub bends: Vec<Vec<f64>>,
}

/// The definition, to be run on cases near one case.
pub struct Definition<'a> {
    /// The operation.
    pub apply: Apply,
    /// Its constants.
    pub sample: &'a OpSample,
    /// Magnitude of the inputs.
    pub scale: f64,
}

impl Definition<'_> {
    fn at(&self, case: &Case, dy: &[Vec<f64>]) -> Result<Outcome> {
        let tracked = vec![true; case.values.len()];
        run(
            &Plan::new(self.apply, self.sample, dy, &tracked),
            &case.tensors(self.sample, Kind::Dense, Device::Reference)?,
        )
    }

    /// Half the distance of the two points of a difference: small against the input and its magnitude, so that the error of
    /// the formula, of the order of h², is below 1e-9; large enough that rounding errors over h are, too. At magnitude 0 it
    /// must be small against the square root of the smallest epsilon.
    fn step(&self, x: f64) -> f64 {
        if self.scale == 0.0 { 1e-7 } else { 1e-5 * x.abs().max(self.scale) }
    }

    /// All derivatives, one element of one input after the other.
    pub fn exact(&self, case: &Case, dy: &[Vec<f64>], at: &Outcome) -> Result<(Terms, Differences)> {
        let (mut terms, mut case) = (sizes_of(at), case.clone());
        let mut found = Differences { slopes: Vec::new(), sizes: Vec::new(), bends: zeros(&terms.dx) };
        for i in 0..case.values.len() {
            let n = case.values[i].len();
            let (mut slopes, mut sizes) = (vec![0.0; n], vec![0.0; n]);
            for j in 0..n {
                let x = case.values[i][j];
                let h = self.step(x);
                case.values[i][j] = x + h;
                let up = self.at(&case, dy)?;
                case.values[i][j] = x - h;
                let down = self.at(&case, dy)?;
                case.values[i][j] = x;
                let per_width = 1.0 / ((x + h) - (x - h));
                for ((y, dy), (up, down)) in terms.y.iter_mut().zip(dy).zip(up.y.iter().zip(&down.y)) {
                    for k in 0..y.len() {
                        let slope = (up[k] - down[k]) * per_width;
                        slopes[j] += dy[k] * slope;
                        sizes[j] += (dy[k] * slope).abs();
                        y[k] += (x * slope).abs();
                    }
                }
                for (dx, (up, down)) in found.bends.iter_mut().zip(up.dx.iter().zip(&down.dx)) {
                    let (Some(up), Some(down)) = (up, down) else { continue };
                    (0..dx.len()).for_each(|k| dx[k] += (x * (up[k] - down[k]) * per_width).abs());
                }
            }
            found.slopes.push(slopes);
            found.sizes.push(sizes);
        }
        // A gradient is linear in the seed gradients: their part of its terms is what the slopes are sums of.
        for (dx, (sizes, bends)) in terms.dx.iter_mut().zip(found.sizes.iter().zip(&found.bends)) {
            dx.iter_mut().zip(sizes.iter().zip(bends)).for_each(|(dx, (size, bend))| *dx += size + bend);
        }
        Ok((terms, found))
    }

    /// The root of the sum of squares of the same derivatives, from twelve random directions.
    pub fn probed(&self, case: &Case, dy: &[Vec<f64>], at: &Outcome, seed: u64) -> Result<Terms> {
        let mut terms = sizes_of(at);
        let mut squares = Terms { y: zeros(&terms.y), dx: zeros(&terms.dx) };
        for probe in 0..PROBES {
            let mut rng = Philox::new(seed, 1 << 40 | probe);
            let mut drawn = |v: &[Vec<f64>]| -> Vec<Vec<f64>> {
                v.iter().map(|v| v.iter().map(|_| direction(&mut rng)).collect()).collect()
            };
            let (of_x, of_dy) = (drawn(&case.values), drawn(dy));
            let moved = |by: f64| {
                let moved = |v: &[Vec<f64>], by_each: &[Vec<f64>]| -> Vec<Vec<f64>> {
                    let each = |(v, s): (&Vec<f64>, &Vec<f64>)| {
                        v.iter().zip(s).map(|(v, s)| v * (1.0 + by * s)).collect()
                    };
                    v.iter().zip(by_each).map(each).collect()
                };
                self.at(&Case { values: moved(&case.values, &of_x) }, &moved(dy, &of_dy))
            };
            let (up, down) = (moved(WIDTH)?, moved(-WIDTH)?);
            for (y, (up, down)) in squares.y.iter_mut().zip(up.y.iter().zip(&down.y)) {
                add_squares(y, up, down);
            }
            for (dx, (up, down)) in squares.dx.iter_mut().zip(up.dx.iter().zip(&down.dx)) {
                if let (Some(up), Some(down)) = (up, down) {
                    add_squares(dx, up, down);
                }
            }
        }
        let add = |to: &mut Vec<Vec<f64>>, squares: Vec<Vec<f64>>| {
            for (to, squares) in to.iter_mut().zip(squares) {
                to.iter_mut().zip(squares).for_each(|(t, s)| *t += (s / PROBES as f64).sqrt());
            }
        };
        add(&mut terms.y, squares.y);
        add(&mut terms.dx, squares.dx);
        Ok(terms)
    }
}

/// Directions that [`Definition::probed`] tries: enough that an estimate comes out below a third of the truth about once in a
/// million elements.
const PROBES: u64 = 12;
/// How far it goes, relative to every input.
const WIDTH: f64 = 1e-5;

/// One coordinate of a direction: of either sign and not always of one size, or two equal terms would cancel in half of the
/// directions, and in all twelve for one element in four thousand.
fn direction(rng: &mut Philox) -> f64 {
    let size = 0.25 + 1.5 * f64::from(rng.below(1024)) / 1023.0;
    if rng.below(2) == 0 { size } else { -size }
}

fn add_squares(to: &mut [f64], up: &[f64], down: &[f64]) {
    for (to, (up, down)) in to.iter_mut().zip(up.iter().zip(down)) {
        let slope = (up - down) / (2.0 * WIDTH);
        *to += slope * slope;
    }
}

fn zeros(like: &[Vec<f64>]) -> Vec<Vec<f64>> {
    like.iter().map(|v| vec![0.0; v.len()]).collect()
}

/// The results' own sizes.
fn sizes_of(at: &Outcome) -> Terms {
    let sizes = |v: &Vec<f64>| v.iter().map(|v| v.abs()).collect::<Vec<f64>>();
    Terms {
        y: at.y.iter().map(sizes).collect(),
        dx: at.dx.iter().map(|dx| dx.as_ref().map(sizes).unwrap_or_default()).collect(),
    }
}
