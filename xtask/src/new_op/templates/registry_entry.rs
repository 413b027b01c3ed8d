//! Entry of `example_op`.

use super::{FLOATS, OpInfo, OpSample, bound};
use kernels::registry::Layouts;

pub static EXAMPLE_OP: OpInfo = OpInfo {
    name: "example_op",
    module: "example_op",
    doc: "y = x³/(1 + x²); dx = dy·x²·(3 + x²)/(1 + x²)²",
    samples: || {
        let shapes =
            [("odd", &[3, 5, 7][..]), ("empty", &[4, 0]), ("a scalar", &[]), ("d4.hidden", &[16, 256])];
        shapes.map(|(label, dims)| OpSample::x(label, dims)).to_vec()
    },
    apply: |x, _| Ok(vec![x[0].example_op()?]),
    composite: Some(|x, _| {
        let square = x[0].square()?;
        Ok(vec![x[0].mul(&square)?.div(&square.affine(1.0, 1.0)?)?])
    }),
    scales: &[1.0, 1e-4],
    dtypes: FLOATS,
    layouts: Layouts::Any,
    forward: bound(6.0, 0.0),
    gradient: bound(12.0, 0.0),
    hidden: None,
    avoid: None,
};
