//! What gradients are where a function has a kink, a tie or a NaN: one slope is chosen, and it is always the same one.
#![allow(clippy::unwrap_used)]

use autograd::ops::select::select;
use autograd::{Result, Tape, Var};
use kernels::compare::CompareOp;
use kernels::unary::UnaryOp;
use tensor::{DType, Device, Tensor};

fn tensor(values: &[f64]) -> Tensor {
    Tensor::from_f64(values, &[values.len()], DType::F32, Device::Cpu).unwrap()
}

/// Gradient of `Σ dy·f(x)`.
fn gradient(x: &[f64], dy: &[f64], f: impl Fn(&Var) -> Result<Var>) -> Vec<f64> {
    let tape = Tape::new();
    let x = tape.watch(tensor(x)).unwrap();
    let y = f(&x).unwrap();
    tape.backward(&[(&y, tensor(dy))]).unwrap().take(&x).unwrap().to_f64_vec()
}

#[test]
fn the_slope_at_a_kink_is_zero_and_a_nan_does_not_stop_the_gradient() {
    let x = [-1e-45, -0.0, 0.0, 1e-45, f64::NAN];
    let dy = [2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(gradient(&x, &dy, |x| x.relu()), [0.0, 0.0, 0.0, 5.0, 6.0]);
    assert_eq!(gradient(&x, &dy, |x| x.unary(UnaryOp::Abs)), [-2.0, 0.0, 0.0, 5.0, 6.0]);
}

#[test]
fn ties_share_the_gradient_of_a_maximum_and_so_do_all_elements_beside_a_nan() {
    assert_eq!(gradient(&[3.0, 1.0, 3.0, 3.0], &[6.0], |x| x.max(&[0])), [2.0, 0.0, 2.0, 2.0]);
    assert_eq!(gradient(&[3.0, -0.0, 0.0, 3.0], &[6.0], |x| x.min(&[0])), [0.0, 3.0, 3.0, 0.0]);
    assert_eq!(gradient(&[3.0, f64::NAN, 1.0], &[6.0], |x| x.max(&[0])), [2.0; 3]);
    assert_eq!(gradient(&[1.0; 400], &[1.0], |x| x.max(&[0])), [f64::from(1.0f32 / 400.0); 400]);
}

#[test]
fn elements_that_tie_in_a_sort_get_the_gradients_of_their_places_in_order() {
    let (x, dy) = ([2.0, 1.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(gradient(&x, &dy, |x| Ok(x.sort(false)?.0)), [3.0, 1.0, 4.0, 2.0]);
    assert_eq!(gradient(&x, &dy, |x| Ok(x.sort(true)?.0)), [1.0, 3.0, 2.0, 4.0]);
    assert_eq!(gradient(&x, &dy[..3], |x| Ok(x.top_k(3)?.0)), [1.0, 3.0, 2.0, 0.0]);
}

#[test]
fn what_is_not_taken_has_no_say_even_if_it_is_nan() {
    let positive = tensor(&[-1.0, 4.0]).compare(CompareOp::Gt, &tensor(&[0.0])).unwrap();
    let f = |x: &Var| select(&positive, x, &Var::constant(tensor(&[0.0])));
    assert_eq!(gradient(&[f64::NAN, 4.0], &[1.0, 1.0], f), [0.0, 1.0]);
}

#[test]
fn silus_slope_has_no_slope_of_its_own() {
    let x = Tape::new().watch(tensor(&[1.0])).unwrap();
    assert!(x.unary(UnaryOp::SiluSlope).is_err());
    assert!(!x.detach().unary(UnaryOp::SiluSlope).unwrap().is_tracked());
}
