//! The kernels under the runner, and the runner under deliberately wrong kernels: each must be caught by the check meant
//! for it.

use super::*;
use crate::backend::{Cpu, Reference};
use crate::element::{Bf16, DType};
use crate::registry::{Arg, Cost, Draw, Run};
use crate::rms_norm::rms_norm_fwd;
use crate::view::{Layout, View, ViewMut};
use crate::{KernelError, par};

fn assert_all_pass(backend: &dyn crate::Backend, budget: Budget, at_least: usize) {
    let mut failures = Vec::new();
    let summary = verify(backend, None, budget, &mut |r| {
        if !r.ok {
            failures.push(r.to_string());
        }
    });
    assert!(summary.checks > at_least && summary.rows.len() == crate::kernels().count(), "{summary:?}");
    let shown = failures.iter().take(60).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} checks failed:\n{shown}", failures.len(), summary.checks);
}

#[test]
fn every_kernel_on_the_cpu_agrees_with_its_definition() {
    assert_all_pass(&Cpu, Budget::default(), 10_000);
}

#[test]
fn every_definition_agrees_with_itself_in_any_layout_and_dtype() {
    assert_all_pass(&Reference, Budget { seeds: 1, max_elements: 2000 }, 5_000);
}

const SHAPES: &[(&str, &[usize])] = &[("one", &[1, 1]), ("empty", &[0, 3]), ("odd", &[5, 37])];

/// `y = 3·x`, right on any device and for any strides: what the wrong kernels below are variations of.
fn triple(x: &View, y: &mut ViewMut) -> crate::Result<()> {
    crate::check::dims("triple", "y", y.dims(), x.dims())?;
    y.store_f64(&x.to_f64().unwrap_or_default().iter().map(|v| 3.0 * v).collect::<Vec<_>>());
    Ok(())
}

fn kernel(run: Run) -> KernelInfo {
    KernelInfo {
        name: "triple",
        doc: "y = 3·x",
        samples: || {
            let sample = |&(label, dims): &(&'static str, &[usize])| {
                Sample::new(label, vec![Arg::input("x", dims, Draw::Normal), Arg::out("y", dims)])
            };
            SHAPES.iter().map(sample).collect()
        },
        bench: Vec::new,
        run,
        scales: &[1.0, 1e-3],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Any,
        tolerance: 0.0,
        roundings: 0.0,
        magnitude: None,
        cost: |_, _| Cost::default(),
    }
}

/// `y += 3·x` with the accumulation to be chosen by a scalar, here 0: y is to be overwritten.
fn updating(run: Run) -> KernelInfo {
    KernelInfo {
        samples: || {
            let sample = |&(label, dims): &(&'static str, &[usize])| {
                Sample::new(
                    label,
                    vec![Arg::input("x", dims, Draw::Normal), Arg::inout("y", dims, Draw::Normal)],
                )
            };
            SHAPES.iter().map(sample).collect()
        },
        ..kernel(run)
    }
}

/// Names of the checks that fail, each once.
fn failing(info: &KernelInfo) -> Vec<&'static str> {
    let mut names = Vec::new();
    verify_kernels([info], &Cpu, Budget::default(), &mut |r| {
        if !r.ok && !names.contains(&r.check) {
            names.push(r.check);
        }
    });
    names
}

/// Is this the definition's run, in f64? The wrong kernels are wrong on the device alone.
fn is_reference(x: &View) -> bool {
    x.dtype() == DType::F64
}

#[test]
fn a_right_kernel_passes_every_check() {
    assert!(failing(&kernel(|_, ins, outs, _| triple(&ins[0], &mut outs[0]))).is_empty());
    assert!(failing(&updating(|_, ins, outs, _| triple(&ins[0], &mut outs[0]))).is_empty());
}

#[test]
fn truncation_instead_of_rounding_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        triple(&ins[0], &mut outs[0])?;
        if ins[0].dtype() == DType::Bf16 {
            let cut = |v: f64| Bf16((((3.0 * v) as f32).to_bits() >> 16) as u16).to_f32() as f64;
            outs[0].store_f64(&ins[0].to_f64().unwrap_or_default().into_iter().map(cut).collect::<Vec<_>>());
        }
        Ok(())
    });
    assert_eq!(failing(&info), ["value"]);
}

#[test]
fn an_epsilon_that_is_off_by_a_tenth_is_caught_at_the_small_magnitude() {
    let right = crate::kernels().find(|k| k.name == "rms_norm_fwd").unwrap();
    let info = KernelInfo {
        bench: Vec::new,
        run: |b, ins, outs, s| {
            let [y, rstd] = outs else { unreachable!("two outputs") };
            let eps = if is_reference(&ins[0]) { s[0] } else { 1.1 * s[0] };
            rms_norm_fwd(b, ins[0], eps, y.reborrow(), rstd.reborrow())
        },
        ..*right
    };
    assert_eq!(failing(&info), ["value", "denormal"]);
    // The magnitude matters: far from eps only the one below the normal range sees it.
    assert_eq!(failing(&KernelInfo { scales: &[1e3], ..info }), ["denormal"]);
}

#[test]
fn a_write_behind_or_between_the_rows_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        triple(&ins[0], &mut outs[0])?;
        let span = outs[0].layout().span();
        let behind = Layout::strided(&[1], &[1], span)?;
        if !is_reference(&ins[0]) {
            outs[0].reborrow().with_layout(behind)?.store_f64(&[0.0]);
        }
        Ok(())
    });
    assert_eq!(failing(&info), ["memory"]);
}

#[test]
fn a_forgotten_last_row_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        let [rows, cols] = [ins[0].dims()[0], ins[0].dims()[1]];
        if is_reference(&ins[0]) || rows == 0 {
            return triple(&ins[0], &mut outs[0]);
        }
        let shorter = |l: &Layout| Layout::strided(&[rows - 1, cols], l.strides(), l.offset());
        crate::check::dims("triple", "y", outs[0].dims(), ins[0].dims())?;
        let (x, y) = (ins[0].with_layout(shorter(ins[0].layout())?)?, shorter(outs[0].layout())?);
        triple(&x, &mut outs[0].reborrow().with_layout(y)?)
    });
    assert_eq!(failing(&info), ["value", "denormal", "rows alike", "nan"]);
}

#[test]
fn accumulating_when_not_asked_to_is_caught() {
    let run: Run = |_, ins, outs, _| {
        crate::check::dims("triple", "y", outs[0].dims(), ins[0].dims())?;
        let old = outs[0].as_view().to_f64().unwrap_or_default();
        let keep = if is_reference(&ins[0]) { 0.0 } else { 1.0 };
        let sum = |(x, y): (f64, f64)| if keep == 0.0 { 3.0 * x } else { 3.0 * x + y };
        let x = ins[0].to_f64().unwrap_or_default();
        outs[0].store_f64(&x.into_iter().zip(old).map(sum).collect::<Vec<_>>());
        Ok(())
    };
    assert_eq!(failing(&kernel(run)), ["value", "denormal", "nan"]); // what was there is NaN
    assert_eq!(failing(&updating(run)), ["value", "nan", "infinity", "denormal", "rows alike"]);
}

#[test]
fn multiplying_the_old_output_by_zero_is_caught_by_its_nan() {
    let info = updating(|_, ins, outs, _| {
        crate::check::dims("triple", "y", outs[0].dims(), ins[0].dims())?;
        let old = outs[0].as_view().to_f64().unwrap_or_default();
        let zero = |old: f64| if is_reference(&ins[0]) { 0.0 } else { 0.0 * old };
        let x = ins[0].to_f64().unwrap_or_default();
        outs[0].store_f64(&x.into_iter().zip(old).map(|(x, y)| 3.0 * x + zero(y)).collect::<Vec<_>>());
        Ok(())
    });
    assert_eq!(failing(&info), ["nan"]);
}

#[test]
fn a_maximum_that_swallows_nan_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        triple(&ins[0], &mut outs[0])?;
        let swallow = |v: f64| if is_reference(&ins[0]) { v } else { v.max(-1e30) };
        let y = outs[0].as_view().to_f64().unwrap_or_default();
        outs[0].store_f64(&y.into_iter().map(swallow).collect::<Vec<_>>());
        Ok(())
    });
    assert_eq!(failing(&info), ["nan", "infinity"]);
}

#[test]
fn a_modified_input_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        triple(&ins[0], &mut outs[0])?;
        // SAFETY: breaks the promise that inputs are not written, on purpose; nobody else uses the buffer meanwhile.
        let mut x = unsafe { ViewMut::from_buffer(ins[0].buffer(), ins[0].dtype(), *ins[0].layout())? };
        let values = ins[0].to_f64().unwrap_or_default();
        x.store_f64(&values.into_iter().map(|v| -v).collect::<Vec<_>>());
        Ok(())
    });
    assert_eq!(failing(&info), ["memory"]);
}

#[test]
fn bits_that_depend_on_the_number_of_threads_are_caught() {
    let info = KernelInfo {
        tolerance: 1e6,
        ..kernel(|_, ins, outs, _| {
            triple(&ins[0], &mut outs[0])?;
            let factor = if par::threads() == 1 { 1.01 } else { 1.0 };
            let y = outs[0].as_view().to_f64().unwrap_or_default();
            outs[0].store_f64(&y.into_iter().map(|v| v * factor).collect::<Vec<_>>());
            Ok(())
        })
    };
    assert_eq!(failing(&info), ["same bits"]);
}

#[test]
fn strides_that_are_ignored_are_caught() {
    let info = kernel(|_, ins, outs, _| {
        crate::check::dims("triple", "y", outs[0].dims(), ins[0].dims())?;
        let dense =
            |l: &Layout| Layout::strided(l.dims(), Layout::contiguous(l.dims())?.strides(), l.offset());
        let (x, y) = (dense(ins[0].layout())?, dense(outs[0].layout())?);
        match ins[0].with_layout(x) {
            Ok(x) => triple(&x, &mut outs[0].reborrow().with_layout(y)?),
            Err(_) => triple(&ins[0], &mut outs[0]), // a repeated input is too short
        }
    });
    assert_eq!(failing(&info), ["value", "memory", "rows alike"]);
}

#[test]
fn bits_that_depend_on_where_a_row_stands_are_caught() {
    let info = KernelInfo {
        tolerance: 1e6,
        ..kernel(|_, ins, outs, _| {
            triple(&ins[0], &mut outs[0])?;
            let mut y = outs[0].as_view().to_f64().unwrap_or_default();
            if let (false, true, Some(last)) = (is_reference(&ins[0]), y.len() > 1, y.last_mut()) {
                *last *= 1.01;
            }
            outs[0].store_f64(&y);
            Ok(())
        })
    };
    assert_eq!(failing(&info), ["rows alike"]);
}

#[test]
fn layouts_accepted_beyond_the_declaration_are_caught() {
    let info =
        KernelInfo { layouts: Layouts::Rows, ..kernel(|_, ins, outs, _| triple(&ins[0], &mut outs[0])) };
    assert_eq!(failing(&info), ["layout refused"]);
}

#[test]
fn an_output_of_any_shape_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        let mut y = ins[0].to_f64().unwrap_or_default();
        y.iter_mut().for_each(|v| *v *= 3.0);
        y.resize(outs[0].numel(), 0.0);
        outs[0].store_f64(&y);
        Ok(())
    });
    assert_eq!(failing(&info), ["shape refused"]);
}

#[test]
fn a_refusal_after_the_first_write_is_caught() {
    let info = kernel(|_, ins, outs, _| {
        if ins[0].dims() != outs[0].dims() {
            outs[0].store_f64(&vec![0.0; outs[0].numel()]);
        }
        triple(&ins[0], &mut outs[0])
    });
    assert_eq!(failing(&info), ["shape refused"]);
}

#[test]
fn a_panic_is_a_failed_check_and_not_the_end() {
    let info = kernel(|_, ins, outs, _| {
        let last = ins[0].dims()[1];
        assert!(is_reference(&ins[0]) || last < 30, "a long row");
        triple(&ins[0], &mut outs[0])
    });
    let mut details = Vec::new();
    verify_kernels([&info], &Cpu, Budget::default(), &mut |r| {
        details.extend((!r.ok).then(|| r.detail.clone()))
    });
    assert!(details.iter().any(|d| d == "panicked: a long row"), "{details:?}");
}

#[test]
fn a_refused_call_is_a_failed_check() {
    let info = kernel(|_, ins, outs, _| {
        if ins[0].dtype() == DType::Bf16 {
            return Err(KernelError::Parameter { op: "triple", what: "no bf16 here".into() });
        }
        triple(&ins[0], &mut outs[0])
    });
    assert!(failing(&info).contains(&"value"));
}
