//! Raw results (JSON) as Markdown tables.
//!
//! `kernels` is what `nanochat bench kernels --json` prints, `products` what `paired.rs` writes, `ladder` what
//! `src/bin/ladder.rs` writes, `torch` what `benches/torch/kernels.py` writes. Every kernel that was
//! measured is in the table, whatever came out.

use serde_json::Value;

pub(crate) fn text<'v>(v: &'v Value, key: &str) -> &'v str {
    v[key].as_str().unwrap_or("?")
}

pub(crate) fn number(v: &Value, key: &str) -> f64 {
    v[key].as_f64().unwrap_or(f64::NAN)
}

fn list<'v>(v: &'v Value, key: &str) -> &'v [Value] {
    v[key].as_array().map_or(&[], |list| list)
}

/// Three digits: `0.00125`, `0.125`, `1.25`, `12.5`, `1250`.
fn three(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "-".into();
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.digits$}")
}

/// Where and when, and how busy the machine was: the lines above a table.
fn heading(kernels: &Value, date: &str) -> String {
    let words = ["machine", "simd", "version"].map(|key| text(kernels, key));
    let mut out = format!(
        "{}, {} threads, {}, nanochat {}, {date}.\n",
        words[0], kernels["threads"], words[1], words[2]
    );
    if let Some(cores) = kernels["other_cores"].as_f64() {
        out += &format!("Other programs used {cores:.2} of its cores while the kernels were timed.\n");
    }
    out
}

/// The roofs, then a line per kernel, shape and dtype.
pub fn kernels(all: &Value, date: &str) -> String {
    let mut out = heading(all, date);
    out += "\n| threads | f32, GFLOP/s | bf16 products, GFLOP/s |";
    let levels = |roof: &Value| list(roof, "gb_per_s").to_vec();
    let first = list(all, "roofs").first().map(levels).unwrap_or_default();
    first.iter().for_each(|level| out += &format!(" {} MiB: read / triad, GB/s |", level["mib"]));
    out += &format!("\n|---|---|---|{}\n", "---|".repeat(first.len()));
    for roof in list(all, "roofs") {
        out += &format!(
            "| {} | {:.0} | {} |",
            roof["threads"],
            number(roof, "f32_gflops"),
            three(number(roof, "bf16_gflops"))
        );
        for level in levels(roof) {
            out += &format!(" {:.0} / {:.0} |", number(&level, "read"), number(&level, "triad"));
        }
        out += "\n";
    }
    out += "\n| kernel | where | shape | dtype | ms: median (min to max) | GFLOP/s | GB/s | bound by | of roof | × definition |\n";
    out += "|---|---|---|---|---|---|---|---|---|---|\n";
    for row in list(all, "kernels") {
        out += &format!(
            "| `{}` | {} | {} | {} | {} ({} to {}) | {} | {} | {} | {:.0} % | {} |\n",
            text(row, "kernel"),
            text(row, "label"),
            text(row, "shape"),
            text(row, "dtype"),
            three(number(row, "ms")),
            three(number(row, "min_ms")),
            three(number(row, "max_ms")),
            three(number(row, "gflops")),
            three(number(row, "gb_per_s")),
            text(row, "bound"),
            100.0 * number(row, "of_roof"),
            three(number(row, "times_definition")),
        );
    }
    out
}

/// Our f32 products against those of other libraries: a line per product, the geometric mean of the ratios below.
pub fn products(all: &Value, kernels: &Value, date: &str) -> String {
    let names: Vec<&str> = match list(all, "products").first() {
        Some(first) => list(first, "sides").iter().skip(1).map(|side| text(side, "name")).collect(),
        None => Vec::new(),
    };
    let mut out = heading(kernels, date) + "\n| product | M × N × K | ours, GFLOP/s |";
    names.iter().for_each(|name| out += &format!(" {name}, GFLOP/s | its time / ours |"));
    out += &format!("\n|---|---|---|{}\n", "---|---|".repeat(names.len()));
    let mut logs = vec![0.0; names.len()];
    for product in list(all, "products") {
        let sides = list(product, "sides");
        let ours = sides.first().map_or(f64::NAN, |side| number(side, "gflops"));
        out += &format!(
            "| {} | {} × {} × {} | {ours:.0} |",
            text(product, "label"),
            product["m"],
            product["n"],
            product["k"]
        );
        for (side, log) in sides.iter().skip(1).zip(&mut logs) {
            let [ratio, min, max] = ["ratio", "ratio_min", "ratio_max"].map(|key| number(side, key));
            out += &format!(" {:.0} | {ratio:.2} ({min:.2} to {max:.2}) |", number(side, "gflops"));
            *log += ratio.ln();
        }
        out += "\n";
    }
    let count = list(all, "products").len() as f64;
    out += "| geometric mean | | |";
    logs.iter().for_each(|log| out += &format!(" | **{:.2}** |", (log / count).exp()));
    out + "\n"
}

/// The rungs of the product's ladder: the first cube in full, of the others which part of the peak is reached.
pub fn ladder(all: &Value, kernels: &Value, date: &str) -> String {
    let cubes = list(all, "cubes");
    let mut out = heading(kernels, date) + "\n| rung | dtype | threads |";
    for (i, cube) in cubes.iter().enumerate() {
        let of = if i == 0 { "GFLOP/s | times the rung above | of peak" } else { "of peak" };
        out += &format!(" {}³: {of} |", cube["side"]);
    }
    let columns = 3 + 3 + cubes.len().saturating_sub(1);
    out += &format!("\n|{}\n", "---|".repeat(columns));
    let Some((first, others)) = cubes.split_first() else { return out };
    let mut above = f64::NAN;
    for rung in list(first, "rungs") {
        let (name, speed) = (text(rung, "name"), number(rung, "gflops"));
        out += &format!("| {name} | {} | {} | {} |", text(rung, "dtype"), rung["threads"], three(speed));
        out += &format!(" {} | {:.0} % |", three(speed / above), 100.0 * number(rung, "of_peak"));
        above = speed;
        for cube in others {
            let there = list(cube, "rungs").iter().find(|other| text(other, "name") == name);
            out +=
                &there.map_or(" - |".into(), |rung| format!(" {:.0} % |", 100.0 * number(rung, "of_peak")));
        }
        out += "\n";
    }
    out
}

/// Our kernels against PyTorch's.
pub fn torch(all: &Value, kernels: &Value, date: &str) -> String {
    let version = text(all, "torch");
    let mut out = heading(kernels, date);
    out += &format!(
        "\n| kernel | where | dtype | ours, ms | PyTorch {version}, ms | its time / ours |\n|---|---|---|---|---|---|\n"
    );
    for row in list(all, "rows") {
        let [ratio, min, max] = ["ratio", "ratio_min", "ratio_max"].map(|key| number(row, key));
        out += &format!(
            "| `{}` | {} | {} | {} | {} | {ratio:.2} ({min:.2} to {max:.2}) |\n",
            text(row, "kernel"),
            text(row, "label"),
            text(row, "dtype"),
            three(number(row, "ours_ms")),
            three(number(row, "torch_ms")),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured() -> Value {
        json!({
            "version": "0.1.0", "machine": "a machine, 2 cores", "simd": "avx2", "threads": 2,
            "roofs": [{ "threads": 2, "f32_gflops": 200.4, "bf16_gflops": null, "gb_per_s": [{ "mib": 1, "read": 170.0, "triad": 150.0 }] }],
            "kernels": [
                { "kernel": "copy", "label": "d12.hidden", "shape": "2×3 → 2×3", "dtype": "f32", "ms": 1.234, "min_ms": 1.2, "max_ms": 22.5,
                  "gflops": 0.0, "gb_per_s": 20.0, "bound": "memory", "of_roof": 0.071, "times_definition": null },
            ],
        })
    }

    #[test]
    fn a_kernel_has_its_line_whatever_came_out() {
        let table = kernels(&measured(), "2026-01-02");
        assert!(table.starts_with("a machine, 2 cores, 2 threads, avx2, nanochat 0.1.0, 2026-01-02.\n"));
        assert!(table.contains("| 2 | 200 | - | 170 / 150 |"));
        let line =
            "| `copy` | d12.hidden | 2×3 → 2×3 | f32 | 1.23 (1.20 to 22.5) | - | 20.0 | memory | 7 % | - |";
        assert!(table.contains(line), "{table}");
    }

    #[test]
    fn products_are_compared_library_by_library() {
        let side = |name: &str, ratio: f64| json!({ "name": name, "gflops": 100.0 / ratio, "ratio": ratio, "ratio_min": 0.5, "ratio_max": 4.0 });
        let product = |ratio| json!({ "label": "l", "m": 1, "n": 2, "k": 3, "sides": [side("nanochat", 1.0), side("gemm", ratio)] });
        let table = products(&json!({ "products": [product(2.0), product(0.5)] }), &measured(), "today");
        assert!(table.contains("| l | 1 × 2 × 3 | 100 | 50 | 2.00 (0.50 to 4.00) |"), "{table}");
        assert!(table.contains("| geometric mean | | | | **1.00** |"), "{table}");
    }

    #[test]
    fn columns_are_as_many_in_every_line_of_a_table() {
        let torch_rows = json!({ "torch": "2.9", "rows": [{ "kernel": "k", "label": "l", "dtype": "f32", "ours_ms": 1.0, "torch_ms": 2.0,
            "ratio": 2.0, "ratio_min": 1.0, "ratio_max": 3.0 }] });
        let empty = json!({ "products": [] });
        let rung = |name: &str, gflops: f64| json!({ "name": name, "dtype": "f32", "threads": 1, "gflops": gflops, "of_peak": gflops / 100.0 });
        let cubes = json!({ "cubes": [{ "side": 8, "rungs": [rung("a", 10.0), rung("b", 25.0)] }, { "side": 16, "rungs": [rung("b", 20.0)] }] });
        let climbed = ladder(&cubes, &measured(), "");
        assert!(climbed.contains("| b | f32 | 1 | 25.0 | 2.50 | 25 % | 20 % |"), "{climbed}");
        for table in [
            kernels(&measured(), ""),
            torch(&torch_rows, &measured(), ""),
            products(&empty, &measured(), ""),
            climbed,
        ] {
            for block in table.split("\n\n").skip(1) {
                let columns: Vec<usize> = block.lines().map(|line| line.matches('|').count()).collect();
                assert!(columns.iter().all(|n| *n == columns[0]), "{block}");
            }
        }
    }
}
