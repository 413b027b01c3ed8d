//! The kernels of `tests/ptx/rows.cu`: results, and what the counters say of them.
#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use emulator::{Arg, Checks, Class, Config, Device, Launch, Module, Options};

fn module() -> Module {
    Module::load(include_str!("ptx/rows.ptx"), "rows.ptx").unwrap()
}

fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 1009) as f32 / 500.0 - 0.8).collect()
}

fn widen(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

#[test]
fn squared_relu_reads_and_writes_each_byte_once() {
    let module = module();
    for n in [1_usize, 8, 13, 4096, 4099] {
        let mut device = Device::new(Config::default());
        let x: Vec<u16> = numbers(n).into_iter().map(bf16).collect();
        let (xb, yb) = (device.upload(&x).unwrap(), device.alloc(2 * n as u64).unwrap());
        let args: [Arg; 3] = [yb.into(), xb.into(), (n as i32).into()];
        let grid = [n.div_ceil(8 * 128) as u32, 1, 1];
        let report = device
            .launch(&Launch { grid, block: [128, 1, 1], ..Launch::of(&module, "relu_squared", &args) })
            .unwrap();
        let want: Vec<u16> = x.iter().map(|x| widen(*x).max(0.0)).map(|f| bf16(f * f)).collect();
        assert_eq!(device.download::<u16>(yb).unwrap(), want);
        if n == 4096 {
            let sectors = n as u64 * 2 / 32;
            assert_eq!(report.counters.load_sectors, (sectors, sectors));
            assert_eq!(report.counters.store_sectors, (sectors, sectors));
            assert_eq!(report.counters.total.splits, 0);
            assert_eq!(report.counters.classes[&Class::GlobalLoad], 4096 / 8 / 32);
        }
    }
}

#[test]
fn rms_norm_over_odd_rows_in_any_order_and_for_any_number_of_workers() {
    let module = module();
    for (rows, columns, threads) in [(1_usize, 1_usize, 32), (7, 333, 96), (3, 1025, 256)] {
        let x = numbers(rows * columns);
        let run = |options: &Options| {
            let mut device = Device::new(Config::default());
            let (xb, yb) = (device.upload(&x).unwrap(), device.alloc(4 * x.len() as u64).unwrap());
            let args: [Arg; 4] = [yb.into(), xb.into(), (columns as i32).into(), 1e-5_f32.into()];
            device
                .launch(&Launch {
                    grid: [rows as u32, 1, 1],
                    block: [threads, 1, 1],
                    options: *options,
                    ..Launch::of(&module, "rms_norm", &args)
                })
                .unwrap();
            device.download::<f32>(yb).unwrap()
        };
        let y = run(&Options::default());
        for (row, got) in x.chunks(columns).zip(y.chunks(columns)) {
            let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / columns as f64;
            for (x, got) in row.iter().zip(got) {
                let want = f64::from(*x) / (mean + 1e-5).sqrt();
                assert!((f64::from(*got) - want).abs() <= 1e-6 * want.abs());
            }
        }
        for options in [
            Options { order: Some(1), ..Options::default() },
            Options { threads: Some(1), ..Options::default() },
            Options { checks: Checks::NONE, ..Options::default() },
            Options { portable: true, ..Options::default() },
            Options { threads: Some(3), order: Some(2), ..Options::fast() },
        ] {
            assert!(run(&options) == y, "the same bits with {options:?}");
        }
        let moved = run(&Options { perturb: Some(1), ..Options::default() });
        assert!(moved != y && moved.iter().zip(&y).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()));
    }
}
