//! Tests of what tensors refuse: every misuse is a typed error that names the operation, and nothing has been changed.
#![allow(clippy::unwrap_used)]

use autograd::Tape;
use kernels::KernelError;
use tensor::{AttentionParams, DType, Device, Result, Tensor, TensorError, memory};
use tests::LeakCheck;

fn on(device: Device, dims: &[usize]) -> Tensor {
    Tensor::full(1.0, dims, DType::F32, device).unwrap()
}

fn cpu(dims: &[usize]) -> Tensor {
    on(Device::Cpu, dims)
}

fn ids(values: &[i32], dims: &[usize]) -> Tensor {
    Tensor::ids(values, dims, Device::Cpu).unwrap()
}

#[test]
fn operands_on_two_devices_are_refused_by_every_operation() {
    let _leaks = LeakCheck::default();
    let there = |dims: &[usize]| on(Device::Reference, dims);
    let far = |values: &[i32], dims: &[usize]| Tensor::ids(values, dims, Device::Reference).unwrap();
    let p = AttentionParams { scale: 1.0, window: None };
    let head = [1, 2, 1, 4];
    let (q, table) = (cpu(&head), cpu(&[2, 2]));
    let at = || ids(&[0, 1], &[1, 2]);
    // Each line has one operand on the other device; where there are several places, each in turn.
    let calls: Vec<(&str, Result<()>)> = vec![
        ("add", cpu(&[2]).add(&there(&[2])).map(drop)),
        ("accumulate", cpu(&[2]).accumulate(1.0, &there(&[2]))),
        ("accumulate_scaled, factor", cpu(&[2]).accumulate_scaled(&there(&[1]), &cpu(&[2]))),
        ("accumulate_scaled, term", cpu(&[2]).accumulate_scaled(&cpu(&[1]), &there(&[2]))),
        ("accumulate_narrow", cpu(&[2]).accumulate_narrow(0, 0, 1.0, &there(&[1]))),
        ("write_narrow", cpu(&[2]).write_narrow(0, 0, &there(&[1]))),
        ("copy_from", cpu(&[2]).copy_from(&there(&[2]))),
        ("matmul", cpu(&[2, 2]).matmul(&there(&[2, 2])).map(drop)),
        ("matmul_assign, a", cpu(&[2, 2]).matmul_assign(&there(&[2, 2]), &cpu(&[2, 2]), 1.0, 0.0)),
        ("matmul_assign, b", cpu(&[2, 2]).matmul_assign(&cpu(&[2, 2]), &there(&[2, 2]), 1.0, 0.0)),
        ("rope, positions", q.rope(&far(&[0, 1], &[1, 2]), &table, &table, false).map(drop)),
        ("rope, cos", q.rope(&at(), &there(&[2, 2]), &table, false).map(drop)),
        ("rope, sin", q.rope(&at(), &table, &there(&[2, 2]), false).map(drop)),
        ("attention, k", q.attention(&there(&head), &q, p).map(drop)),
        ("attention, v", q.attention(&q, &there(&head), p).map(drop)),
        ("paged, k", q.paged_attention(&there(&head), &q, &ids(&[0], &[1, 1]), &at(), p).map(drop)),
        ("paged, v", q.paged_attention(&q, &there(&head), &ids(&[0], &[1, 1]), &at(), p).map(drop)),
        ("paged, table", q.paged_attention(&q, &q, &far(&[0], &[1, 1]), &at(), p).map(drop)),
        ("paged, at", q.paged_attention(&q, &q, &ids(&[0], &[1, 1]), &far(&[0, 1], &[1, 2]), p).map(drop)),
        ("append, x", cpu(&head).kv_append(&there(&head), &at(), &ids(&[0], &[1, 1]))),
        ("append, at", cpu(&head).kv_append(&q, &far(&[0, 1], &[1, 2]), &ids(&[0], &[1, 1]))),
        ("append, table", cpu(&head).kv_append(&q, &at(), &far(&[0], &[1, 1]))),
        ("embedding", table.embedding(&far(&[0], &[1]), DType::F32).map(drop)),
        ("loss", cpu(&[1, 3]).cross_entropy_(&far(&[0], &[1]), 0.0).map(drop)),
        (
            "loss back, lse",
            cpu(&[1, 3]).cross_entropy_backward_(&ids(&[0], &[1]), 0.0, &there(&[1]), &cpu(&[1])),
        ),
        (
            "loss back, weight",
            cpu(&[1, 3]).cross_entropy_backward_(&ids(&[0], &[1]), 0.0, &cpu(&[1]), &there(&[1])),
        ),
        (
            "loss back, ids",
            cpu(&[1, 3]).cross_entropy_backward_(&far(&[0], &[1]), 0.0, &cpu(&[1]), &cpu(&[1])),
        ),
    ];
    for (name, result) in calls {
        assert!(matches!(result, Err(TensorError::DeviceMismatch { .. })), "{name}: {result:?}");
    }
}

#[test]
fn dtypes_are_not_mixed_silently() {
    let _leaks = LeakCheck::default();
    let refused = |r: Result<Tensor>| matches!(r, Err(TensorError::Kernel(KernelError::DType { .. })));
    let half = cpu(&[2, 2]).cast(DType::Bf16).unwrap();
    let whole = ids(&[1, 2, 3, 4], &[2, 2]);
    let x = cpu(&[2, 2]);
    assert!(
        refused(x.add(&half)) && refused(half.mul(&x)) && refused(x.matmul(&half)) && refused(x.sub(&whole))
    );
    assert!(refused(whole.add(&whole)) && refused(whole.matmul(&whole)) && refused(whole.relu_squared()));
    assert!(
        refused(whole.rms_norm(1e-6).map(|(y, _)| y))
            && refused(whole.sum(&[0]))
            && refused(whole.affine(1.0, 0.0))
    );
    assert!(refused(x.embedding(&x, DType::F32)) && refused(whole.embedding(&whole, DType::F32)));
    assert!(matches!(whole.to_vec::<f32>(), Err(TensorError::DTypeMismatch { .. })));
    let wide = Tensor::zeros(&[2], DType::F64, Device::Cpu);
    assert!(matches!(wide, Err(TensorError::DTypeMismatch { .. })), "only the reference stores f64");
}

#[test]
fn memory_that_others_see_is_not_changed() {
    let _leaks = LeakCheck::default();
    let shared = |r: Result<()>| matches!(r, Err(TensorError::SharedStorage { others: 1 }));
    let other = cpu(&[4]);
    for hold in [
        |x: &Tensor| x.clone(),
        |x: &Tensor| x.narrow(0, 1, 2).unwrap(),
        |x: &Tensor| x.expand(&[2, 4]).unwrap(),
    ] {
        let mut x = cpu(&[4]);
        let held = hold(&x);
        assert!(shared(x.fill(0.0)) && shared(x.copy_from(&other)) && shared(x.accumulate(1.0, &other)));
        assert!(shared(x.write_narrow(0, 0, &other)) && shared(x.accumulate_scaled(&cpu(&[1]), &other)));
        assert_eq!(held.to_f64_vec(), vec![1.0; held.numel()]);
    }
    let (tape, mut x) = (Tape::new(), cpu(&[4]));
    let y = tape.watch(x.clone()).unwrap().square().unwrap();
    assert!(x.fill(0.0).is_err(), "the tape reads it in backward");
    drop(tape.backward(&[(&y, other)]).unwrap());
    x.fill(0.0).unwrap();
}

#[test]
fn ids_outside_the_table_are_refused() {
    let _leaks = LeakCheck::default();
    let refused = |r: Result<()>| matches!(r, Err(TensorError::Kernel(KernelError::IndexOutOfRange { .. })));
    for bad in [-1, 3, i32::MAX, i32::MIN] {
        let row = ids(&[0, bad], &[2]);
        assert!(refused(cpu(&[3, 2]).embedding(&row, DType::F32).map(drop)), "embedding of {bad}");
        let tables = (cpu(&[3, 1]), cpu(&[3, 1]));
        let at = row.reshape(&[1, 2]).unwrap();
        assert!(
            refused(cpu(&[1, 2, 1, 2]).rope(&at, &tables.0, &tables.1, false).map(drop)),
            "position {bad}"
        );
        let loss = cpu(&[2, 3]).cross_entropy_(&row, 0.0).map(drop);
        assert!(if bad == -1 { loss.is_ok() } else { refused(loss) }, "target {bad}");
    }
}

#[test]
fn axes_and_ranges_outside_are_refused_without_overflow() {
    let _leaks = LeakCheck::default();
    let x = cpu(&[2, 3]);
    let far = usize::MAX;
    let outside = |r: Result<Tensor>| matches!(r, Err(TensorError::OutOfRange { .. }));
    assert!(outside(x.narrow(0, far, 2)) && outside(x.narrow(1, 2, far)) && outside(x.narrow(1, 4, 0)));
    assert!(outside(x.narrow(2, 0, 0)) && outside(x.narrow(far, 0, 1)) && !outside(x.narrow(1, 3, 0)));
    assert!(outside(x.transpose(0, 2)) && outside(x.transpose(far, 0)) && outside(x.unsqueeze(3)));
    assert!(outside(x.sum(&[2])) && outside(x.max(&[0, far])));
    assert!(outside(x.copied().and_then(|mut y| y.write_narrow(far, 0, &x).map(|()| y))));
    let misfit = |r: Result<Tensor>| matches!(r, Err(TensorError::Shape { .. }));
    assert!(misfit(x.permute(&[0])) && misfit(x.permute(&[0, 0])) && misfit(x.permute(&[1, 2])));
    assert!(misfit(x.expand(&[3])) && misfit(x.expand(&[3, 3])) && misfit(x.expand(&[])));
    assert!(misfit(x.reshape(&[5])) && misfit(x.reshape(&[])) && misfit(x.sum_to(&[1, 1, 1])));
    assert!(x.item().is_err() && cpu(&[0]).item().is_err() && cpu(&[1, 1]).item().is_ok());
}

#[test]
fn shapes_whose_product_overflows_are_refused() {
    let _leaks = LeakCheck::default();
    let large = |r: Result<Tensor>| matches!(r, Err(TensorError::Kernel(KernelError::TooLarge { .. })));
    for dims in [
        &[usize::MAX, 2][..],
        &[1 << 32, 1 << 32],
        &[1 << 31, 1 << 31, 1 << 31],
        &[0, usize::MAX, usize::MAX],
    ] {
        assert!(large(Tensor::uninit(dims, DType::F32, Device::Cpu)), "{dims:?}");
        assert!(large(Tensor::from_slice(&[0.0f32; 2], dims, Device::Cpu)), "{dims:?}");
        assert!(large(cpu(&[1]).reshape(dims)) && large(cpu(&[]).expand(&[1 << 40, 1 << 40])), "{dims:?}");
    }
    // 2^64 wraps to 0: an empty tensor must not be reshaped to it.
    assert!(large(cpu(&[0]).reshape(&[1 << 32, 1 << 32])));
    let rank = |r: Result<Tensor>| matches!(r, Err(TensorError::Kernel(KernelError::Rank { rank: 6, .. })));
    assert!(
        rank(cpu(&[1]).reshape(&[1; 6]))
            && rank(cpu(&[1]).expand(&[1; 6]))
            && rank(cpu(&[1; 5]).unsqueeze(0))
    );
}

#[test]
fn tensors_without_elements_work_wherever_they_make_sense() {
    let _leaks = LeakCheck::default();
    let (rows, cols) = (cpu(&[0, 3]), cpu(&[3, 0]));
    assert_eq!(rows.add(&cpu(&[1, 3])).unwrap().dims(), [0, 3]);
    assert_eq!(rows.matmul(&cpu(&[3, 2])).unwrap().dims(), [0, 2]);
    assert_eq!(cols.matmul(&rows).unwrap().to_f64_vec(), [0.0; 9], "a sum of nothing is 0");
    assert_eq!(rows.sum(&[0]).unwrap().to_f64_vec(), [0.0; 3]);
    assert_eq!(rows.rms_norm(1e-6).unwrap().1.dims(), [0]);
    assert!(
        matches!(cols.rms_norm(1e-6), Err(TensorError::Kernel(KernelError::Parameter { .. }))),
        "a mean of nothing"
    );
    assert_eq!(rows.reshape(&[7, 0, 2]).unwrap().contiguous().unwrap().dims(), [7, 0, 2]);
    assert_eq!(rows.embedding(&ids(&[], &[0]), DType::F32).unwrap().dims(), [0, 3]);
    assert_eq!(rows.sum_squares().unwrap(), 0.0);
    assert!(rows.embedding(&ids(&[0], &[1]), DType::F32).is_err());
}

#[test]
fn debug_builds_fill_fresh_and_reused_memory_with_nan() {
    let _leaks = LeakCheck::default();
    for _ in 0..2 {
        let x = Tensor::uninit(&[1237], DType::F32, Device::Cpu).unwrap();
        if cfg!(debug_assertions) {
            assert!(x.to_f64_vec().iter().all(|v| v.is_nan()));
        }
    }
    assert!(memory::stats(Device::Cpu).system_allocations > 0);
}

#[test]
fn rows_without_elements_are_refused_wherever_they_begin() {
    let _leaks = LeakCheck::default();
    let of = |dims: &[usize]| Tensor::zeros(dims, DType::F32, Device::Cpu).unwrap();
    let rows = of(&[3, 5]).narrow(1, 2, 0).unwrap();
    assert!(rows.layer_norm(&of(&[0]), None, 1e-5).is_err());
    assert!(rows.add_rms_norm(&rows, 1e-5).is_err() && rows.rms_norm(1e-5).is_err());
    let heads = of(&[1, 2, 1, 4]).narrow(3, 2, 0).unwrap();
    let positions = Tensor::ids(&[0, 1], &[1, 2], Device::Cpu).unwrap();
    assert!(heads.rope(&positions, &of(&[2, 0]), &of(&[2, 0]), false).is_err());
}
