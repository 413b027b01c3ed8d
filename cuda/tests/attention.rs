//! Attention on tensor cores beyond the registry's small shapes: heads of 64 and 128, more than one tile, windows, shared keys;
//! and what the counters say of it.
#![allow(clippy::unwrap_used)] // a test may stop

use cuda::{Cuda, Emulated, Together};
use emulator::{Class, Counters, Options};
use kernels::attention::{AttentionParams, KERNELS, attention_bwd, attention_fwd};
use kernels::paged_attention::paged_attention;
use kernels::registry::{KernelInfo, Sample};
use kernels::verify::{Budget, verify_kernels};
use kernels::{Bf16, DType, View, ViewMut};

/// The registry's sample of one direction in another size: B, T, H, Hk, D, and the window.
fn resized(info: &KernelInfo, [b, t, h, kv_heads, d]: [usize; 5], window: f64) -> Sample {
    let mut sample = (info.samples)().swap_remove(1);
    for arg in &mut sample.args {
        arg.dims = match arg.name {
            "k" | "v" | "dk" | "dv" => vec![b, t, kv_heads, d],
            "lse" => vec![b, h, t],
            _ => vec![b, t, h, d],
        };
    }
    sample.scalars = [(d as f64).sqrt().recip() as f32 as f64, window, 1.0].to_vec();
    sample.scalars.extend([b, t, h, kv_heads, d].map(|n| n as f64));
    sample
}

fn large(info: &KernelInfo) -> Vec<Sample> {
    vec![resized(info, [1, 130, 2, 1, 64], 70.0), resized(info, [1, 70, 1, 1, 128], -1.0)]
}

#[test]
fn several_tiles_of_both_head_sizes_are_right_in_any_order() {
    let gpu = Cuda::new(Emulated::new(Options { order: Some(5), perturb: Some(5), ..Options::default() }));
    let bf16 = &[DType::Bf16];
    let [forward, backward] = KERNELS else { panic!("two directions") };
    let infos = [
        KernelInfo { samples: || large(&KERNELS[0]), dtypes: bf16, ..*forward },
        KernelInfo { samples: || large(&KERNELS[1]), dtypes: bf16, ..*backward },
    ];
    let mut failures = Vec::new();
    let summary = verify_kernels(&infos, &gpu, Budget::default(), &mut |result| {
        failures.extend((!result.ok).then(|| result.to_string()));
    });
    assert!(summary.checks > 30 && failures.is_empty(), "{} checks: {failures:#?}", summary.checks);
}

/// Queries, keys and values of every size below 1, all different enough.
fn numbers(n: usize, seed: usize) -> Vec<Bf16> {
    (0..n).map(|i| Bf16::from_f32(((i * 37 + seed * 11) % 101) as f32 / 101.0 - 0.5)).collect()
}

/// Counters of forward and of backward's second kernel, and of all three together.
fn counters([t, h, kv_heads, d]: [usize; 4], window: Option<usize>) -> ([Counters; 2], Together) {
    let gpu = Cuda::new(Emulated::default());
    let p = AttentionParams { scale: (d as f32).sqrt().recip(), window };
    let (wide, narrow) = ([1, t, h, d], [1, t, kv_heads, d]);
    let (q, k, v) = (numbers(t * h * d, 1), numbers(t * kv_heads * d, 2), numbers(t * kv_heads * d, 3));
    let (mut o, mut lse) = (q.clone(), vec![0.0_f32; h * t]);
    let [qs, ks, vs] =
        [(&q, wide), (&k, narrow), (&v, narrow)].map(|(x, dims)| View::from_slice(x, &dims).unwrap());
    let out = ViewMut::from_slice(&mut o, &wide).unwrap();
    attention_fwd(&gpu, qs, ks, vs, p, out, ViewMut::from_slice(&mut lse, &[1, h, t]).unwrap()).unwrap();
    let forward = gpu.driver().counters().unwrap();
    let (mut dq, mut dk, mut dv) = (q.clone(), k.clone(), v.clone());
    let (os, stats) = (View::from_slice(&o, &wide).unwrap(), View::from_slice(&lse, &[1, h, t]).unwrap());
    let [dqs, dks, dvs] = [(&mut dq, wide), (&mut dk, narrow), (&mut dv, narrow)]
        .map(|(x, dims)| ViewMut::from_slice(x, &dims).unwrap());
    attention_bwd(&gpu, qs, ks, vs, os, stats, qs, p, dqs, dks, dvs, false).unwrap();
    ([forward, gpu.driver().counters().unwrap()], gpu.driver().together())
}

#[test]
fn no_bank_is_met_twice_and_no_product_is_made_in_vain() {
    for (sizes, window) in [([192, 2, 1, 64], None), ([256, 1, 1, 64], Some(64)), ([128, 1, 1, 128], None)] {
        let [t, h, _, d] = sizes;
        // pairs of a tile of queries and one of keys, 64 each, of which some query sees some key
        let (tiles, back) = (t / 64, window.map_or(t / 64, |w: usize| w.div_ceil(64) + 1));
        let pairs: usize = (0..tiles).map(|tile| (tile + 1).min(back)).sum();
        // m16n8k16: 64 × 64 × D is 4 · 8 · D/16 of them
        let product = (4 * 8 * (d / 16) * pairs * h) as u64;
        let ([forward, backward], all) = counters(sizes, window);
        assert_eq!(forward.classes[&Class::Matrix], 2 * product, "{sizes:?} {window:?}");
        assert_eq!(backward.classes[&Class::Matrix], 4 * product, "{sizes:?} {window:?}");
        // with the three of dq
        assert_eq!((all.launches, all.matrix), (3, 9 * product), "{sizes:?} {window:?}");
        assert_eq!(all.shared.0, all.shared.1, "{sizes:?} {window:?}");
        for counters in [forward, backward] {
            let (used, least) = (counters.total.wavefronts, counters.total.requests);
            assert!(used == least && least > 1000, "{sizes:?} {window:?}: {used} for {least}");
            let (used, least) = counters.store_sectors;
            assert_eq!(used, least, "{sizes:?} {window:?}");
            let (used, least) = counters.load_sectors;
            assert_eq!(used, least, "{sizes:?} {window:?}");
        }
    }
}

#[test]
fn heads_that_no_kernel_takes_are_refused_with_the_size_that_it_takes() {
    let (gpu, dims, x) = (Cuda::new(Emulated::default()), [1, 2, 1, 264], numbers(2 * 264, 1));
    let (mut o, mut lse) = (x.clone(), [0.0_f32; 2]);
    let xs = View::from_slice(&x, &dims).unwrap();
    let p = AttentionParams { scale: 0.1, window: None };
    let (out, stats) =
        (ViewMut::from_slice(&mut o, &dims).unwrap(), ViewMut::from_slice(&mut lse, &[1, 1, 2]).unwrap());
    let whole = attention_fwd(&gpu, xs, xs, xs, p, out, stats).unwrap_err();
    let (table, positions) = ([0_i32], [0_i32, 1]);
    let (table, positions) =
        (View::from_slice(&table, &[1, 1]).unwrap(), View::from_slice(&positions, &[1, 2]).unwrap());
    let out = ViewMut::from_slice(&mut o, &dims).unwrap();
    let paged = paged_attention(&gpu, xs, xs, xs, table, positions, p, out).unwrap_err();
    for refused in [whole, paged] {
        let what = refused.to_string();
        assert!(what.contains("heads of 264") && what.contains("up to 256"), "{what}");
    }
    assert_eq!(gpu.driver().together().launches, 0);
}
