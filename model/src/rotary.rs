//! The tables of rotary angles: `cos(t·base^(−2j/D))` and sin, for t < P and j < D/2.
//!
//! The power, its reciprocal (the frequency) and the angle are rounded to f32 as in the original (at position 1000 this
//! moves the angle by some 1e-5, so it matters for reproducing numbers); cos and sin are then computed in f64 and rounded
//! once.

use crate::error::Result;
use kernels::{Bf16, planted, portable};
use tensor::{DType, Device, Tensor};

/// Precision of the tables' values. They are stored in f32 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RopeTable {
    /// f32: our default on the CPU.
    #[default]
    F32,
    /// Rounded to bf16, as the original keeps them.
    Bf16,
}

/// cos and sin, each (P, D/2).
#[derive(Clone)]
pub struct RotaryTables {
    /// cos.
    pub cos: Tensor,
    /// sin.
    pub sin: Tensor,
}

/// `1 / base^(2j/D)`, the power and the quotient each rounded to f32.
pub fn inverse_frequency(base: f32, j: usize, head_dim: usize) -> f32 {
    let exponent = planted!("rotary.exponent_halved", (2 * j) as f32 => j as f32) / head_dim as f32;
    let power = portable::exp(exponent as f64 * portable::ln(base as f64)) as f32;
    1.0 / power
}

impl RotaryTables {
    /// Tables for `positions` positions.
    pub fn new(
        base: f32,
        head_dim: usize,
        positions: usize,
        kind: RopeTable,
        device: Device,
    ) -> Result<Self> {
        let half = head_dim / 2;
        let frequency: Vec<f32> = (0..half).map(|j| inverse_frequency(base, j, head_dim)).collect();
        let round = |v: f64| match kind {
            RopeTable::F32 => v as f32 as f64,
            RopeTable::Bf16 => Bf16::from_f32(v as f32).to_f32() as f64,
        };
        let (mut cos, mut sin) = (Vec::with_capacity(positions * half), Vec::with_capacity(positions * half));
        for t in 0..positions {
            for f in &frequency {
                let (s, c) = portable::sin_cos((t as f32 * f) as f64);
                cos.push(round(c));
                sin.push(round(s));
            }
        }
        let dtype = if device == Device::Reference { DType::F64 } else { DType::F32 };
        let dims = [positions, half];
        Ok(RotaryTables {
            cos: Tensor::from_f64(&cos, &dims, dtype, device)?,
            sin: Tensor::from_f64(&sin, &dims, dtype, device)?,
        })
    }
    /// Positions in the tables.
    pub fn positions(&self) -> usize {
        self.cos.dim(0)
    }
}
