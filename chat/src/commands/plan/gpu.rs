//! GPUs as their makers describe them: memory, how fast it is read, how fast products are.
//!
//! The numbers are those of NVIDIA's data sheets, without sparsity and at the clock that the sheet assumes: what a kernel can at
//! best reach, and what no kernel does.

use kernels::registry::Cost;
use serde_json::{Value, json};

/// One model of GPU.
#[derive(Clone, Copy, Debug)]
pub struct Gpu {
    /// What `--gpu` calls it.
    pub name: &'static str,
    /// 10⁹ bytes.
    pub memory_gb: f64,
    /// 10⁹ bytes per second.
    pub gb_per_s: f64,
    /// 10¹² operations per second in bf16 on tensor cores, sums in f32.
    pub bf16_tflops: f64,
    /// 10¹² operations per second in f32, without tensor cores.
    pub f32_tflops: f64,
}

const fn gpu(name: &'static str, memory_gb: f64, gb_per_s: f64, bf16_tflops: f64, f32_tflops: f64) -> Gpu {
    Gpu { name, memory_gb, gb_per_s, bf16_tflops, f32_tflops }
}

/// Those that are known: compute capability 8.0 and later.
pub const GPUS: &[Gpu] = &[
    gpu("h100", 80.0, 3352.0, 989.0, 66.9),
    gpu("h200", 141.0, 4800.0, 989.0, 66.9),
    gpu("a100", 80.0, 2039.0, 312.0, 19.5),
    gpu("a100-40gb", 40.0, 1555.0, 312.0, 19.5),
    gpu("l40s", 48.0, 864.0, 362.0, 91.6),
    gpu("l4", 24.0, 300.0, 121.0, 30.3),
    gpu("rtx4090", 24.0, 1008.0, 165.2, 82.6),
    gpu("rtx3090", 24.0, 936.0, 71.0, 35.6),
];

/// The GPU of this name, or which names there are.
pub fn named(name: &str) -> Result<Gpu, String> {
    let found = GPUS.iter().find(|gpu| gpu.name.eq_ignore_ascii_case(name)).copied();
    found.ok_or_else(|| {
        let names: Vec<&str> = GPUS.iter().map(|gpu| gpu.name).collect();
        format!("no GPU is called {name:?}; known: {}", names.join(", "))
    })
}

impl Gpu {
    /// Seconds that this work takes at least: its products at the peak, or its bytes at the bandwidth, whichever takes longer.
    pub fn at_least(&self, cost: Cost, tensor_cores: bool) -> f64 {
        let peak = if tensor_cores { self.bf16_tflops } else { self.f32_tflops };
        self.arithmetic(cost, peak).max(cost.bytes / (1e9 * self.gb_per_s))
    }
    fn arithmetic(&self, cost: Cost, tflops: f64) -> f64 {
        cost.flops / (1e12 * tflops)
    }
    /// Is it memory that sets the bound?
    pub fn is_bound_by_memory(&self, cost: Cost, tensor_cores: bool) -> bool {
        cost.bytes / (1e9 * self.gb_per_s) >= self.at_least(cost, tensor_cores)
    }
    /// For a report.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name, "memory_gb": self.memory_gb, "gb_per_s": self.gb_per_s,
            "bf16_tflops": self.bf16_tflops, "f32_tflops": self.f32_tflops,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_memory_and_products_sets_the_bound() {
        let gpu = named("H100").unwrap();
        let copy = Cost { flops: 0.0, bytes: 3352e9 };
        assert!((gpu.at_least(copy, true) - 1.0).abs() < 1e-9 && gpu.is_bound_by_memory(copy, true));
        let product = Cost { flops: 989e12, bytes: 1.0 };
        assert!((gpu.at_least(product, true) - 1.0).abs() < 1e-9 && !gpu.is_bound_by_memory(product, true));
        assert!(gpu.at_least(product, false) > 10.0);
    }

    #[test]
    fn an_unknown_gpu_is_told_which_are_known() {
        assert!(named("abacus").unwrap_err().contains("rtx4090"));
    }
}
