//! What is computed: the registry's checks, products by cuBLAS in every form, times.

use crate::child::{gpu, run};
use cuda::hardware::Clock;
use cuda::{Cuda, Driver, DriverError, Hardware, Rung, verify};
use kernels::matmul::matmul;
use kernels::verify::Budget;
use kernels::{Bf16, DType, Layout, View, ViewMut};

/// The registry's checks of these folders.
fn pass(gpu: &Cuda<Hardware>, folders: &[&str], max_elements: usize) {
    let (mut failures, mut checks) = (Vec::new(), 0);
    for &(_, table) in kernels::TABLES.iter().filter(|(folder, _)| folders.contains(folder)) {
        for info in table {
            verify(info, gpu, Budget { max_elements, ..Budget::default() }, &mut |result| {
                checks += 1;
                failures.extend((!result.ok).then(|| result.to_string()));
            });
        }
    }
    failures.truncate(8);
    assert!(checks > 30 * folders.len() && failures.is_empty(), "{checks} checks: {failures:#?}");
    assert_eq!(gpu.statistics().in_use, 0);
}

#[test]
fn kernels_of_every_kind_pass_the_registrys_checks() {
    run("results::kernels_of_every_kind_pass_the_registrys_checks", &[], || {
        // rows, tensor cores with much shared memory, structs by value, doubles between launches, ids, random numbers, many launches
        let folders =
            ["rms_norm", "attention", "adamw", "reduce", "embedding", "random", "muon", "copy", "top_k"];
        pass(&gpu(), &folders, 700);
    });
}

#[test]
fn products_pass_the_registrys_checks_with_cublas_and_without() {
    run("results::products_pass_the_registrys_checks_with_cublas_and_without", &[], || {
        let gpu = gpu();
        pass(&gpu, &["matmul"], 3000);
        assert!(gpu.driver().blas().is_ok());
        pass(&gpu.with_matmul(Rung::Pipelined), &["matmul"], 700);
    });
}

/// Numbers that are exact in every type, as are their sums.
fn small(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 + seed) % 9) as f32 - 4.0).collect()
}

/// Is an operand dense along its rows, along its columns, or a part of something wider?
#[derive(Clone, Copy, Debug)]
enum Form {
    Rows,
    Columns,
    Part,
}

impl Form {
    fn layout(self, batch: usize, rows: usize, columns: usize) -> Layout {
        let (dims, wide) = ([batch, rows, columns], columns + 3);
        match self {
            Form::Rows => Layout::contiguous(&dims),
            Form::Columns => Layout::strided(&dims, &[rows * columns, 1, rows], 0),
            Form::Part => Layout::strided(&dims, &[rows * wide, wide, 1], 2),
        }
        .unwrap()
    }
}

fn last(layout: &Layout) -> usize {
    layout.offset() + layout.dims().iter().zip(layout.strides()).map(|(d, s)| (d - 1) * s).sum::<usize>() + 1
}

#[test]
fn cublas_takes_every_form_of_operands_and_leaves_what_lies_between() {
    run("results::cublas_takes_every_form_of_operands_and_leaves_what_lies_between", &[], || {
        let gpu = gpu();
        let (batch, m, n, k) = (3, 5, 4, 7);
        let forms = [Form::Rows, Form::Columns, Form::Part];
        for i in 0..27 {
            let [fa, fb, fc] = [i / 9, i / 3 % 3, i % 3].map(|form: usize| forms[form]);
            for dtype in [DType::F32, DType::Bf16] {
                let (la, lb, lc) = (fa.layout(batch, m, k), fb.layout(batch, k, n), fc.layout(batch, m, n));
                let (a, b) = (small(last(&la), 1), small(last(&lb), 5));
                let mut c = small(last(&lc) + 2, 2);
                let mut want = c.clone();
                for (g, i, j) in
                    (0..batch).flat_map(|g| (0..m).flat_map(move |i| (0..n).map(move |j| (g, i, j))))
                {
                    let at = |l: &Layout, x: usize, y: usize| {
                        l.offset() + g * l.strides()[0] + x * l.strides()[1] + y * l.strides()[2]
                    };
                    let sum: f32 = (0..k).map(|l| a[at(&la, i, l)] * b[at(&lb, l, j)]).sum();
                    let place = at(&lc, i, j);
                    want[place] = 0.5 * sum + 2.0 * want[place];
                }
                let halves = |x: &[f32]| x.iter().map(|x| Bf16::from_f32(*x)).collect::<Vec<_>>();
                let (ha, hb) = (halves(&a), halves(&b));
                let [xs, ys] = match dtype {
                    DType::F32 => {
                        [View::from_slice_strided(&a, la).unwrap(), View::from_slice_strided(&b, lb).unwrap()]
                    }
                    _ => [
                        View::from_slice_strided(&ha, la).unwrap(),
                        View::from_slice_strided(&hb, lb).unwrap(),
                    ],
                };
                matmul(&gpu, xs, ys, ViewMut::from_slice_strided(&mut c, lc).unwrap(), 0.5, 2.0).unwrap();
                assert_eq!(c, want, "{fa:?} {fb:?} {fc:?} {dtype}");
                let launches = gpu.driver().launches();
                assert!(launches.starts_with("cublasGemmStridedBatchedEx of matmul"), "{launches}");
            }
        }
    });
}

#[test]
fn launches_are_timed_by_events_or_by_the_host() {
    run("results::launches_are_timed_by_events_or_by_the_host", &[], || {
        let gpu = gpu();
        let sleep = std::time::Duration::from_millis(20);
        let timed = gpu.driver().seconds(|| {
            std::thread::sleep(sleep);
            Ok::<(), DriverError>(())
        });
        let (seconds, clock) = timed.unwrap();
        assert!(seconds >= sleep.as_secs_f64() && clock == Clock::Host, "{seconds} by {clock:?}");
        assert_eq!(gpu.driver().name(), "cuda");
    });
}
