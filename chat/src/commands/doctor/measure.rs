//! Quick measurements: what bounds this machine, and what the matrix product makes of it.

use super::{Fact, Section};
use kernels::measure::{self, clock};
use kernels::{Cpu, View, ViewMut, matmul};
use serde_json::json;
use std::time::Duration;

/// How long the matrix product may repeat itself.
const BUDGET: Duration = Duration::from_millis(350);

/// The section of measurements.
pub fn section() -> Section {
    let (gflops, size) = matmul_gflops();
    let gflops_text = match gflops {
        Some(g) => format!("{g:.0} GFLOP/s ({size} × {size}, best of several)"),
        None => "unknown".into(),
    };
    let roof = measure::roofline();
    let (f32, bf16) = (roof.f32_flops / 1e9, roof.bf16_flops.map(|f| f / 1e9));
    let bf16_text = bf16.map_or(String::new(), |g| format!(", bf16 {g:.0} GFLOP/s"));
    let memory = roof.memory() / 1e9;
    let facts = vec![
        Fact::new(
            "peak",
            json!({ "f32_gflops": f32, "bf16_gflops": bf16 }),
            format!("f32 {f32:.0} GFLOP/s{bf16_text}"),
        ),
        Fact::new("f32_matrix_product", json!({ "gflops": gflops, "size": size }), gflops_text),
        Fact::new(
            "memory_bandwidth",
            json!({ "gb_per_s": memory }),
            format!("{memory:.1} GB/s (best of several)"),
        ),
    ];
    Section { title: "Measured", key: "measured", facts }
}

/// GFLOP/s of the f32 matrix product, and the size used: a small one where the machine (or the build) is slow.
fn matmul_gflops() -> (Option<f64>, usize) {
    let mut result = (None, 0);
    for size in [256, 1024] {
        let (a, b) = (vec![1.0f32; size * size], vec![0.5f32; size * size]);
        let mut c = vec![0.0f32; size * size];
        let mut fine = true;
        let seconds = clock::best(BUDGET, || fine &= multiply(&a, &b, &mut c, size).is_ok());
        if fine {
            result = (Some(2.0 * (size as f64).powi(3) / seconds / 1e9), size);
        }
        if seconds > BUDGET.as_secs_f64() / 100.0 {
            break; // 64 times the work would take too long
        }
    }
    result
}

fn multiply(a: &[f32], b: &[f32], c: &mut [f32], n: usize) -> kernels::Result<()> {
    let dims = [n, n];
    let out = ViewMut::from_slice(c, &dims)?;
    matmul::matmul(&Cpu, View::from_slice(a, &dims)?, View::from_slice(b, &dims)?, out, 1.0, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_that_is_timed_is_the_right_one() {
        let mut c = vec![0.0; 4];
        multiply(&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 1.0, 1.0], &mut c, 2).unwrap();
        assert_eq!(c, [3.0, 2.0, 7.0, 4.0]);
    }
}
