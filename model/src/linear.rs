//! The weights of linear layers as blocks see them: plain, perhaps tracked on a tape, or laid out for drawing tokens.
//!
//! A packed weight is read in one straight line ([`kernels::packed_linear`]); the weights of layers with one input lie one
//! below the other, and are one product. Its numbers are those of the plain weight, rounded to the dtype of the activations,
//! and the results have the same bits. Or they are int8 with a scale for each row ([`kernels::quantize_int8`]): a quarter or
//! half of the bytes, and a little less exact.

use crate::error::Result;
use autograd::Var;
use kernels::packed_linear::{WIDTH, packed_linear, packed_linear_int8};
use kernels::quantize_int8::quantize_int8;
use tensor::{DType, Tensor, TensorError};

/// Weights in fewer bytes than the activations have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantize {
    /// int8, one scale for each row of a matrix.
    Int8,
}

/// A weight (N, K) for reading: see [`kernels::packed_linear`].
#[derive(Clone)]
pub struct Packed {
    /// (ceil(N/32), K, 32), or four numbers in an i32: (ceil(N/32), K, 8).
    w: Tensor,
    /// Of int8: (N).
    scale: Option<Tensor>,
    rows: usize,
}

impl Packed {
    /// The weights (·, K) of layers with one input, one below the other, for activations of dtype `compute`.
    pub fn new(weights: &[&Tensor], compute: DType, quantize: Option<Quantize>) -> Result<Packed> {
        let k = weights.first().map_or(0, |w| w.dim(1));
        let rows: usize = weights.iter().map(|w| w.dim(0)).sum();
        let tiles = rows.div_ceil(WIDTH);
        let device = weights.first().map_or(tensor::Device::Cpu, |w| w.device());
        let dtype = match (quantize, compute) {
            (None, _) | (_, DType::F64) => compute,
            _ => DType::F32,
        };
        let mut all = Tensor::zeros(&[tiles * WIDTH, k], dtype, device)?;
        let mut at = 0;
        for w in weights {
            all.write_narrow(0, at, &w.cast(dtype)?)?;
            at += w.dim(0);
        }
        match quantize {
            None => {
                let w = all.reshape(&[tiles, WIDTH, k])?.transpose(1, 2)?.contiguous()?;
                Ok(Packed { w, scale: None, rows })
            }
            Some(Quantize::Int8) => {
                let mut w = Tensor::uninit(&[tiles, k, WIDTH / 4], DType::I32, device)?;
                let mut scale = Tensor::uninit(&[rows], dtype, device)?;
                let plain = all.narrow(0, 0, rows)?;
                quantize_int8(device.backend(), plain.view(), w.view_mut()?, scale.view_mut()?)
                    .map_err(TensorError::from)?;
                Ok(Packed { w, scale: Some(scale), rows })
            }
        }
    }
    /// `x·Wᵀ`: (…, K) → (…, N), rounded once, to `out`.
    pub fn apply(&self, x: &Tensor, out: DType) -> Result<Tensor> {
        let (lead, k) = (&x.dims()[..x.rank() - 1], x.dim(x.rank() - 1));
        let flat = x.contiguous()?.reshape(&[lead.iter().product(), k])?;
        let mut y = Tensor::uninit(&[flat.dim(0), self.rows], out, x.device())?;
        let (backend, target) = (x.device().backend(), y.view_mut()?);
        match &self.scale {
            None => packed_linear(backend, flat.view(), self.w.view(), target),
            Some(scale) => packed_linear_int8(backend, flat.view(), self.w.view(), scale.view(), target),
        }
        .map_err(TensorError::from)?;
        Ok(y.reshape(&[lead, &[self.rows]].concat())?)
    }
    /// N.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Bytes that one product reads.
    pub fn bytes(&self) -> usize {
        let row = self.w.bytes() / (self.w.dim(0) * WIDTH).max(1); // rows that fill the last tile do not count
        self.rows * row + self.scale.as_ref().map_or(0, Tensor::bytes)
    }
}

/// The weight of one linear layer.
pub enum Linear {
    /// (N, K)
    Plain(Var),
    /// For inference.
    Packed(Packed),
}

impl Linear {
    /// `x·Wᵀ`: (…, K) → (…, N).
    pub fn apply(&self, x: &Var) -> Result<Var> {
        match self {
            Linear::Plain(w) => Ok(x.linear(w)?),
            Linear::Packed(w) => Ok(Var::constant(w.apply(x.value(), x.dtype())?)),
        }
    }
}

/// The weights that make queries, keys and values.
pub enum Projections {
    /// (H·D, C), (Hk·D, C), (Hk·D, C)
    Plain([Var; 3]),
    /// For inference: all three, and how many rows each one has.
    Packed(Packed, [usize; 3]),
}

impl Projections {
    /// Queries, keys and values (…, rows) of `x` (…, C).
    pub fn apply(&self, x: &Var) -> Result<[Var; 3]> {
        match self {
            // one launch for three where a launch is what costs
            Projections::Plain([q, k, v]) if x.value().device().memory().is_some() => {
                Ok(x.linears([q, k, v])?)
            }
            Projections::Plain([q, k, v]) => Ok([x.linear(q)?, x.linear(k)?, x.linear(v)?]),
            Projections::Packed(w, [q, k, v]) => {
                let y = w.apply(x.value(), x.dtype())?;
                let part = |first, rows| y.narrow(y.rank() - 1, first, rows).map(Var::constant);
                Ok([part(0, *q)?, part(*q, *k)?, part(q + k, *v)?])
            }
        }
    }
}
