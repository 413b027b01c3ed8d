//! What the emulator counts of a copy, of the norms, of each rung of the matrix product and of attention in both directions: the tables
//! of the book. `cargo run -p nanochat-cuda --example counters`.
#![allow(clippy::print_stdout)] // it is a program

use cuda::{Cuda, Emulated, Rung};
use emulator::{Class, Counters};
use kernels::attention::{AttentionParams, attention_bwd, attention_fwd};
use kernels::copy::copy;
use kernels::layer_norm::{layer_norm_bwd, layer_norm_fwd};
use kernels::matmul::matmul;
use kernels::rms_norm::{rms_norm_bwd, rms_norm_fwd};
use kernels::{Bf16, Layout, Result, View, ViewMut};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    println!("| kernel | sectors read | least | sectors written | shared accesses | least | mma |");
    println!("|---|---|---|---|---|---|---|");
    copies()?;
    norms()?;
    layer_norms()?;
    for rung in [Rung::Naive, Rung::Tiled, Rung::Tensor, Rung::Pipelined] {
        product(rung)?;
    }
    attention(256, 64)?;
    attention(256, 128)?;
    Ok(())
}

fn show(what: &str, gpu: &Cuda<Emulated>) {
    let Some(counters) = gpu.driver().counters() else { return };
    let Counters { classes, total, load_sectors, store_sectors, .. } = counters;
    let mma = classes.get(&Class::Matrix).copied().unwrap_or(0);
    println!(
        "| {what} | {} | {} | {} | {} | {} | {mma} |",
        load_sectors.0, load_sectors.1, store_sectors.0, total.wavefronts, total.requests
    );
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

fn halves(n: usize) -> Vec<Bf16> {
    numbers(n).into_iter().map(Bf16::from_f32).collect()
}

fn norms() -> Result<()> {
    let (gpu, dims, rows) = (Cuda::new(Emulated::default()), [64, 768], [64]);
    let x = halves(64 * 768);
    let (mut y, mut rstd, mut dx) = (x.clone(), vec![0.0_f32; 64], x.clone());
    let (out, stats) = (ViewMut::from_slice(&mut y, &dims)?, ViewMut::from_slice(&mut rstd, &rows)?);
    rms_norm_fwd(&gpu, View::from_slice(&x, &dims)?, 1e-6, out, stats)?;
    show("`rms_norm_fwd`, 64 rows of 768 bf16", &gpu);
    let (dy, ys) = (View::from_slice(&x, &dims)?, View::from_slice(&y, &dims)?);
    rms_norm_bwd(&gpu, dy, ys, View::from_slice(&rstd, &rows)?, ViewMut::from_slice(&mut dx, &dims)?, false)?;
    show("`rms_norm_bwd`, the same", &gpu);
    Ok(())
}

fn layer_norms() -> Result<()> {
    let (gpu, dims, rows) = (Cuda::new(Emulated::default()), [64, 768], [64]);
    let (x, gain, bias) = (halves(64 * 768), numbers(768), numbers(768));
    let (mut y, mut dx, mut mean, mut rstd) = (x.clone(), x.clone(), vec![0.0_f32; 64], vec![0.0_f32; 64]);
    let (xs, gains) = (View::from_slice(&x, &dims)?, View::from_slice(&gain, &[768])?);
    let stats = [ViewMut::from_slice(&mut mean, &rows)?, ViewMut::from_slice(&mut rstd, &rows)?];
    let biases = Some(View::from_slice(&bias, &[768])?);
    layer_norm_fwd(&gpu, xs, gains, biases, 1e-5, ViewMut::from_slice(&mut y, &dims)?, stats)?;
    show("`layer_norm_fwd`, the same", &gpu);
    let stats = [View::from_slice(&mean, &rows)?, View::from_slice(&rstd, &rows)?];
    let dy = View::from_slice(&y, &dims)?;
    layer_norm_bwd(&gpu, dy, xs, gains, stats, ViewMut::from_slice(&mut dx, &dims)?, false)?;
    show("`layer_norm_bwd`, the same", &gpu);
    Ok(())
}

/// A matrix along its rows, along its columns, and every eighth column of one.
fn copies() -> Result<()> {
    let (gpu, n) = (Cuda::new(Emulated::default()), 256);
    let (x, mut y) = (numbers(8 * n * n), vec![0.0_f32; n * n]);
    for (what, strides) in [("by rows", [n, 1]), ("by columns", [1, n]), ("every eighth number", [8 * n, 8])]
    {
        let layout = Layout::strided(&[n, n], &strides, 0)?;
        let from = View::from_slice(&x, &[x.len()])?.with_layout(layout)?;
        copy(&gpu, from, ViewMut::from_slice(&mut y, &[n, n])?)?;
        show(&format!("`copy`, 256 × 256 f32, {what}"), &gpu);
    }
    Ok(())
}

fn product(rung: Rung) -> Result<()> {
    let (gpu, n) = (Cuda::new(Emulated::default()).with_matmul(rung), 256);
    let (a, b, mut c) = (halves(n * n), halves(n * n), vec![Bf16::from_f32(0.0); n * n]);
    let (a, b) = (View::from_slice(&a, &[n, n])?, View::from_slice(&b, &[n, n])?);
    matmul(&gpu, a, b, ViewMut::from_slice(&mut c, &[n, n])?, 1.0, 0.0)?;
    show(&format!("matmul, {rung:?}, 256 × 256 × 256 bf16"), &gpu);
    Ok(())
}

fn attention(t: usize, d: usize) -> Result<()> {
    let (gpu, dims, x) = (Cuda::new(Emulated::default()), [1, t, 1, d], halves(t * d));
    let (mut o, mut lse) = (x.clone(), vec![0.0_f32; t]);
    let xs = View::from_slice(&x, &dims)?;
    let p = AttentionParams { scale: (d as f32).sqrt().recip(), window: None };
    let (out, stats) = (ViewMut::from_slice(&mut o, &dims)?, ViewMut::from_slice(&mut lse, &[1, 1, t])?);
    attention_fwd(&gpu, xs, xs, xs, p, out, stats)?;
    show(&format!("`attention_fwd`, {t} queries, head of {d}"), &gpu);
    let (mut dq, mut dk, mut dv) = (x.clone(), x.clone(), x.clone());
    let (os, stats) = (View::from_slice(&o, &dims)?, View::from_slice(&lse, &[1, 1, t])?);
    let [dq, dk, dv] = [&mut dq, &mut dk, &mut dv].map(|dx| ViewMut::from_slice(dx, &dims));
    attention_bwd(&gpu, xs, xs, xs, os, stats, xs, p, dq?, dk?, dv?, false)?;
    // of its two launches the last
    show(&format!("`attention_bwd`, dk and dv, {t} queries, head of {d}"), &gpu);
    Ok(())
}
