//! What the parts of the current model cost, as Markdown: from the results of `nanochat bench parts`.

use crate::tables::{number, text};
use serde_json::Value;

const HEAD: &str = "| model | without | micro-batch, ms | without it, ms | time of it, beyond its operations: median (min to max) | update, ms | without it, ms |
|---|---|---|---|---|---|---|
";

/// The section of the document: a line for each model and each part that was left out.
pub fn section(results: &[Value], date: &str) -> String {
    let machine = results.first().map(|r| text(r, "machine")).unwrap_or_default();
    let load = results.iter().filter_map(|r| r["other_cores"].as_f64()).fold(f64::NAN, f64::max);
    let rows = results.iter().flat_map(|r| parts(r).iter().map(move |part| row(r, part)));
    format!(
        "{machine}; {date}. Other programs used up to {load:.2} of its cores.\n\n{HEAD}{}",
        rows.collect::<String>()
    )
}

fn parts(result: &Value) -> &[Value] {
    result["parts"].as_array().map_or(&[], Vec::as_slice)
}

fn row(result: &Value, part: &Value) -> String {
    let shape = |name: &str| number(&result["shape"], name);
    let ms = |what: &str, side: &str| number(&part[what][side], "median");
    let percent = |at: &str| 100.0 * number(&part["beyond_flops"], at);
    format!(
        "| d{}, V {}, {}×{}, {} | {} | {:.0} | {:.0} | **{:+.1} %** ({:+.1} to {:+.1}) | {:.0} | {:.0} |\n",
        shape("depth"),
        shape("vocab"),
        shape("batch"),
        shape("seq_len"),
        text(result, "dtype"),
        text(part, "part"),
        ms("micro_batch_ms", "with"),
        ms("micro_batch_ms", "without"),
        percent("median"),
        percent("min"),
        percent("max"),
        number(&part["update_ms"], "with"),
        number(&part["update_ms"], "without"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_the_model_the_part_and_its_share() {
        let result = json!({
            "machine": "a machine", "dtype": "f32", "other_cores": 0.25,
            "shape": { "depth": 12, "vocab": 4096, "batch": 2, "seq_len": 512 },
            "parts": [{
                "part": "smear", "update_ms": { "with": 20.4, "without": 19.6 },
                "micro_batch_ms": { "with": { "median": 110.0 }, "without": { "median": 100.0 } },
                "beyond_flops": { "median": 0.021, "min": -0.01, "max": 0.04 },
            }],
        });
        let text = section(&[result], "2026-01-02");
        assert!(
            text.starts_with("a machine; 2026-01-02. Other programs used up to 0.25 of its cores.\n"),
            "{text}"
        );
        let line = "| d12, V 4096, 2×512, f32 | smear | 110 | 100 | **+2.1 %** (-1.0 to +4.0) | 20 | 20 |\n";
        assert!(text.ends_with(line), "{text}");
    }
}
