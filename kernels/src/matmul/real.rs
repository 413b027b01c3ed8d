//! The products of real training steps, for benchmarks.
//!
//! A linear layer with weight W (out, in) makes three: forward `x·Wᵀ`, the input's gradient `dy·W`, and the weight's
//! gradient `dyᵀ·x`, which is added to an f32 total. What is stored row by row is thus read as NT, NN and TN. The third and
//! fourth scalars of such a sample say that A or B is to be read transposed; shapes are those in memory.

use crate::registry::{Arg, Draw, Sample, transposed};
use crate::{Result, View};

/// Which of the three.
enum Part {
    /// `x·Wᵀ`.
    Forward,
    /// `dy·W`.
    InputGradient,
    /// `dyᵀ·x`, added.
    WeightGradient,
}
use Part::{Forward, InputGradient, WeightGradient};

/// Label, rows of x, in, out.
type Line = (&'static str, Part, usize, usize, usize);

/// The three products of a layer.
macro_rules! layer {
    ($name:literal, $rows:expr, $inner:expr, $outer:expr) => {
        [
            (concat!($name, ".fwd"), Forward, $rows, $inner, $outer),
            (concat!($name, ".dgrad"), InputGradient, $rows, $inner, $outer),
            (concat!($name, ".wgrad"), WeightGradient, $rows, $inner, $outer),
        ]
    };
}

/// The layers of a training step at three depths. Logits are made in chunks of rows, as the model cuts them.
const TRAINING: &[[Line; 3]] = &[
    layer!("d4.attn_proj", 4096, 256, 256),
    layer!("d4.mlp_up", 4096, 256, 1024),
    layer!("d4.mlp_down", 4096, 1024, 256),
    layer!("d4.logits", 1024, 256, 4096),
    layer!("d4.logits_32k", 512, 256, 32_768),
    layer!("d6.attn_proj", 4096, 384, 384),
    layer!("d6.mlp_up", 4096, 384, 1536),
    layer!("d6.mlp_down", 4096, 1536, 384),
    layer!("d6.logits", 512, 384, 32_768),
    layer!("d12.attn_proj", 2048, 768, 768),
    layer!("d12.mlp_up", 2048, 768, 3072),
    layer!("d12.mlp_down", 2048, 3072, 768),
    layer!("d12.logits", 512, 768, 32_768),
];

/// One row: generating text.
const DECODING: &[Line] =
    &[("d12.mlp_up.decode", Forward, 1, 768, 3072), ("d12.logits.decode", Forward, 1, 768, 32_768)];

/// One product per line of the table.
pub(super) fn samples() -> Vec<Sample> {
    let sample = |&(label, ref part, rows, inner, outer): &Line| {
        let product = |a, b, c, scalars: [f64; 4]| {
            let args = vec![Arg::input("a", a, Draw::Normal), Arg::input("b", b, Draw::Normal), c];
            Sample::new(label, args).with(&scalars)
        };
        let (x, w, dy) = (&[rows, inner], &[outer, inner], &[rows, outer]);
        match part {
            Forward => product(x, w, Arg::out("c", dy), [1.0, 0.0, 0.0, 1.0]),
            InputGradient => product(dy, w, Arg::out("c", x), [1.0, 0.0, 0.0, 0.0]),
            WeightGradient => product(dy, x, Arg::inout("c", w, Draw::NormalF32), [1.0, 1.0, 1.0, 0.0]),
        }
    };
    TRAINING.iter().flatten().chain(DECODING).map(sample).collect()
}

/// Does the sample want A (0) or B (1) transposed?
fn is_transposed(scalars: &[f64], operand: usize) -> bool {
    scalars.get(2 + operand).is_some_and(|flag| *flag != 0.0)
}

/// A and B as the product reads them.
pub(super) fn operands<'a>(ins: &[View<'a>], scalars: &[f64]) -> Result<[View<'a>; 2]> {
    let operand = |i: usize| if is_transposed(scalars, i) { transposed(&ins[i]) } else { Ok(ins[i]) };
    Ok([operand(0)?, operand(1)?])
}

/// K, the terms of each sum.
pub(super) fn terms(s: &Sample) -> usize {
    let from_the_end = if is_transposed(&s.scalars, 0) { 1 } else { 0 };
    s.dims("a").iter().rev().nth(from_the_end).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_products_of_a_layer_have_the_same_cost_in_operations() {
        let samples = samples();
        let layer = |name: &str| samples.iter().find(|s| s.label == name).unwrap();
        for name in ["d12.mlp_up.fwd", "d12.mlp_up.dgrad", "d12.mlp_up.wgrad"] {
            let s = layer(name);
            assert_eq!(s.dims("c").iter().product::<usize>() * terms(s), 2048 * 768 * 3072, "{name}");
        }
    }
}
