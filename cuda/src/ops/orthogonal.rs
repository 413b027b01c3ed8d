//! Newton–Schulz and Polar Express: launches of matrix products and of what is done around them. All matrices of a call at once.

use crate::Cuda;
use crate::bundle::QUINTIC;
use crate::call::{Call, Operand, suffix};
use crate::driver::{Driver, Value};
use kernels::polar_express::PolarExpress;
use kernels::{DType, Layout, Result, View, ViewMut};

/// Elements of one partial sum of squares, as in `quintic.cu`.
const CHUNK: usize = 4096;

/// Which iteration.
pub struct Orthogonal {
    op: &'static str,
    /// The polynomials a·s + b·s³ + c·s⁵ of the steps.
    steps: Vec<[f64; 3]>,
    /// The matrix is divided by `margin`·‖X‖ + `eps`.
    margin: f32,
    eps: f32,
    /// Are the rows made equally long before?
    equal_rows: bool,
    /// Is c·A² rounded as (c·A)·A, or as c·(A·A)?
    scaled_first: bool,
    bf16: bool,
}

impl Orthogonal {
    /// Of [`kernels::muon`].
    pub fn newton_schulz(steps: usize, bf16: bool) -> Orthogonal {
        Orthogonal {
            op: "newton_schulz",
            steps: vec![kernels::muon::COEFFICIENTS; steps],
            margin: 1.0,
            eps: kernels::muon::NORM_EPS as f32,
            equal_rows: false,
            scaled_first: true,
            bf16,
        }
    }
    /// Of [`kernels::polar_express`].
    fn polar_express(steps: usize, bf16: bool) -> Orthogonal {
        let [margin, eps] = kernels::polar_express::MARGIN.map(|v| v as f32);
        Orthogonal {
            op: "polar_express",
            steps: kernels::polar_express::COEFFICIENTS.into_iter().take(steps).collect(),
            margin,
            eps,
            equal_rows: true,
            scaled_first: false,
            bf16,
        }
    }
}

/// Launches on N matrices of one type.
struct Matrices<'c, 'd, D: Driver> {
    call: &'c mut Call<'d, D>,
    n: usize,
    dtype: DType,
}

impl<D: Driver> Matrices<'_, '_, D> {
    /// Room for N matrices.
    fn room(&mut self, rows: usize, cols: usize) -> Result<Operand> {
        let layout = Layout::contiguous(&[self.n, rows, cols])?;
        Ok(self.call.scratch((layout.numel() * self.dtype.size()).div_ceil(8))?.holding(self.dtype, layout))
    }
    fn launch(&self, kernel: &str, grid: usize, args: &[Value]) -> Result<()> {
        let kernel = format!("quintic_{kernel}_{}", suffix(self.dtype));
        self.call.launch_blocks(&QUINTIC, &kernel, (self.call.count(grid)?, 256, 0), args)
    }
    /// The partial sums of squares of each matrix: memory, and how many a matrix has.
    fn squares(&mut self, x: &Operand) -> Result<(Operand, [Value; 2])> {
        let size = x.layout.dims()[1] * x.layout.dims()[2];
        let chunks = size.div_ceil(CHUNK);
        let parts = self.call.scratch(self.n * chunks)?;
        let counts = [Value::U32(self.call.count(size)?), Value::U32(self.call.count(chunks)?)];
        let [a, b] = counts.clone();
        self.launch("squares", self.n * chunks, &[x.address(), parts.address(), a, b])?;
        Ok((parts, counts))
    }
    /// `y = alpha·x + beta·y`.
    fn sum(&self, x: &Operand, y: &Operand, alpha: f64, beta: f64) -> Result<()> {
        let n = x.layout.numel();
        let args = [
            x.address(),
            y.address(),
            Value::U32(self.call.count(n)?),
            Value::F32(alpha as f32),
            Value::F32(beta as f32),
        ];
        self.launch("sum", n.div_ceil(256), &args)
    }
}

/// The same matrices with rows for columns.
fn turned(x: &Operand) -> Result<Operand> {
    let (d, s) = (x.layout.dims(), x.layout.strides());
    Ok(x.holding(x.dtype, Layout::strided(&[d[0], d[2], d[1]], &[s[0], s[2], s[1]], x.layout.offset())?))
}

impl<D: Driver> Cuda<D> {
    /// `o` = `g` with its singular values sent towards 1.
    pub(super) fn orthogonal(&self, how: Orthogonal, g: View, mut o: ViewMut) -> Result<()> {
        let [.., rows, cols] = *g.dims() else { return Ok(()) };
        let n = if g.dims().len() == 3 { g.dims()[0] } else { 1 };
        if g.numel() == 0 {
            return Ok(());
        }
        let mut call = self.call(how.op);
        let whole = Layout::contiguous(&[n, rows, cols])?;
        let from = call.place("g", &g)?;
        let out = call.place("o", &o.as_view())?;
        // both are contiguous: from their first elements on
        let [from, to] = [from, out].map(|o| o.at_first(whole));
        let dtype = if how.bf16 { DType::Bf16 } else { DType::F32 };
        let mut m = Matrices { call: &mut call, n, dtype };

        let start = m.room(rows, cols)?;
        m.call.copy(&from, &start)?;
        if how.equal_rows {
            let (parts, [_, chunks]) = m.squares(&start)?;
            let sizes = [Value::U32(m.call.count(rows)?), Value::U32(m.call.count(cols)?), chunks];
            let args: Vec<Value> = [start.address(), parts.address()].into_iter().chain(sizes).collect();
            m.launch("equal_rows", n * rows, &args)?;
        }
        let (parts, [size, chunks]) = m.squares(&start)?;
        let factors = [Value::F32(how.margin), Value::F32(how.eps)];
        let args: Vec<Value> =
            [start.address(), parts.address(), size, chunks].into_iter().chain(factors).collect();
        m.launch("scale", n * (rows * cols).div_ceil(CHUNK), &args)?;

        // the iteration works on wide matrices (s, l), so that A = X·Xᵀ is the smaller square
        let (s, l) = (rows.min(cols), rows.max(cols));
        let (mut x, mut y) = (start, m.room(s, l)?);
        let [a, b, scaled] = [m.room(s, s)?, m.room(s, s)?, m.room(s, s)?];
        if rows > cols {
            let wide = m.room(s, l)?;
            m.call.copy(&turned(&start)?, &wide)?;
            x = wide;
        }
        for &[first, third, fifth] in &how.steps {
            m.call.product(self.rung, [x, turned(&x)?, a], 1.0, 0.0)?;
            if how.scaled_first {
                m.sum(&a, &scaled, fifth, 0.0)?;
                m.call.product(self.rung, [scaled, a, b], 1.0, 0.0)?;
                m.sum(&a, &b, third, 1.0)?;
            } else {
                m.call.product(self.rung, [a, a, b], 1.0, 0.0)?;
                m.sum(&a, &b, third, fifth)?;
            }
            m.call.product(self.rung, [b, x, y], 1.0, 0.0)?;
            m.sum(&x, &y, first, 1.0)?;
            std::mem::swap(&mut x, &mut y);
        }
        let last = if rows > cols { turned(&x)? } else { x };
        m.call.copy(&last, &to)?;
        call.fetch("o", &out, &mut o)
    }
}

impl<D: Driver> PolarExpress for Cuda<D> {
    fn polar_express(&self, g: View, o: ViewMut, _: ViewMut, steps: usize, bf16: bool) -> Result<()> {
        self.orthogonal(Orthogonal::polar_express(steps, bf16), g, o)
    }
}
