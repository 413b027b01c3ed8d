//! The operations of a plan: launches, work, and the least time that each takes on a GPU, as a table and as JSON.

use super::gpu::Gpu;
use kernels::profile::Totals;
use kernels::registry::Cost;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use tensor::DType;

/// Operations whose products run on tensor cores when the activations are bf16. The bound must hold, so what is partly done
/// there, or could be, counts as done there.
const PRODUCTS: &[&str] = &[
    "matmul",
    "attention_fwd",
    "attention_bwd",
    "newton_schulz",
    "polar_express",
    "paged_attention",
    "packed_linear",
    "packed_linear_int8",
];

/// Per operation: launches, and calls with their work.
pub type Kernels = Vec<(&'static str, usize, Totals)>;

/// What was launched since the last call, beside the profile's totals.
pub fn launched(totals: Vec<(&'static str, Totals)>) -> Kernels {
    let mut launches: BTreeMap<&str, usize> = BTreeMap::new();
    tensor::dry_launches().into_iter().for_each(|launch| *launches.entry(launch.op).or_default() += 1);
    totals.into_iter().map(|(op, t)| (op, launches.get(op).copied().unwrap_or(0), t)).collect()
}

/// One line of the table.
struct Line {
    op: &'static str,
    launches: usize,
    cost: Cost,
    seconds: f64,
    by_memory: bool,
}

/// The operations, the longest first.
pub struct Operations(Vec<Line>);

impl Operations {
    /// With activations of dtype `compute`.
    pub fn new(kernels: &Kernels, gpu: &Gpu, compute: DType) -> Operations {
        let line = |&(op, launches, Totals { cost, .. }): &(&'static str, usize, Totals)| {
            let tensor_cores = compute == DType::Bf16 && PRODUCTS.contains(&op);
            let seconds = gpu.at_least(cost, tensor_cores);
            Line { op, launches, cost, seconds, by_memory: gpu.is_bound_by_memory(cost, tensor_cores) }
        };
        let mut lines: Vec<Line> = kernels.iter().map(line).collect();
        lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Operations(lines)
    }
    /// No run of all of them takes less.
    pub fn seconds(&self) -> f64 {
        self.0.iter().map(|line| line.seconds).sum()
    }
    /// Of all of them.
    pub fn launches(&self) -> usize {
        self.0.iter().map(|line| line.launches).sum()
    }
    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{:<26} {:>9} {:>11} {:>10} {:>12}  bound by\n",
            "operation", "launches", "GFLOP", "GB", "at least ms"
        );
        for line in &self.0 {
            let _ = writeln!(
                out,
                "{:<26} {:>9} {:>11.1} {:>10.3} {:>12.3}  {}",
                line.op,
                line.launches,
                line.cost.flops / 1e9,
                line.cost.bytes / 1e9,
                1e3 * line.seconds,
                if line.by_memory { "memory" } else { "arithmetic" },
            );
        }
        let sum = |of: fn(&Line) -> f64| self.0.iter().map(of).sum::<f64>();
        let _ = writeln!(
            out,
            "{:<26} {:>9} {:>11.1} {:>10.3} {:>12.3}",
            "all",
            self.launches(),
            sum(|line| line.cost.flops) / 1e9,
            sum(|line| line.cost.bytes) / 1e9,
            1e3 * self.seconds(),
        );
        out
    }
    /// For programs.
    pub fn json(&self) -> Value {
        let operation = |line: &Line| {
            json!({
                "operation": line.op, "launches": line.launches, "flops": line.cost.flops, "bytes": line.cost.bytes,
                "lower_bound_ms": 1e3 * line.seconds, "bound_by": if line.by_memory { "memory" } else { "arithmetic" },
            })
        };
        self.0.iter().map(operation).collect()
    }
}
