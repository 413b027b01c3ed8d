//! From views to products of two matrices: dtypes, leading dimensions, and who gets the threads.

use super::block::{self, Product};
use super::kernel;
use super::strided::{Lanes, Target};
use super::{Matmul, sizes};
use crate::check::host;
use crate::{Bf16, Cpu, DType, Float, Layout, Result, View, ViewMut, par, planted};

impl Matmul for Cpu {
    fn matmul(&self, a: View, b: View, mut c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
        match (a.dtype(), c.dtype()) {
            (DType::Bf16, DType::Bf16) => product::<Bf16, Bf16>(&a, &b, &mut c, alpha, beta),
            (DType::Bf16, _) => product::<Bf16, f32>(&a, &b, &mut c, alpha, beta),
            _ => product::<f32, f32>(&a, &b, &mut c, alpha, beta),
        }
    }
}

/// Multiply-adds of one matrix of a batch above which the threads share it, instead of each taking matrices of its own.
const SHARE: usize = 1 << 25;

/// The matrices of a batch. Row and column strides, and the strides of the leading dimensions.
struct Batch {
    m: usize,
    k: usize,
    n: usize,
    a: [usize; 2],
    b: [usize; 2],
    c: [usize; 2],
    /// Size, and strides in a, b and c, of each leading dimension.
    lead: Vec<(usize, [usize; 3])>,
}

impl Batch {
    fn new((m, k, n): (usize, usize, usize), a: &Layout, b: &Layout, c: &Layout) -> Self {
        let last = |l: &Layout| [l.strides()[l.rank() - 2], l.strides()[l.rank() - 1]];
        let lead = (0..a.rank() - 2).map(|i| (a.dims()[i], [a.strides()[i], b.strides()[i], c.strides()[i]]));
        let lead = lead.filter(|&(size, _)| size != 1).collect();
        let b = planted!("matmul.strides_of_b_ignored", last(b) => [n, 1]);
        let mut batch = Batch { m, k, n, a: last(a), b, c: last(c), lead };
        batch.merge_rows();
        batch
    }
    /// A leading dimension along which B is the same and the rows of A and C go on regularly is more rows.
    fn merge_rows(&mut self) {
        while let Some(&(size, [a, b, c])) = self.lead.last() {
            if self.m == 1 {
                (self.a[0], self.c[0]) = (a, c);
            }
            if planted!("matmul.merges_rows_of_different_b", b != 0 => false)
                || a != self.m * self.a[0]
                || c != self.m * self.c[0]
            {
                return;
            }
            self.m *= size;
            self.lead.pop();
        }
    }
    fn count(&self) -> usize {
        self.lead.iter().map(|(size, _)| size).product()
    }
    /// Distance of matrix `index` from the first one, in a, b and c.
    fn offsets(&self, mut index: usize) -> [usize; 3] {
        let mut at = [0; 3];
        for (size, strides) in self.lead.iter().rev() {
            (0..3).for_each(|i| at[i] += index % size * strides[i]);
            index /= size;
        }
        at
    }
}

fn product<T: Float, U: Float>(a: &View, b: &View, c: &mut ViewMut, alpha: f32, beta: f32) -> Result<()> {
    const OP: &str = "matmul";
    let c_layout = *c.layout();
    if c.numel() == 0 {
        return Ok(());
    }
    let batch = Batch::new(sizes(a, b), a.layout(), b.layout(), &c_layout);
    let (a0, b0) = (a.layout().offset(), b.layout().offset());
    let a = host(OP, "a", a.base::<T>())?;
    let b = host(OP, "b", b.base::<T>())?;
    let c = host(OP, "c", c.base_mut::<U>())?;
    let (len, c) = (c.len(), par::SharedPtr::new(c));
    let one = |index: usize, parallel: bool| {
        let [a_at, b_at, c_at] = batch.offsets(index);
        let (m, k, n) = (batch.m, batch.k, batch.n);
        // With K = 0 the operands may have no elements, and their offsets may be out of range.
        let a = a.get(a0 + a_at..).unwrap_or(&[]);
        let b = b.get(b0 + b_at..).unwrap_or(&[]);
        let c_at = c_layout.offset() + c_at;
        let product = Product {
            a: Lanes::new(a, m, k, batch.a[0], batch.a[1]),
            b: Lanes::new(b, n, k, batch.b[1], batch.b[0]),
            // SAFETY: the matrices of a batch share no elements, and each index is given to one task.
            c: unsafe { Target::from_raw(c.get().add(c_at), len - c_at, (m, n), batch.c[0], batch.c[1]) },
            alpha,
            beta: planted!("matmul.beta_ignored", beta => 0.0),
            symmetric: None,
        };
        block::run(product, kernel::micro(T::DTYPE), parallel);
    };
    if batch.count() == 1 || batch.m * batch.k * batch.n >= SHARE {
        (0..batch.count()).for_each(|index| one(index, true));
    } else {
        // A task is at least as much work as waking a thread is worth.
        let group = ((1 << 18) / (batch.m * batch.k * batch.n).max(1)).max(1);
        par::for_each_task(batch.count().div_ceil(group), |task| {
            (task * group..((task + 1) * group).min(batch.count())).for_each(|index| one(index, false));
        });
    }
    Ok(())
}

/// Side of the squares in which a triangle is copied.
const SQUARE: usize = 64;

/// `c = alpha · a·b + beta · c` for square matrices of side n, `a` and `b` (n, k) and (k, n), whose result is symmetric: half
/// the work. `b` is either the transpose of `a`, or both are the same symmetric matrix, and c is symmetric too.
///
/// All of one dtype, f32 or bf16. Same bits as the full product above the diagonal, mirrored below it. What Muon spends half its time on.
pub(crate) fn matmul_symmetric(a: View, b: View, c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
    match c.dtype() {
        DType::Bf16 => symmetric::<Bf16>(&a, &b, c, alpha, beta),
        _ => symmetric::<f32>(&a, &b, c, alpha, beta),
    }
}

fn symmetric<T: Float>(a: &View, b: &View, mut c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
    const OP: &str = "matmul_symmetric";
    let (n, k, _) = sizes(a, b);
    let (al, bl) = (*a.layout(), *b.layout());
    let a = &host(OP, "a", a.base::<T>())?[al.offset()..];
    let b = &host(OP, "b", b.base::<T>())?[bl.offset()..];
    let c = host(OP, "c", c.as_mut_slice::<T>())?;
    let len = c.len();
    let c = par::SharedPtr::new(c);
    let product = Product {
        a: Lanes::new(a, n, k, al.strides()[0], al.strides()[1]),
        b: Lanes::new(b, n, k, bl.strides()[1], bl.strides()[0]),
        // SAFETY: this is the only access to c until the product is done.
        c: unsafe { Target::from_raw(c.get(), len, (n, n), n, 1) },
        alpha,
        beta,
        symmetric: Some((0, 0)),
    };
    block::run(product, kernel::micro(T::DTYPE), true);
    let squares = n.div_ceil(SQUARE);
    par::for_each_task(squares, |task| {
        for j0 in (0..=task * SQUARE).step_by(SQUARE) {
            for i in task * SQUARE..((task + 1) * SQUARE).min(n) {
                for j in j0..(j0 + SQUARE).min(planted!("matmul.mirror_stops_early", i => i - 1)) {
                    // SAFETY: below the diagonal, row i belongs to this task; above it, nobody writes.
                    unsafe { *c.get().add(i * n + j) = *c.get().add(j * n + i) };
                }
            }
        }
    });
    Ok(())
}
