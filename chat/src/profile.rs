//! `--profile`: where the time and the memory of a command went, printed when it has ended.
//!
//! Time: one row per kernel, beside the roofline (see [`kernels::measure`]), which is measured after the command; more than
//! 100 % means that the data came from nearer caches than a call's bytes suggest. Memory: what was alive at the end of the largest forward pass, by what made it, beside the formula where
//! there is one. Everything goes to standard error, so that a command's own output stays what it is.

use crate::globals::Globals;
use crate::output;
use kernels::DType;
use kernels::measure::{self, Roofline};
use kernels::profile::{self, Totals};
use model::MemoryPlan;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tensor::{Device, memory};

/// A command that is being profiled.
pub struct Profiled {
    begun: Instant,
    device: Device,
    json: bool,
}

static PLAN: OnceLock<MemoryPlan> = OnceLock::new();

/// The formula for the training step that this command repeats.
pub fn expect(plan: MemoryPlan) {
    let _ = PLAN.set(plan); // a command that trains twice shows the first
}

/// Start recording, if asked to.
pub fn begin(globals: &Globals) -> Option<Profiled> {
    if !globals.profile {
        return None;
    }
    memory::reset_peak(globals.device());
    profile::start();
    Some(Profiled { begun: Instant::now(), device: globals.device(), json: globals.json })
}

impl Profiled {
    /// Stop recording and print.
    pub fn end(self) {
        let wall = self.begun.elapsed();
        let kernels = profile::stop();
        let memory = Memory::read(self.device, PLAN.get().copied());
        let time = Time { wall, kernels: sorted(kernels), roofline: measure::roofline() };
        match self.json {
            true => output::error(&json!({ "profile": time.json(), "memory": memory.json() }).to_string()),
            false => output::error(&(time.text() + "\n" + memory.text().trim_end())),
        }
    }
}

fn sorted(mut kernels: Vec<(&'static str, Totals)>) -> Vec<(&'static str, Totals)> {
    kernels.sort_by_key(|(_, t)| std::cmp::Reverse(t.time));
    kernels
}

/// What the kernels did.
struct Time {
    wall: Duration,
    kernels: Vec<(&'static str, Totals)>,
    roofline: Roofline,
}

/// One line of the table.
struct Row {
    seconds: f64,
    share: f64,
    gb_per_s: f64,
    gflops: f64,
    /// Time at the roofline / time taken.
    of_roofline: f64,
}

impl Time {
    fn row(&self, t: &Totals) -> Row {
        let seconds = t.time.as_secs_f64();
        let per_second = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
        // How large the arguments of one call were is not recorded; its share of the bytes says about that.
        let working_set = t.cost.bytes / t.calls.max(1) as f64;
        let least = self.roofline.least_seconds(t.cost, DType::F32, working_set);
        Row {
            seconds,
            share: seconds / self.wall.as_secs_f64().max(1e-9),
            gb_per_s: per_second(t.cost.bytes) / 1e9,
            gflops: per_second(t.cost.flops) / 1e9,
            of_roofline: per_second(least),
        }
    }
    /// Wall time outside kernels; kernels on several threads at once may leave none.
    fn rest(&self) -> Duration {
        self.wall.saturating_sub(self.kernels.iter().map(|(_, t)| t.time).sum())
    }
    fn text(&self) -> String {
        let mut text = format!(
            "{:<26} {:>8} {:>11} {:>6} {:>8} {:>9} {:>9}\n",
            "kernel", "calls", "total ms", "%", "GB/s", "GFLOP/s", "% of roof"
        );
        for (name, t) in &self.kernels {
            let r = self.row(t);
            let (ms, percent) = (1e3 * r.seconds, 100.0 * r.share);
            let _ = writeln!(
                text,
                "{name:<26} {:>8} {ms:>11.2} {percent:>6.1} {:>8.1} {:>9.1} {:>9.0}",
                t.calls,
                r.gb_per_s,
                r.gflops,
                100.0 * r.of_roofline,
            );
        }
        let rest = self.rest().as_secs_f64();
        let percent = 100.0 * rest / self.wall.as_secs_f64().max(1e-9);
        let _ = writeln!(text, "{:<26} {:>8} {:>11.2} {percent:>6.1}", "everything else", "", 1e3 * rest);
        let [gb_per_s, gflops] = self.roof();
        text + &format!(
            "roof: {gflops:.1} GFLOP/s (f32), {gb_per_s:.1} GB/s from memory, more from caches; measured now\n"
        )
    }
    fn roof(&self) -> [f64; 2] {
        [self.roofline.memory() / 1e9, self.roofline.f32_flops / 1e9]
    }
    fn json(&self) -> Value {
        let row = |(name, t): &(&str, Totals)| {
            let r = self.row(t);
            json!({
                "kernel": name, "calls": t.calls, "ms": 1e3 * r.seconds, "share": r.share, "gb_per_s": r.gb_per_s,
                "gflops": r.gflops, "of_roofline": r.of_roofline, "flops": t.cost.flops, "bytes": t.cost.bytes,
            })
        };
        json!({
            "wall_ms": 1e3 * self.wall.as_secs_f64(),
            "kernels": self.kernels.iter().map(row).collect::<Vec<_>>(),
            "everything_else_ms": 1e3 * self.rest().as_secs_f64(),
            "roofline": { "gb_per_s": self.roof()[0], "gflops": self.roof()[1] },
        })
    }
}

/// What was alive, and what the allocator holds.
struct Memory {
    stats: memory::Stats,
    /// Label, bytes, formula.
    persistent: Vec<(&'static str, usize, Option<u64>)>,
    /// Everything else that was alive at the end of forward, by the operation that made it.
    saved: Vec<(&'static str, usize)>,
    /// Did a forward pass end in a backward one? If not, what is alive at the end of the command is shown.
    trained: bool,
    plan: Option<MemoryPlan>,
}

/// Labels of what no operation made; `other` is batches and tables.
const PERSISTENT: [&str; 5] = ["weights", "gradients", "optimizer", "kv cache", "other"];

impl Memory {
    fn read(device: Device, plan: Option<MemoryPlan>) -> Memory {
        let marked = memory::marked(device);
        let trained = !marked.is_empty();
        let alive = if trained { marked } else { memory::by_label(device) };
        let formula = |label: &str| {
            let plan = plan.filter(|_| trained)?;
            let of =
                [("weights", plan.weights), ("gradients", plan.gradients), ("optimizer", plan.optimizer)];
            of.iter().find(|(l, _)| *l == label).map(|(_, bytes)| *bytes)
        };
        let bytes_of = |label| alive.iter().find(|(l, _)| *l == label).map_or(0, |(_, bytes)| *bytes);
        let persistent = PERSISTENT.iter().map(|&l| (l, bytes_of(l), formula(l)));
        let mut saved: Vec<_> = alive.iter().copied().filter(|(l, _)| !PERSISTENT.contains(l)).collect();
        saved.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Memory {
            stats: memory::stats(device),
            persistent: persistent.filter(|(_, bytes, formula)| *bytes > 0 || formula.is_some()).collect(),
            saved,
            trained,
            plan: plan.filter(|_| trained),
        }
    }
    fn saved_bytes(&self) -> usize {
        self.saved.iter().map(|(_, bytes)| bytes).sum()
    }
    /// What the peak has beyond what was alive at the end of forward.
    fn scratch(&self) -> usize {
        let persistent: usize = self.persistent.iter().map(|(_, bytes, _)| bytes).sum();
        self.stats.peak_bytes.saturating_sub(persistent + self.saved_bytes())
    }
    /// Name, bytes, formula; names of parts are indented.
    fn rows(&self) -> Vec<(String, usize, Option<u64>)> {
        let (stats, plan) = (&self.stats, self.plan);
        let mut rows: Vec<_> = self.persistent.iter().map(|&(l, b, f)| (l.to_string(), b, f)).collect();
        let kept = if self.trained { "saved for backward" } else { "alive at the end" };
        rows.push((kept.into(), self.saved_bytes(), plan.map(|p| p.saved)));
        rows.extend(self.saved.iter().map(|(l, bytes)| (format!("  made by {l}"), *bytes, None)));
        rows.push(("temporaries at the peak".into(), self.scratch(), plan.map(|p| p.chunk)));
        rows.push(("peak".into(), stats.peak_bytes, plan.map(|p| p.total())));
        rows.push(("kept for reuse".into(), stats.cached_bytes, None));
        rows.push(("held from the system".into(), stats.system_bytes, None));
        rows
    }
    fn text(&self) -> String {
        let mib = |bytes: f64| format!("{:.2}", bytes / (1 << 20) as f64);
        let mut text = format!("{:<34} {:>12} {:>12}\n", "memory", "MiB", "formula");
        for (name, bytes, formula) in self.rows() {
            let formula = formula.map_or(String::new(), |f| mib(f as f64));
            let line = format!("{name:<34} {:>12} {formula:>12}", mib(bytes as f64));
            text += line.trim_end();
            text.push('\n');
        }
        let s = &self.stats;
        text + &format!(
            "blocks: {} from the system, {} given back, {} reuses\n",
            s.system_allocations, s.system_releases, s.reuses
        )
    }
    fn json(&self) -> Value {
        let s = &self.stats;
        let alive = |&(label, bytes, formula): &(&str, usize, Option<u64>)| json!({ "label": label, "bytes": bytes, "formula": formula });
        let saved = |&(label, bytes): &(&str, usize)| json!({ "made_by": label, "bytes": bytes });
        json!({
            "persistent": self.persistent.iter().map(alive).collect::<Vec<_>>(),
            "saved_for_backward": self.saved.iter().map(saved).collect::<Vec<_>>(),
            "saved_bytes": self.saved_bytes(), "saved_formula": self.plan.map(|p| p.saved),
            "temporary_bytes": self.scratch(), "temporary_formula": self.plan.map(|p| p.chunk),
            "peak_bytes": s.peak_bytes, "peak_formula": self.plan.map(|p| p.total()),
            "cached_bytes": s.cached_bytes, "system_bytes": s.system_bytes,
            "system_allocations": s.system_allocations, "system_releases": s.system_releases, "reuses": s.reuses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::registry::Cost;

    fn time() -> Time {
        let totals = |ms, flops, bytes| Totals {
            calls: 3,
            time: Duration::from_millis(ms),
            cost: Cost { flops, bytes },
        };
        Time {
            wall: Duration::from_millis(1000),
            kernels: sorted(vec![("copy", totals(100, 0.0, 1e9)), ("matmul", totals(400, 4e10, 1e8))]),
            roofline: Roofline {
                threads: 1,
                simd: kernels::simd::Simd::Scalar,
                f32_flops: 2e11,
                bf16_flops: None,
                levels: vec![measure::roofline::Level { bytes: 1e6, read: 2e10, triad: 1e10 }],
            },
        }
    }

    #[test]
    fn a_kernel_is_held_against_the_slower_of_its_two_bounds() {
        let time = time();
        let (matmul, copy) = (time.row(&time.kernels[0].1), time.row(&time.kernels[1].1));
        assert_eq!([matmul.share, copy.share], [0.4, 0.1]);
        assert_eq!((matmul.gflops, copy.gb_per_s), (100.0, 10.0));
        assert_eq!([matmul.of_roofline, copy.of_roofline], [0.5, 0.5]);
        assert_eq!(time.rest(), Duration::from_millis(500));
    }

    #[test]
    fn the_table_is_sorted_by_time_and_ends_with_everything_else() {
        let text = time().text();
        let first = |line: &str| line.split("  ").next().unwrap_or_default().to_string();
        let names: Vec<String> = text.lines().map(first).take(4).collect();
        assert_eq!(names, ["kernel", "matmul", "copy", "everything else"]);
        assert_eq!(time().json()["everything_else_ms"], 500.0);
        assert_eq!(time().json()["kernels"][0]["kernel"], "matmul");
    }

    #[test]
    fn rows_of_memory_add_up_to_the_peak() {
        let stats = memory::Stats { peak_bytes: 100, ..Default::default() };
        let persistent = vec![("weights", 40, Some(40)), ("gradients", 20, None)];
        let m = Memory {
            stats,
            persistent,
            saved: vec![("linear", 20), ("rope", 10)],
            trained: true,
            plan: None,
        };
        let rows = m.rows();
        let get = |name: &str| rows.iter().find(|(n, ..)| n == name).unwrap().1;
        assert_eq!([get("saved for backward"), get("temporaries at the peak"), get("peak")], [30, 10, 100]);
        assert!(m.text().contains("made by linear"));
    }
}
