//! The kernels of `tests/ptx/numbers.cu`, for both architectures, against the same in plain Rust.
#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use emulator::{Arg, Buffer, Config, Device, Launch, Module, Options};

const TEXTS: [&str; 2] = [include_str!("ptx/numbers.ptx"), include_str!("ptx/numbers.compute_90.ptx")];

/// Runs a kernel of each text; `make` gives its buffers, in the order of the parameters, and the number after them; `see` looks at
/// what it left in them.
fn each<const N: usize>(
    kernel: &str,
    threads: u32,
    make: impl Fn(&mut Device) -> ([Buffer; N], i32),
    see: impl Fn(&mut Device, [Buffer; N], u32),
) {
    for text in TEXTS {
        let module = Module::load(text, "numbers.ptx").unwrap_or_else(|e| panic!("{e}"));
        let mut device = Device::new(Config::default());
        let (buffers, number) = make(&mut device);
        let mut args: Vec<Arg> = buffers.map(Arg::from).into();
        args.push(number.into());
        let launch = Launch { block: [threads, 1, 1], ..Launch::of(&module, kernel, &args) };
        device.launch(&launch).unwrap_or_else(|fault| panic!("{fault}"));
        see(&mut device, buffers, module.target());
    }
}

const INTEGERS: [i64; 9] =
    [1, -1, 7, 0x1_0000_0007, -0x7fff_ffff_0000_0003, 1 << 40 | 5, 0x7fff_ffff, -0x8000_0001, 12_345_678_901];

#[test]
fn integers_have_the_same_bits() {
    let mut input = Vec::new();
    for a in INTEGERS {
        for b in INTEGERS {
            input.extend([a, b]);
        }
    }
    let n = input.len() / 2;
    let make = |device: &mut Device| {
        let out = device.alloc(160 * n as u64).unwrap();
        ([out, device.upload(&input).unwrap()], n as i32)
    };
    each("integers", 96, make, |device, buffers, _| {
        let out = device.download::<i64>(buffers[0]).unwrap();
        for (pair, got) in input.chunks(2).zip(out.chunks(20)) {
            let (a, b) = (pair[0], pair[1]);
            let (a32, b32) = (a as i32, b as i32);
            let (u, v) = (a32 as u32, b32 as u32);
            let field = 0xf_ffff_u64 << 12;
            let tripled = (a as f64 * 3.0) as f32;
            let want = [
                a.wrapping_div(b),
                a.wrapping_rem(b),
                (a as u64 / b as u64) as i64,
                (u / v).into(),
                (u % v).into(),
                a.wrapping_neg(),
                a32.wrapping_neg().into(),
                a32.min(b32).into(),
                (u64::from(u) * u64::from(v)).wrapping_add(a as u64) as i64,
                ((b as u64 & !field) | ((a as u64) << 12 & field)) as i64,
                a | b,
                (a == b).into(),
                (a >= b).into(),
                (a > b).into(),
                (a < b).into(),
                (a != b).into(),
                ((a as u64) < b as u64).into(),
                (a32 == b32).into(),
                (tripled.to_bits() as i32).into(),
                (a32 < b32 && a32 != 0).into(),
            ];
            assert_eq!(got, want, "of {a:#x} and {b:#x}");
        }
    });
}

const FLOATS: [f32; 10] = [1.5, -2.5, 3.0, 0.1, -0.75, 1e-3, 7.5, 1e6, f32::NAN, 2.5];

#[test]
fn rounding_and_comparisons_have_the_same_bits() {
    let mut input = Vec::new();
    for x in FLOATS {
        for y in FLOATS {
            input.extend([x, y]);
        }
    }
    let n = input.len() / 2;
    let make = |device: &mut Device| {
        let out = device.alloc(72 * n as u64).unwrap();
        ([out, device.upload(&input).unwrap()], n as i32)
    };
    let narrow = |x: f32| -> u32 {
        let bits = x.to_bits();
        if x.is_nan() { 0x7fff } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 }
    };
    let truth = |yes: bool| f32::from(u8::from(yes));
    each("floats", 128, make, |device, buffers, _| {
        let out = device.download::<f32>(buffers[0]).unwrap();
        for (pair, got) in input.chunks(2).zip(out.chunks(18)) {
            let (x, y) = (pair[0], pair[1]);
            let unordered = x.is_nan() || y.is_nan();
            let want = [
                x.abs(),
                -x,
                x + y,
                x * y,
                x.floor(),
                x.round_ties_even(),
                x.trunc(),
                if x.is_nan() { 0.0 } else { x.round_ties_even() },
                x.abs().sqrt(),
                1.0 / x,
                truth(x == y),
                truth(x >= y),
                truth(x >= y || unordered),
                truth(x > y || unordered),
                truth(x < y || unordered),
                truth(x != y),
            ];
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                assert!(
                    got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                    "{i} of {x}, {y}: {got} for {want}"
                );
            }
            // the first operand is the high half; x·x + x in each half, rounded once
            let pair = narrow(x) << 16 | narrow(y);
            assert_eq!(got[16].to_bits(), pair, "of {x} and {y}");
            let widen = |h: u32| f64::from(f32::from_bits(h << 16));
            let half = |h: u32| {
                let exact = widen(h) * widen(h) + widen(h); // 8-bit factors: exact in f64
                if exact.is_nan() {
                    0x7fff
                } else {
                    u32::from(emulator::half::f64_to_bf16(exact, emulator::half::Round::Nearest))
                }
            };
            assert_eq!(got[17].to_bits(), half(pair >> 16) << 16 | half(pair & 0xffff), "of {x} and {y}");
        }
    });
}

#[test]
fn approximations_are_within_their_documented_error() {
    let input: Vec<f32> = (0..256).map(|i| 0.25 + i as f32 / 256.0 * 3.75).collect();
    let make = |device: &mut Device| {
        let out = device.alloc(20 * 256).unwrap();
        ([out, device.upload(&input).unwrap()], 256)
    };
    each("approximations", 256, make, |device, buffers, _| {
        let out = device.download::<f32>(buffers[0]).unwrap();
        for (x, got) in input.iter().zip(out.chunks(5)) {
            let x = f64::from(*x);
            let want = [x.exp2(), x.exp2(), x.log2(), x.tanh(), 1.0 / x];
            let relative = [2.0_f64.powi(-22), 2.0_f64.powi(-22), 0.0, 2.0_f64.powi(-10), 2.0_f64.powi(-22)];
            for i in 0..5 {
                let bound = relative[i] * want[i].abs() + if i == 2 { 2.0_f64.powi(-21) } else { 0.0 };
                assert!(
                    (f64::from(got[i]) - want[i]).abs() <= bound,
                    "{i} of {x}: {} for {}",
                    got[i],
                    want[i]
                );
            }
        }
    });
}

#[test]
fn every_way_through_memory_keeps_the_numbers() {
    let input: Vec<u32> = (0..32).map(|i| 1000 + i * i).collect();
    for shift in [0_usize, 3] {
        let make = |device: &mut Device| {
            let (out, totals) = (device.alloc(512).unwrap(), device.upload(&[5_u32, 0]).unwrap());
            ([out, totals, device.upload(&input).unwrap()], shift as i32)
        };
        each("memories", 32, make, |device, buffers, _| {
            let out = device.download::<u32>(buffers[0]).unwrap();
            for (t, got) in out.chunks(4).enumerate() {
                let picked = input[t / 4 * 4 + ((t + shift) & 3)].wrapping_add(input[t / 4 * 4]);
                let below = input[(t + 1).min(31)];
                assert_eq!(got, [input[t], picked, 2 * input[31 - t], below], "lane {t}");
            }
            assert_eq!(device.download::<u32>(buffers[1]).unwrap(), [1961, 7]);
        });
    }
}

#[test]
fn transposed_tiles_and_pairs_of_halves() {
    let tiles: Vec<u16> = (0..256).collect();
    let make = |device: &mut Device| {
        let out = device.alloc(512).unwrap();
        ([out, device.upload(&tiles).unwrap()], 256)
    };
    each("tiles", 32, make, |device, buffers, _| {
        let out = device.download::<u32>(buffers[0]).unwrap();
        for (t, got) in out.chunks(4).enumerate() {
            for (tile, got) in got.iter().enumerate() {
                // lane t has rows 2·(t mod 4) and the next of column t / 4
                let at = |row: usize| u32::from(tiles[64 * tile + 8 * row + t / 4]);
                assert_eq!(*got, at(2 * (t % 4) + 1) << 16 | at(2 * (t % 4)), "lane {t}, tile {tile}");
            }
        }
    });
    let halves: Vec<u16> = (0..20).map(|i| (f32::from(i as u8).to_bits() >> 16) as u16).collect();
    let make = |device: &mut Device| {
        let (out, sum) = (device.alloc(80).unwrap(), device.upload(&[0_u32]).unwrap());
        ([out, sum, device.upload(&halves).unwrap()], 20)
    };
    each("pairs", 32, make, |device, buffers, target| {
        let out = device.download::<f32>(buffers[0]).unwrap();
        assert!(out.iter().enumerate().all(|(i, x)| *x == i as f32));
        // twenty times (2, 1), as two bf16
        let want = if target >= 90 { 20.0_f32.to_bits() | 40.0_f32.to_bits() >> 16 } else { 0 };
        assert_eq!(device.download::<u32>(buffers[1]).unwrap(), [want]);
    });
}

#[test]
fn a_module_for_a_newer_device_is_refused() {
    let module = Module::load(TEXTS[1], "numbers.ptx").unwrap();
    let mut device = Device::new(Config { compute_capability: 80, ..Config::default() });
    let options = Options::default();
    let args: Vec<Arg> = vec![0_u64.into(), 0_u64.into(), 0_i32.into()];
    let fault = device.launch(&Launch { options, ..Launch::of(&module, "floats", &args) }).unwrap_err();
    assert_eq!(fault.kind, emulator::FaultKind::Unsupported);
}
