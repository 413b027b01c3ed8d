//! Tests of what the tape refuses: every misuse is a typed error, none a wrong gradient.

#![allow(clippy::unwrap_used)]

use autograd::ops::cat::cat;
use autograd::{AutogradError, Parameter, Tape, Var};
use kernels::binary::BinaryOp;
use tensor::{DType, Device, Tensor, TensorError};
use tests::LeakCheck;

fn tensor(values: &[f64], dims: &[usize]) -> Tensor {
    Tensor::from_f64(values, dims, DType::F32, Device::Cpu).unwrap()
}

fn ones(n: usize) -> Tensor {
    tensor(&vec![1.0; n], &[n])
}

#[test]
fn inputs_of_two_tapes_are_refused() {
    let _leaks = LeakCheck::default();
    let (a, b) = (Tape::new(), Tape::new());
    let (x, y) = (a.watch(ones(3)).unwrap(), b.watch(ones(3)).unwrap());
    assert!(matches!(x.add(&y), Err(AutogradError::ForeignTape { op: "binary" })));
    assert!(matches!(cat(&[&x, &y], 0), Err(AutogradError::ForeignTape { op: "cat" })));
}

#[test]
fn a_seed_from_another_tape_is_refused() {
    let _leaks = LeakCheck::default();
    let (a, b) = (Tape::new(), Tape::new());
    let y = b.watch(ones(3)).unwrap().square().unwrap();
    assert!(matches!(a.backward(&[(&y, ones(3))]), Err(AutogradError::ForeignTape { op: "backward" })));
}

#[test]
fn a_consumed_tape_records_and_sweeps_no_more() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let x = tape.watch(ones(3)).unwrap();
    let y = x.square().unwrap();
    tape.clone().backward(&[(&y, ones(3))]).unwrap();
    assert!(matches!(x.square(), Err(AutogradError::TapeConsumed { op: "unary" })));
    assert!(matches!(tape.watch(ones(3)), Err(AutogradError::TapeConsumed { .. })));
    assert!(matches!(tape.backward(&[(&y, ones(3))]), Err(AutogradError::TapeConsumed { op: "backward" })));
}

#[test]
fn a_seed_that_is_not_tracked_is_refused() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let y = Var::constant(ones(3)).square().unwrap();
    assert!(matches!(tape.backward(&[(&y, ones(3))]), Err(AutogradError::NotTracked { .. })));
    assert!(matches!(y.backward(1.0), Err(AutogradError::NotTracked { .. })));
}

#[test]
fn a_seed_of_the_wrong_shape_is_refused() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let y = tape.watch(ones(3)).unwrap().square().unwrap();
    let sweep = |dims: &[usize]| {
        tape.clone().backward(&[(&y, Tensor::full(1.0, dims, DType::F32, Device::Cpu).unwrap())])
    };
    assert!(matches!(sweep(&[4]), Err(AutogradError::GradientShape { .. })));
    assert!(
        matches!(sweep(&[3, 1]), Err(AutogradError::GradientShape { .. })),
        "as many elements are not enough"
    );
    sweep(&[3]).unwrap(); // a refusal leaves the tape as it was
}

#[test]
fn a_seed_of_another_dtype_or_device_is_refused() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let y = tape.watch(ones(3)).unwrap().square().unwrap();
    let seed = ones(3).cast(DType::Bf16).unwrap();
    let refused = tape.clone().backward(&[(&y, seed)]);
    assert!(matches!(refused, Err(AutogradError::Tensor(TensorError::DTypeMismatch { op: "backward", .. }))));
    let seed = ones(3).to_device(Device::Reference).unwrap();
    let refused = tape.backward(&[(&y, seed)]);
    assert!(matches!(
        refused,
        Err(AutogradError::Tensor(TensorError::DeviceMismatch { op: "backward", .. }))
    ));
}

#[test]
fn a_sweep_through_an_output_without_gradient_is_refused() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let (x, w) = (tape.watch(ones(2)).unwrap(), tape.watch(tensor(&[1.0; 6], &[3, 2])).unwrap());
    let x = x.reshape(&[1, 2]).unwrap();
    let ids = Tensor::ids(&[1], &[1], Device::Cpu).unwrap();
    let [_, rows] = x.lm_head_loss(&w, &ids, &ones(1), 0.0).unwrap();
    assert!(matches!(tape.backward(&[(&rows, ones(1))]), Err(AutogradError::NoGradient { .. })));
}

#[test]
fn a_loss_with_more_targets_or_weights_than_rows_is_refused() {
    let _leaks = LeakCheck::default();
    let (x, w) = (Var::constant(tensor(&[1.0; 2], &[1, 2])), Var::constant(tensor(&[1.0; 6], &[3, 2])));
    let ids = |n: usize| Tensor::ids(&vec![1; n], &[n], Device::Cpu).unwrap();
    for (targets, weights) in [(2, 1), (1, 2), (0, 1)] {
        let refused = x.lm_head_loss(&w, &ids(targets), &ones(weights), 0.0);
        assert!(matches!(refused, Err(AutogradError::Tensor(TensorError::Shape { op: "lm_head_loss", .. }))));
    }
    x.lm_head_loss(&w, &ids(1), &ones(1), 0.0).unwrap();
}

#[test]
fn joining_nothing_or_two_dtypes_is_refused() {
    let _leaks = LeakCheck::default();
    let (x, half) = (Var::constant(ones(3)), Var::constant(ones(3).cast(DType::Bf16).unwrap()));
    let tensor_error = |r: autograd::Result<Var>| match r {
        Err(AutogradError::Tensor(e)) => e,
        other => panic!("{other:?}"),
    };
    assert!(matches!(tensor_error(cat(&[], 0)), TensorError::Shape { .. }));
    assert!(matches!(tensor_error(cat(&[&x, &x], 1)), TensorError::Shape { .. }));
    assert!(matches!(tensor_error(cat(&[&x, &half], 0)), TensorError::DTypeMismatch { .. }));
}

#[test]
fn a_scalar_has_no_last_axis_and_a_vector_no_second() {
    let _leaks = LeakCheck::default();
    let scalar = Var::constant(Tensor::scalar(1.0, DType::F32, Device::Cpu).unwrap());
    let out_of_range =
        |r: autograd::Result<Var>| matches!(r, Err(AutogradError::Tensor(TensorError::OutOfRange { .. })));
    assert!(scalar.softmax().is_err() && scalar.logsumexp().is_err() && scalar.log_softmax().is_err());
    assert!(out_of_range(Var::constant(ones(3)).transpose(0, 1)));
    assert!(scalar.rms_norm(1e-6).is_err() && scalar.top_k(1).is_err());
}

#[test]
fn a_maximum_of_tracked_tensors_is_refused_and_of_constants_is_not() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let x = tape.watch(ones(3)).unwrap();
    let c = Var::constant(ones(3));
    for op in [BinaryOp::Max, BinaryOp::Min] {
        assert!(matches!(x.binary(op, &c), Err(AutogradError::NoGradient { .. })));
        assert!(matches!(c.binary(op, &x), Err(AutogradError::NoGradient { .. })));
        assert!(!c.binary(op, &x.detach()).unwrap().is_tracked());
    }
}

#[test]
fn a_detached_value_gets_no_gradient_and_an_unused_one_none_either() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let (x, unused) = (tape.watch(ones(3)).unwrap(), tape.watch(ones(3)).unwrap());
    let y = x.mul(&x.detach()).unwrap();
    let gradients = tape.backward(&[(&y, ones(3))]).unwrap();
    assert_eq!(gradients.take(&x).unwrap().to_f64_vec(), [1.0; 3]); // x², had both counted
    assert!(gradients.take(&unused).is_none());
}

#[test]
fn a_parameter_cannot_change_while_a_tape_still_reads_it() {
    let _leaks = LeakCheck::default();
    let mut weight = Parameter::new("w", tensor(&[1.0, 2.0, 3.0, 4.0], &[2, 2]));
    let tape = Tape::new();
    let y = {
        let w = weight.var(Some(&tape)).unwrap();
        tape.watch(tensor(&[1.0, 1.0], &[1, 2])).unwrap().linear(&w).unwrap()
    };
    assert!(matches!(weight.value_mut().fill(0.0), Err(TensorError::SharedStorage { .. })));
    drop(tape.backward(&[(&y, tensor(&[1.0, 1.0], &[1, 2]))]).unwrap());
    weight.value_mut().fill(0.0).unwrap();
    assert_eq!(weight.grad().get().unwrap().to_f64_vec(), [1.0; 4]);
}

#[test]
fn weight_gradients_of_several_tapes_add_up_in_one_buffer_until_cleared() {
    let _leaks = LeakCheck::default();
    let weight = Parameter::new("w", ones(3));
    let step = |x: f64| {
        let tape = Tape::new();
        let y = weight.var(Some(&tape)).unwrap().mul(&Var::constant(tensor(&[x; 3], &[3]))).unwrap();
        tape.backward(&[(&y, ones(3))]).unwrap();
        let grad = weight.grad().get().unwrap();
        (grad.to_f64_vec(), grad.view().buffer().address)
    };
    let (first, place) = step(2.0);
    assert_eq!(first, [2.0; 3]);
    assert_eq!(step(5.0), (vec![7.0; 3], place));
    weight.grad().clear();
    assert!(weight.grad().get().is_none());
    assert_eq!(step(0.5), (vec![0.5; 3], place));
}

#[test]
fn a_gradient_that_lies_inside_a_larger_one_is_added_to_in_its_own_place() {
    let _leaks = LeakCheck::default();
    // Backward of cat gives `b` a part of its dy, without a copy; then linear adds its product to that part. (dy must belong
    // to nobody else, or a copy would be made: hence the doubling after cat.)
    let tape = Tape::new();
    let b = tape.watch(tensor(&[1.0, 2.0], &[1, 2])).unwrap();
    let w = Var::constant(tensor(&[10.0, 0.0, 0.0, 100.0], &[2, 2]));
    let (y, a) = (b.linear(&w).unwrap(), Var::constant(tensor(&[0.0; 4], &[2, 2])));
    let joined = cat(&[&a, &b], 0).unwrap().affine(2.0, 0.0).unwrap();
    let seeds =
        [(&y, tensor(&[1.0, 1.0], &[1, 2])), (&joined, tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2]))];
    let gradients = tape.backward(&seeds).unwrap();
    assert_eq!(gradients.take(&b).unwrap().to_f64_vec(), [2.0 * 5.0 + 10.0, 2.0 * 6.0 + 100.0]);
}

#[test]
fn two_uses_of_one_gradient_do_not_disturb_each_other() {
    let _leaks = LeakCheck::default();
    // A residual hands the same dy to both its inputs; what is added to one must not show in the other, whichever comes first.
    for order in [[0, 1], [1, 0]] {
        let tape = Tape::new();
        let (a, b) = (tape.watch(ones(2)).unwrap(), tape.watch(ones(2)).unwrap());
        let uses: [&dyn Fn() -> Var; 2] = [&|| a.add(&b).unwrap(), &|| a.affine(2.0, 0.0).unwrap()];
        let [y, z] = order.map(|which: usize| uses[which]());
        let gradients = tape.backward(&[(&y, ones(2)), (&z, ones(2))]).unwrap();
        assert_eq!(gradients.take(&a).unwrap().to_f64_vec(), [3.0; 2]);
        assert_eq!(gradients.take(&b).unwrap().to_f64_vec(), [1.0; 2]);
    }
}

#[test]
fn a_weight_that_a_checkpointed_block_captures_is_refused() {
    let _leaks = LeakCheck::default();
    let tape = Tape::new();
    let captured = tape.watch(ones(3)).unwrap();
    let block = move |x: &[Var]| x[0].mul(&captured);
    let frozen = Var::constant(ones(3));
    let refused = autograd::ops::checkpoint::checkpoint(block, &[&frozen]);
    assert!(matches!(refused, Err(AutogradError::ForeignTape { op: "checkpoint" })));
}
