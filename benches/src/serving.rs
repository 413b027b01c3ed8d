//! The engine and the server as Markdown: from the results of `nanochat bench engine` and `nanochat bench serve`. Each table stands
//! between anchors, by which the book includes it.

use crate::tables::{number, text};
use serde_json::Value;

/// The section of the document. Each list is in the order of its files' names.
pub fn section(engines: &[Value], servers: &[Value], date: &str) -> String {
    let machine = engines.iter().chain(servers).map(|r| text(r, "machine")).next().unwrap_or_default();
    let table = |name: &str, head: &str, rows: Vec<String>| {
        let line = "---|".repeat(head.matches('|').count() - 1);
        let (begin, end) =
            (format!("<!-- ANCHOR: serving-{name} -->"), format!("<!-- ANCHOR_END: serving-{name} -->"));
        format!("\n{begin}\n{head}\n|{line}\n{}{end}\n", rows.concat())
    };
    let each = |results: &[Value], row: fn(&Value, &Value) -> String| {
        results.iter().flat_map(|result| levels(result).iter().map(move |level| row(result, level))).collect()
    };
    let engine = "| model | rows | loop, ms per step | engine, ms per step | engine over loop: median (middle half) | pairs | outside the model, µs per step | engine, tokens/s |";
    let turns = "| model | tokens/s of many rows over those of one | a second turn: tokens new, read (read without the cache) | first token after, ms (without the cache) | load by others, cores |";
    let server = "| model | at a time | engine alone, tokens/s | server, tokens/s | first token, ms: p50 / p99 | token, ms: p50 / p99 | processor time per token, µs: HTTP, books |";
    let vocab = engines.last().map_or(0.0, |result| number(&result["shape"], "vocab"));
    [
        format!("{machine}; {date}.\n"),
        table("engine", engine, each(engines, step)),
        table("turns", turns, engines.iter().map(turn).collect()),
        table("sampling", &format!("| drawing one token of {vocab} | µs |"), drawn(engines)),
        table("server", server, each(servers, served)),
    ]
    .concat()
}

fn levels(result: &Value) -> &[Value] {
    result["levels"].as_array().map_or(&[], Vec::as_slice)
}

/// `d12, V 32768, bf16`.
fn model(result: &Value) -> String {
    let of = |name: &str| number(&result["shape"], name);
    format!("d{}, V {}, {}", of("depth"), of("vocab"), text(result, "dtype"))
}

fn step(result: &Value, level: &Value) -> String {
    let of = |what: &str, at: &str| number(&level[what], at);
    let percent = |at: &str| 100.0 * of("beyond", at);
    let (rows, ms) = (number(level, "batch"), of("engine_ms", "median"));
    format!(
        "| {} | {rows} | {:.3} | {ms:.3} | **{:+.1} %** ({:+.1} to {:+.1}) | {} | {:.0} | {:.0} |\n",
        model(result),
        of("bare_ms", "median"),
        percent("median"),
        percent("quarter"),
        percent("three_quarters"),
        number(level, "pairs"),
        of("outside_us", "median"),
        1e3 * rows / ms,
    )
}

fn turn(result: &Value) -> String {
    let speed = |level: &Value| number(level, "batch") / number(&level["engine_ms"], "median");
    let gain = match levels(result) {
        [one, .., many] => {
            let (rows, gain) = (number(many, "batch"), speed(many) / speed(one));
            format!("{rows} rows: **{gain:.1}**")
        }
        _ => "–".into(),
    };
    let of = |name: &str| number(&result["second_turn"], name);
    format!(
        "| {} | {gain} | {}, {} ({}) | {:.1} ({:.1}) | {:.2} |\n",
        model(result),
        of("new"),
        of("read"),
        of("read_without"),
        of("ms"),
        of("ms_without"),
        number(result, "other_cores"),
    )
}

/// Of the last result: the vocabulary is the same in all.
fn drawn(engines: &[Value]) -> Vec<String> {
    let kinds = engines.last().and_then(|result| result["sampling"].as_array());
    let row = |t: &Value| format!("| {} | {:.0} |\n", text(t, "kind"), number(t, "us"));
    kinds.map_or(Vec::new(), |kinds| kinds.iter().map(row).collect())
}

fn served(result: &Value, level: &Value) -> String {
    let server = &level["server"];
    let wait = |what: &str, at: &str| number(&server[what], at);
    format!(
        "| {} | {} | {:.0} | {:.0} | {:.0} / {:.0} | {:.1} / {:.1} | {:.0}, {:.0} |\n",
        model(result),
        number(level, "concurrency"),
        number(&level["engine"], "tokens_per_s"),
        number(server, "tokens_per_s"),
        wait("first_token_ms", "p50"),
        wait("first_token_ms", "p99"),
        wait("token_ms", "p50"),
        wait("token_ms", "p99"),
        number(server, "cpu_us_per_token"),
        number(server, "books_us_per_token"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_measurement_has_its_row_and_many_rows_are_compared_with_one() {
        let level = |batch: u32, ms: f64| {
            json!({
                "batch": batch, "pairs": 9, "bare_ms": { "median": ms - 0.1 }, "engine_ms": { "median": ms },
                "outside_us": { "median": 20.0 },
                "beyond": { "median": 0.012, "quarter": -0.01, "three_quarters": 0.02 },
            })
        };
        let engine = json!({
            "machine": "a machine", "dtype": "bf16", "shape": { "depth": 12, "vocab": 32768 }, "other_cores": 0.0,
            "levels": [level(1, 8.0), level(8, 16.0)], "sampling": [{ "kind": "greedy", "us": 12.3 }],
            "second_turn": { "history": 300, "new": 24, "read": 25, "read_without": 324, "ms": 30.0, "ms_without": 300.0 },
        });
        let waits = json!({ "p50": 5.0, "p99": 9.0 });
        let server = json!({
            "machine": "a machine", "dtype": "f32", "shape": { "depth": 4, "vocab": 4096 },
            "levels": [{
                "concurrency": 32, "engine": { "tokens_per_s": 4000.0 },
                "server": {
                    "tokens_per_s": 3600.0, "cpu_us_per_token": 27.0, "books_us_per_token": 3.0,
                    "first_token_ms": waits, "token_ms": waits,
                },
            }],
        });
        let text = section(&[engine], &[server], "2026-01-02");
        for row in [
            "a machine; 2026-01-02.",
            "| d12, V 32768, bf16 | 8 | 15.900 | 16.000 | **+1.2 %** (-1.0 to +2.0) | 9 | 20 | 500 |",
            "| d12, V 32768, bf16 | 8 rows: **4.0** | 24, 25 (324) | 30.0 (300.0) | 0.00 |",
            "| greedy | 12 |",
            "<!-- ANCHOR: serving-turns -->",
            "|---|---|",
            "| d4, V 4096, f32 | 32 | 4000 | 3600 | 5 / 9 | 5.0 / 9.0 | 27, 3 |",
        ] {
            assert!(text.lines().any(|line| line == row), "{row} is missing in\n{text}");
        }
    }
}
