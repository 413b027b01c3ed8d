//! What was measured of the kernels, as a table and as JSON.

use crate::commands::doctor;
use kernels::measure::Roofline;
use kernels::measure::run::{Case, Measured};
use serde_json::{Value, json};

/// One measured case.
pub struct Row {
    /// What was called.
    pub case: Case,
    /// What came of it.
    pub measured: Measured,
    /// Seconds that the definition would take.
    pub reference: Option<f64>,
}

/// Everything measured in one run.
pub struct Report {
    /// Roofs, for one thread first, for all threads last.
    roofs: Vec<Roofline>,
    seconds: f64,
    /// In the registry's order.
    pub rows: Vec<Row>,
    /// Was everything measured that was asked for?
    pub complete: bool,
    /// Cores that other programs used meanwhile, where that is known.
    pub other_cores: Option<f64>,
}

impl Report {
    /// Nothing measured yet; `seconds` per row are intended.
    pub fn new(roofs: Vec<Roofline>, seconds: f64) -> Report {
        Report { roofs, seconds, rows: Vec::new(), complete: false, other_cores: None }
    }
    /// The roof for all threads.
    pub fn roof(&self) -> &Roofline {
        &self.roofs[self.roofs.len() - 1]
    }
}

/// A few lines about the machine and its roofs.
pub fn roof_lines(report: &Report) -> String {
    let build = if cfg!(debug_assertions) { " (debug build: slow)" } else { "" };
    let mut text = format!("{}{build}, {}\n", doctor::in_short(), report.roof().simd.name());
    for roof in &report.roofs {
        let bf16 = roof.bf16_flops.map_or(String::new(), |f| format!(", bf16 {:.0}", f / 1e9));
        let level = |l: &kernels::measure::roofline::Level| {
            format!("{} MiB {:.0} / {:.0}", l.bytes / 1048576.0, l.read / 1e9, l.triad / 1e9)
        };
        let levels: Vec<String> = roof.levels.iter().map(level).collect();
        let threads =
            if roof.threads == 1 { "1 thread ".into() } else { format!("{} threads", roof.threads) };
        text += &format!(
            "{threads}: f32 {:.0}{bf16} GFLOP/s; GB/s read / triad: {}\n",
            roof.f32_flops / 1e9,
            levels.join(", ")
        );
    }
    text + "\n"
}

/// Widths of the columns whose contents vary.
pub struct Widths {
    kernel: usize,
    label: usize,
    shape: usize,
}

/// Longer shapes push the rest of their line to the right.
const WIDEST_SHAPE: usize = 40;

impl Widths {
    /// To hold all of `cases`.
    pub fn of(cases: &[Case]) -> Widths {
        let widest = |of: &dyn Fn(&Case) -> usize| cases.iter().map(of).max().unwrap_or(0);
        Widths {
            kernel: widest(&|c| c.info.name.len()).max(6),
            label: widest(&|c| c.sample.label.len()).max(5),
            shape: widest(&|c| c.shape().chars().count()).clamp(5, WIDEST_SHAPE),
        }
    }
}

/// The head of the table.
pub fn header(w: &Widths) -> String {
    format!(
        "{:k$}  {:l$}  {:s$}  dtype  {:>9}  {:>19}  {:>14}  {:>7}  {:>12}",
        "kernel",
        "where",
        "shape",
        "time",
        "range",
        "speed",
        "of roof",
        "x definition",
        k = w.kernel,
        l = w.label,
        s = w.shape
    )
}

/// A line of the table.
pub fn line(row: &Row, w: &Widths) -> String {
    let (case, m) = (&row.case, &row.measured);
    let t = m.timing;
    let range = format!("{} to {}", time(t.min), time(t.max));
    let speed =
        if m.memory_bound { format!("{:.1} GB/s", m.gbytes()) } else { format!("{:.1} GFLOP/s", m.gflops()) };
    let reference = row.reference.map_or("-".into(), |s| ratio(s / t.median));
    format!(
        "{:k$}  {:l$}  {:s$}  {:5}  {:>9}  {range:>19}  {speed:>14}  {:>5.0} %  {reference:>12}",
        case.info.name,
        case.sample.label,
        case.shape(),
        case.dtype.to_string(),
        time(t.median),
        100.0 * m.fraction,
        k = w.kernel,
        l = w.label,
        s = w.shape
    )
}

/// `850 ns`, `12.3 µs`, `1.25 ms`: three digits.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

/// `0.85`, `12`, `1234`: two digits are enough.
fn ratio(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Everything, for programs. Speeds are in 1e9 per second, times in milliseconds.
pub fn json(report: &Report) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "machine": doctor::in_short(),
        "simd": report.roof().simd.name(),
        "threads": report.roof().threads,
        "seconds_per_row": report.seconds,
        "complete": report.complete,
        "other_cores": report.other_cores,
        "roofs": report.roofs.iter().map(roof).collect::<Vec<_>>(),
        "kernels": report.rows.iter().map(|row| entry(row, report.roof())).collect::<Vec<_>>(),
    })
}

fn roof(roof: &Roofline) -> Value {
    let level = |l: &kernels::measure::roofline::Level| json!({ "mib": l.bytes as u64 >> 20, "read": l.read / 1e9, "triad": l.triad / 1e9 });
    json!({
        "threads": roof.threads,
        "f32_gflops": roof.f32_flops / 1e9,
        "bf16_gflops": roof.bf16_flops.map(|f| f / 1e9),
        "gb_per_s": roof.levels.iter().map(level).collect::<Vec<_>>(),
    })
}

fn entry(row: &Row, roof: &Roofline) -> Value {
    let (case, m) = (&row.case, &row.measured);
    let t = m.timing;
    json!({
        "kernel": case.info.name,
        "label": case.sample.label,
        "shape": case.shape(),
        "dtype": case.dtype.to_string(),
        "ms": 1e3 * t.median,
        "min_ms": 1e3 * t.min,
        "max_ms": 1e3 * t.max,
        "runs": t.runs,
        "flops": m.cost.flops,
        "bytes": m.cost.bytes,
        "gflops": m.gflops(),
        "gb_per_s": m.gbytes(),
        "bound": if m.memory_bound { "memory" } else { "compute" },
        "roof_gb_per_s": roof.bandwidth(case.working_set()) / 1e9,
        "of_roof": m.fraction,
        "times_definition": row.reference.map(|s| s / t.median),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::measure::clock::Timing;
    use kernels::measure::roofline::Level;
    use kernels::registry::Cost;

    fn report() -> Report {
        let roof = Roofline {
            threads: 2,
            simd: kernels::simd::Simd::Avx2,
            f32_flops: 200e9,
            bf16_flops: None,
            levels: vec![Level { bytes: 1048576.0, read: 170e9, triad: 150e9 }],
        };
        let info = kernels::kernels().find(|k| k.name == "rms_norm_fwd").unwrap();
        let case = kernels::measure::run::cases([info]).remove(1);
        let timing = Timing { median: 0.002, min: 0.0018, max: 0.0123, runs: 9 };
        let cost = Cost { flops: 1e7, bytes: 1e8 };
        let measured = Measured { timing, cost, fraction: 0.294, memory_bound: true };
        let mut report = Report::new(vec![roof], 0.2);
        report.rows.push(Row { case, measured, reference: Some(0.04) });
        report
    }

    #[test]
    fn a_row_stands_under_its_head() {
        let report = report();
        let w = Widths::of(&[report.rows[0].case.clone()]);
        let (head, row) = (header(&w), line(&report.rows[0], &w));
        assert_eq!(head.chars().count(), row.chars().count(), "{head}\n{row}");
        for part in
            ["rms_norm_fwd", "d12.hidden", "2.00 ms", "1.80 ms to 12.3 ms", "50.0 GB/s", " 29 %", "20"]
        {
            assert!(row.contains(part), "{part} is not in {row}");
        }
        assert!(
            roof_lines(&report).contains("2 threads: f32 200 GFLOP/s; GB/s read / triad: 1 MiB 170 / 150")
        );
    }

    #[test]
    fn times_have_three_digits_and_a_unit() {
        assert_eq!(
            [8.5e-7, 1.23e-5, 0.00125, 0.25, 2.0].map(time).join(", "),
            "850 ns, 12.3 µs, 1.25 ms, 250 ms, 2.00 s"
        );
        assert_eq!([0.5, 9.0, 123.4].map(ratio).join(" "), "0.5 9.0 123");
    }

    #[test]
    fn json_has_every_figure() {
        let json = json(&report());
        let row = &json["kernels"][0];
        assert_eq!((row["bound"].as_str(), row["gb_per_s"].as_f64()), (Some("memory"), Some(50.0)));
        assert_eq!((json["complete"].as_bool(), row["times_definition"].as_f64()), (Some(false), Some(20.0)));
        assert_eq!(json["roofs"][0]["gb_per_s"][0]["read"], 170.0);
    }
}
