//! A plan as text and as JSON.

use super::gpu::Gpu;
use super::operations::Operations;
use super::rows::Plan;
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
    /// Bytes that the step may take.
    pub room: f64,
    /// The model.
    pub config: GptConfig,
    /// The activations' dtype.
    pub compute: DType,
}

/// A model on a GPU, in words.
pub(super) fn model_on(config: &GptConfig, compute: DType, gpu: &Gpu) -> String {
    let (blocks, width) = (config.n_layer, config.n_embd);
    format!(
        "{blocks} blocks of width {width}, {compute}, on {} ({} GB, {} GB/s)",
        gpu.name, gpu.memory_gb, gpu.gb_per_s
    )
}

/// A line of the table of memory.
pub(super) fn gigabytes(label: &str, bytes: f64, remark: &str) -> String {
    format!("{label:<26} {:>9.3}{remark}\n", bytes / 1e9)
}

/// Whether `peak` bytes fit into `room`, for the end of a line.
pub(super) fn verdict(peak: f64, room: f64) -> String {
    let fits = if peak <= room { "fits" } else { "does not fit" };
    format!("   {fits} into {:.1} GB", room / 1e9)
}

impl Report {
    fn operations(&self) -> Operations {
        Operations::new(&self.plan.kernels, &self.gpu, self.compute)
    }
    fn fits(&self) -> bool {
        self.plan.peak <= self.room
    }
    /// For people.
    pub fn text(&self) -> String {
        let (config, plan, gpu) = (&self.config, &self.plan, &self.gpu);
        let mut out = format!(
            "a training step of {} rows of {} tokens, {}\n\n",
            plan.rows,
            config.sequence_len,
            model_on(config, self.compute, gpu),
        );
        let _ = writeln!(out, "{:<26} {:>9}", "memory when forward ends", "GB");
        for (label, bytes) in &plan.memory {
            out += &gigabytes(label, *bytes as f64, "");
        }
        out += &gigabytes("peak of the step", plan.peak, &verdict(plan.peak, self.room));
        let _ = writeln!(out, "{:<26} {:>9}\n", "most rows that fit", plan.most_rows);
        out += &self.operations().text();
        out + "\nThe time is a lower bound from the data sheet, not a forecast: no step is faster, and a real one is slower.\n"
    }
    /// For programs.
    pub fn json(&self) -> Value {
        let (plan, config) = (&self.plan, &self.config);
        let operations = self.operations();
        let memory: serde_json::Map<String, Value> =
            plan.memory.iter().map(|(label, bytes)| ((*label).to_string(), json!(bytes))).collect();
        json!({
            "gpu": self.gpu.json(),
            "shape": {
                "depth": config.n_layer, "n_embd": config.n_embd, "seq_len": config.sequence_len,
                "vocab": config.vocab_size, "batch": plan.rows, "dtype": self.compute.to_string(),
            },
            "memory_when_forward_ends": memory,
            "peak_bytes": plan.peak,
            "room_bytes": self.room,
            "fits": self.fits(),
            "most_rows": plan.most_rows,
            "operations": operations.json(),
            "launches": operations.launches(),
            "lower_bound_ms": 1e3 * operations.seconds(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::gpu::named;
    use super::super::rows::plan;
    use super::*;
    use crate::commands::bench::steps::tests::dry;

    #[test]
    fn a_small_step_is_planned_whole() {
        let mut bench = dry();
        let plan = plan(&mut bench, 3, 4e6).unwrap();
        let (config, gpu) = (bench.gpt.config().clone(), named("l4").unwrap());
        let report = Report { plan, gpu, room: 4e6, config, compute: DType::Bf16 };
        let json = report.json();
        assert!(json["launches"].as_u64().unwrap() > 40, "{json}");
        assert!(json["most_rows"].as_u64().unwrap() > 3 && json["fits"] == true, "{json}");
        assert!(json["memory_when_forward_ends"]["weights"].as_u64().unwrap() > 0, "{json}");
        assert!(json["lower_bound_ms"].as_f64().unwrap() > 0.0);
        let text = report.text();
        for word in ["attention_bwd", "adamw", "matmul", "lower bound", "fits into"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
