//! A plan of decoding as text and as JSON.

use super::decode::Plan;
use super::gpu::Gpu;
use super::operations::Operations;
use super::table::{gigabytes, model_on, verdict};
use model::GptConfig;
use serde_json::{Value, json};
use std::fmt::Write;
use tensor::DType;

/// Everything that is said.
pub struct Report {
    /// The step.
    pub plan: Plan,
    /// Where.
    pub gpu: Gpu,
    /// Bytes that it may take.
    pub room: f64,
    /// The model.
    pub config: GptConfig,
    /// Positions that the model has.
    pub positions: usize,
    /// The activations' dtype.
    pub compute: DType,
}

impl Report {
    fn operations(&self) -> Operations {
        Operations::new(&self.plan.kernels, &self.gpu, self.compute)
    }
    fn fits(&self) -> bool {
        self.plan.peak() <= self.room
    }
    /// For people.
    pub fn text(&self) -> String {
        let (config, plan, gpu) = (&self.config, &self.plan, &self.gpu);
        let mut out = format!(
            "a token for each of {} rows of {} tokens, {}\n\n",
            plan.rows,
            plan.context,
            model_on(config, self.compute, gpu),
        );
        let _ = writeln!(out, "{:<26} {:>9}", "memory", "GB");
        for (label, bytes) in &plan.memory {
            out += &gigabytes(label, *bytes, "");
        }
        out += &gigabytes("peak while weights load", plan.loading, "");
        out += &gigabytes("peak", plan.peak(), &verdict(plan.peak(), self.room));
        let _ =
            writeln!(out, "{:<26} {:>9}   of {} tokens", "most rows that fit", plan.most_rows, plan.context);
        let limit =
            if plan.most_context >= self.positions { ": all positions that the model has" } else { "" };
        let _ = writeln!(
            out,
            "{:<26} {:>9}   for {} rows{limit}\n",
            "longest context that fits", plan.most_context, plan.rows
        );
        let operations = self.operations();
        out += &operations.text();
        let _ = writeln!(
            out,
            "\nAt most {:.0} tokens/s in all rows together, {:.1} in each. That is an upper bound from the data sheet, not a forecast: \
             no step is\nfaster, and a real one is slower; with few rows its {} launches alone take longer.",
            plan.rows as f64 / operations.seconds(),
            1.0 / operations.seconds(),
            operations.launches(),
        );
        out
    }
    /// For programs.
    pub fn json(&self) -> Value {
        let (plan, config, operations) = (&self.plan, &self.config, self.operations());
        let memory: serde_json::Map<String, Value> =
            plan.memory.iter().map(|(label, bytes)| ((*label).to_string(), json!(bytes))).collect();
        json!({
            "gpu": self.gpu.json(),
            "shape": {
                "depth": config.n_layer, "n_embd": config.n_embd, "n_head": config.n_head, "n_kv_head": config.n_kv_head,
                "head_dim": config.head_dim(), "vocab": config.vocab_size, "batch": plan.rows, "context": plan.context,
                "positions": self.positions, "dtype": self.compute.to_string(),
            },
            "memory": memory,
            "loading_bytes": plan.loading,
            "peak_bytes": plan.peak(),
            "room_bytes": self.room,
            "fits": self.fits(),
            "most_rows": plan.most_rows,
            "most_context": plan.most_context,
            "operations": operations.json(),
            "launches": operations.launches(),
            "lower_bound_ms": 1e3 * operations.seconds(),
            "tokens_per_s_at_most": plan.rows as f64 / operations.seconds(),
        })
    }
}
