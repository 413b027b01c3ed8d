//! Planted bugs: pairs of kernels, one right and one with a mistake that somebody could make (`tests/ptx/*.cu`). The wrong
//! one must be caught by the checker, the counter or the comparison named here; the right one must raise nothing, in the
//! usual order and in shuffled ones.
#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use emulator::FaultKind::*;
use emulator::{Arg, Config, Counters, Device, Fault, FaultKind, Launch, Module, Options};

/// What must find a mistake.
enum Caught {
    /// One of these faults.
    By(&'static [FaultKind]),
    /// Another result than the right kernel's.
    Result,
    /// A counter that is at least this many times the right kernel's.
    Counter(fn(&Counters) -> u64, u64),
}

use Caught::{By, Counter, Result as Numbers};

fn wavefronts(counters: &Counters) -> u64 {
    counters.total.wavefronts
}

fn sectors(counters: &Counters) -> u64 {
    counters.load_sectors.0
}

/// File, kernel, and whether the output holds zeros before the launch.
const BUGS: &[(&str, &str, bool, Caught)] = &[
    ("barriers", "missing", false, By(&[SharedRace, UninitShared])),
    ("barriers", "misplaced", false, By(&[SharedRace])),
    ("barriers", "trailing", false, By(&[SharedRace, UninitShared])),
    ("barriers", "one_warp", false, By(&[DivergentBarrier])),
    ("barriers", "half_warp", false, By(&[DivergentBarrier])),
    ("barriers", "two_places", false, By(&[DivergentBarrier])),
    ("barriers", "unequal_loops", false, By(&[DivergentBarrier])),
    ("barriers", "wrong_count", false, By(&[DivergentBarrier])),
    ("barriers", "wrong_number", false, By(&[DivergentBarrier])),
    ("barriers", "tree", false, By(&[SharedRace, WarpRace])),
    ("barriers", "scan", false, By(&[SharedRace, WarpRace])),
    ("barriers", "double_buffer", false, By(&[SharedRace, WarpRace])),
    ("barriers", "partial_sums", false, By(&[SharedRace])),
    ("barriers", "producer", false, By(&[SharedRace, UninitShared])),
    ("warps", "exchange", false, By(&[WarpRace])),
    ("warps", "shift", false, By(&[SharedRace])),
    ("warps", "shift_warp", false, By(&[WarpRace])),
    ("warps", "one_place", false, By(&[WarpRace])),
    ("warps", "histogram", false, By(&[WarpRace, SharedRace])),
    ("warps", "mask_too_large", false, By(&[MemberMask])),
    ("warps", "reads_outside", false, By(&[MemberMask])),
    ("warps", "mask_too_small", false, By(&[MemberMask])),
    ("warps", "two_shuffles", false, By(&[MemberMask])),
    ("warps", "warp_barrier_mask", false, By(&[MemberMask])),
    ("warps", "short_sum", false, Numbers),
    ("memory", "past_the_end", false, By(&[OutOfBounds])),
    ("memory", "before_the_start", false, By(&[OutOfBounds])),
    ("memory", "no_guard", false, By(&[OutOfBounds])),
    ("memory", "vector_tail", false, By(&[OutOfBounds])),
    ("memory", "misaligned_rows", false, By(&[Misaligned])),
    ("memory", "wild_pointer", false, By(&[OutOfBounds])),
    ("memory", "shared_overflow", false, By(&[OutOfBounds])),
    ("memory", "unfilled_tile", false, By(&[UninitShared])),
    ("memory", "unset_output", false, By(&[UninitGlobal])),
    ("memory", "unset_local", false, By(&[UninitLocal])),
    ("memory", "unset_register", false, By(&[UninitRegister])),
    ("memory", "forgotten_block", false, By(&[GlobalRace])),
    ("memory", "overlapping_blocks", false, By(&[GlobalRace])),
    ("memory", "stencil_in_place", true, By(&[GlobalRace])),
    ("memory", "total_too_early", true, By(&[GlobalRace])),
    ("memory", "plain_sum", true, By(&[GlobalRace])),
    ("memory", "stale_read", false, By(&[StaleRead])),
    ("memory", "divides_by_zero", false, By(&[DivisionByZero])),
    ("memory", "waits_for_ever", true, By(&[Budget])),
    ("memory", "strided", false, Counter(sectors, 4)),
    ("memory", "unpadded", false, Counter(wavefronts, 15)),
    ("tiles", "no_wait", false, By(&[InFlight])),
    ("tiles", "wait_for_too_few", false, By(&[InFlight])),
    ("tiles", "no_commit", false, By(&[InFlight])),
    ("tiles", "wait_without_barrier", false, By(&[SharedRace, InFlight, UninitShared])),
    ("tiles", "writes_in_flight", false, By(&[InFlight])),
    ("tiles", "refill_too_early", false, By(&[SharedRace, InFlight])),
    ("tiles", "misaligned_copy", false, By(&[Misaligned])),
    ("tiles", "copy_past_the_end", false, By(&[OutOfBounds])),
    ("tiles", "half_a_warp", false, By(&[MemberMask])),
    ("tiles", "misaligned_matrix", false, By(&[Misaligned])),
    ("tiles", "swapped_a_tiles", false, Numbers),
    ("tiles", "transposed_b", false, Numbers),
    ("tiles", "swapped_b_halves", false, Numbers),
    ("tiles", "swapped_pair", false, Numbers),
    ("tiles", "transposed_result", false, Numbers),
    ("tiles", "unswizzled", false, Counter(wavefronts, 4)),
];

fn module(file: &str) -> Module {
    let path = format!("{}/tests/ptx/{file}.ptx", env!("CARGO_MANIFEST_DIR"));
    Module::load(&std::fs::read_to_string(path).unwrap(), file).unwrap()
}

fn run(
    module: &Module,
    kernel: &str,
    zeros: bool,
    options: &Options,
) -> Result<(Vec<u32>, Counters), Box<Fault>> {
    let mut device = Device::new(Config::default());
    // positive numbers below 1, different in every place
    let data: Vec<f32> = (0..128).map(|i| ((i * 37 + 11) % 128) as f32 / 128.0 + 0.001).collect();
    let input = device.upload(&data).unwrap();
    let out = if zeros { device.upload(&[0.0_f32; 128]) } else { device.alloc(512) }.unwrap();
    let args: [Arg; 3] = [out.into(), input.into(), 128_i32.into()];
    let report = device.launch(&Launch {
        grid: [2, 1, 1],
        block: [64, 1, 1],
        options: *options,
        ..Launch::of(module, kernel, &args)
    })?;
    assert!(!report.global_races_incomplete);
    Ok((device.download(out).unwrap(), report.counters))
}

#[test]
fn every_mistake_is_caught_and_no_right_kernel_is_accused() {
    let options = Options { budget: 200_000, ..Options::default() };
    let (mut problems, mut file, mut loaded) = (Vec::new(), "", None);
    for (name, kernel, zeros, caught) in BUGS {
        if file != *name {
            (file, loaded) = (name, Some(module(name)));
        }
        let module = loaded.as_ref().unwrap();
        let right = match run(module, &format!("{kernel}_right"), *zeros, &options) {
            Ok(right) => right,
            Err(fault) => {
                problems.push(format!("{kernel} is right, but: {fault}"));
                continue;
            }
        };
        for seed in 0..5 {
            let options = Options { order: Some(seed), ..options };
            if let Err(fault) = run(module, &format!("{kernel}_right"), *zeros, &options) {
                problems.push(format!("{kernel} is right, but in order {seed}: {fault}"));
            }
        }
        for order in [None, Some(1), Some(2), Some(3)] {
            let wrong = run(module, &format!("{kernel}_wrong"), *zeros, &Options { order, ..options });
            let found = match (&wrong, caught) {
                (Err(fault), By(kinds)) => kinds.contains(&fault.kind),
                (Ok(wrong), Numbers) => wrong.0 != right.0,
                (Ok(wrong), Counter(of, times)) => {
                    of(&wrong.1) >= times * of(&right.1) && wrong.0.len() == 128
                }
                _ => false,
            };
            if !found {
                let what = wrong.map_or_else(|fault| fault.to_string(), |_| "nothing".into());
                problems.push(format!("{kernel}, order {order:?}: found {what}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn each_kernel_of_the_files_is_in_the_table() {
    for file in ["barriers", "warps", "memory", "tiles"] {
        for kernel in module(file).kernels() {
            let name = kernel.trim_end_matches("_right").trim_end_matches("_wrong");
            assert!(BUGS.iter().any(|bug| bug.0 == file && bug.1 == name), "{kernel}");
        }
    }
    assert!(BUGS.len() >= 40);
}

#[test]
fn a_report_names_both_parties_and_their_lines() {
    let fault = run(&module("barriers"), "misplaced_wrong", false, &Options::default()).unwrap_err();
    let source = include_str!("ptx/barriers.cu");
    let line = |number: u32| source.lines().nth(number as usize - 1).unwrap();
    let (file, number) = fault.place.cuda.clone().unwrap();
    assert_eq!((file.as_str(), fault.kernel.as_str()), ("barriers.cu", "misplaced_wrong"));
    let other = fault.other.clone().unwrap();
    assert!(line(number).contains("s[t] = x") || line(number).contains("s[63 - t]"), "{fault}");
    assert!(fault.warp != other.warp && fault.lane.is_some() && other.lane.is_some());
    assert!(fault.place.text.contains("shared") && other.place.text.contains("shared"));
    let text = fault.to_string();
    for word in ["SharedRace", "barriers.cu:", "PTX line", "block (0, 0, 0)", "warp", "lane", "against"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn launch_limits() {
    let module = module("memory");
    let mut device = Device::new(Config::default());
    let buffer = device.upload(&[0.0_f32; 4096]).unwrap();
    let args: [Arg; 3] = [buffer.into(), buffer.into(), 1_i32.into()];
    let mut kind = |grid, block, shared, options: Options| {
        let launch = Launch::of(&module, "past_the_end_right", &args);
        device
            .launch(&Launch { grid, block, shared_bytes: shared, options, ..launch })
            .map_err(|f| f.kind)
            .err()
    };
    let (one, plain) = ([1, 1, 1], Options::default());
    assert_eq!(kind(one, [1025, 1, 1], 0, plain), Some(LaunchLimit));
    assert_eq!(kind(one, [8, 8, 32], 0, plain), Some(LaunchLimit));
    assert_eq!(kind(one, [1, 1, 65], 0, plain), Some(LaunchLimit));
    assert_eq!(kind(one, [0, 1, 1], 0, plain), Some(LaunchLimit));
    assert_eq!(kind([1, 65_536, 1], [1, 1, 1], 0, plain), Some(LaunchLimit));
    assert_eq!(kind([1, 0, 1], [1, 1, 1], 0, plain), Some(LaunchLimit));
    assert_eq!(kind(one, [1024, 1, 1], 0, Options { registers: Some(65), ..plain }), Some(LaunchLimit));
    assert_eq!(kind(one, [32, 1, 1], (48 << 10) + 1, plain), Some(LaunchLimit));
    assert_eq!(kind(one, [32, 1, 1], 200 << 10, Options { large_shared: true, ..plain }), Some(LaunchLimit));
    assert_eq!(kind(one, [32, 1, 1], 100 << 10, Options { large_shared: true, ..plain }), None);
}
