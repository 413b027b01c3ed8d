//! The matrix product's launches: which rung of the ladder, and how its tiles are counted.

use crate::Cuda;
use crate::bundle::{MATMUL, MATMUL_PIPELINED};
use crate::call::{Call, Operand, suffix};
use crate::driver::{Driver, Value};
use kernels::matmul::Matmul;
use kernels::{DType, KernelError, Result, View, ViewMut};

/// What multiplies: the driver's library, or a rung of the ladder in `kernels/src/matmul/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rung {
    /// A thread per element.
    Naive,
    /// Tiles in shared memory.
    Tiled,
    /// Tensor cores for bf16; tiles for f32.
    Tensor,
    /// The same, with the next tiles on their way.
    Pipelined,
    /// cuBLAS where there is one and it has the product's form, otherwise the last rung.
    #[default]
    Library,
}

/// Rows and columns of a block's tile.
const TILE: usize = 64;

impl<D: Driver> Call<'_, D> {
    /// `c = alpha·a·b + beta·c` of matrices, or of as many as their leading axes count.
    pub(super) fn product(&self, rung: Rung, all: [Operand; 3], alpha: f32, beta: f32) -> Result<()> {
        let [a, b, c] = &all;
        if rung == Rung::Library && self.multiplied([a, b, c], alpha, beta)? {
            return Ok(());
        }
        let lead = c.layout.rank() - 2;
        let (m, n) = (c.layout.dims()[lead], c.layout.dims()[lead + 1]);
        let k = a.layout.dims()[lead + 1];
        let batches: usize = c.layout.dims()[..lead].iter().product();
        let (module, form, threads) = match (rung, a.dtype) {
            (Rung::Naive, _) => (&MATMUL, "naive", 256),
            (Rung::Tensor, DType::Bf16) => (&MATMUL, "tensor", 128),
            (Rung::Pipelined | Rung::Library, DType::Bf16) => (&MATMUL_PIPELINED, "pipelined", 128),
            _ => (&MATMUL, "tiled", 256),
        };
        let tiles = match rung {
            Rung::Naive => (m * n).div_ceil(256),
            _ => m.div_ceil(TILE) * n.div_ceil(TILE),
        };
        let (grid, tiles) = (self.count(batches * tiles)?, self.count(tiles)?);
        let sizes =
            [self.count(m)?, self.count(n)?, self.count(k)?, 0].into_iter().flat_map(u32::to_le_bytes);
        let strides = all
            .into_iter()
            .flat_map(|o| [o.layout.strides()[lead], o.layout.strides()[lead + 1]])
            .flat_map(|stride| (stride as u64).to_le_bytes());
        let factors = [alpha, beta].into_iter().flat_map(f32::to_le_bytes);
        let mut args: Vec<Value> = all.iter().map(Operand::address).collect();
        args.extend(all.iter().map(|o| o.strided(2)));
        args.extend([Value::Bytes(sizes.chain(strides).chain(factors).collect()), Value::U32(tiles)]);
        let kernel = format!("matmul_{form}_{}_{}", suffix(a.dtype), suffix(c.dtype));
        self.launch_blocks(module, &kernel, (grid, threads, 0), &args)
    }
}

impl<D: Driver> Matmul for Cuda<D> {
    fn matmul(&self, a: View, b: View, mut c: ViewMut, alpha: f32, beta: f32) -> Result<()> {
        const OP: &str = "matmul";
        let lead = c.dims().len() - 2;
        if lead > 3 {
            let what = format!("{lead} leading axes; join some, CUDA kernels count 3");
            return Err(KernelError::Parameter { op: OP, what });
        }
        let mut call = self.call(OP);
        let (xs, ys) = (call.place("a", &a)?, call.place("b", &b)?);
        let out = call.place("c", &c.as_view())?;
        call.product(self.rung, [xs, ys, out], alpha, beta)?;
        call.fetch("c", &out, &mut c)
    }
}
