//! Whole-system comparisons with PyTorch as Markdown tables: what `benches/torch/paired.py` wrote for each configuration of
//! `cargo xtask bench-vs-torch`.

use crate::curves::{self, Point};
use crate::tables::{number, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where and when everything in the table was measured: machines, versions of PyTorch, dates. The line is that of the table.
#[derive(Default)]
struct Facts([BTreeSet<String>; 3]);

impl Facts {
    fn of(results: &[Value]) -> Facts {
        let each = |key: &str| results.iter().filter_map(|r| Some(r[key].as_str()?.to_string())).collect();
        Facts(["machine", "torch_version", "date"].map(each))
    }
    /// From a line that [`Facts::line`] made.
    fn read(line: &str) -> Option<Facts> {
        let (machines, rest) = line.strip_suffix('.')?.split_once(SEPARATOR)?;
        let is_date = |word: &&str| word.len() == 10 && word.bytes().all(|c| c.is_ascii_digit() || c == b'-');
        let (dates, versions): (Vec<&str>, Vec<&str>) = rest.split("; ").partition(is_date);
        let set = |words: &mut dyn Iterator<Item = &str>| words.map(String::from).collect();
        Some(Facts([
            set(&mut machines.split("; ")),
            set(&mut versions.into_iter()),
            set(&mut dates.into_iter()),
        ]))
    }
    fn and(mut self, other: Facts) -> Facts {
        self.0.iter_mut().zip(other.0).for_each(|(mine, more)| mine.extend(more));
        self
    }
    fn line(&self) -> String {
        let [machines, versions, dates] =
            self.0.each_ref().map(|all| all.iter().map(String::as_str).collect::<Vec<_>>().join("; "));
        format!("{machines}{SEPARATOR}{versions}; {dates}.")
    }
}

const SEPARATOR: &str = "; PyTorch ";

/// The section `versus` of the document, new results in place of old ones; rows that were not measured again stay.
pub fn renewed(document: &str, results: &[Value]) -> String {
    let section = document
        .lines()
        .skip_while(|line| *line != "<!-- begin versus -->")
        .take_while(|line| *line != "<!-- end versus -->");
    let (mut facts, mut rows) = (Facts::default(), BTreeMap::new());
    for line in section {
        match line.strip_prefix("| ").and_then(|row| row.split_once(" |")) {
            Some((name, _)) if name.contains('.') => {
                rows.insert(name.to_string(), format!("{line}\n"));
            }
            _ => facts = Facts::read(line).unwrap_or_default().and(facts),
        }
    }
    for r in results {
        rows.insert(text(r, "name").to_string(), row(r, peaks(document)));
    }
    let rows: String = rows.into_values().collect();
    format!("{}\n\n{HEAD}{rows}", facts.and(Facts::of(results)).line())
}

/// Most multiply-adds per second in f32 and in bf16, in GFLOP/s: what the section `kernels` of the document has measured with
/// all threads.
pub fn peaks(document: &str) -> Option<[f64; 2]> {
    let mut rows =
        document.lines().skip_while(|line| !line.starts_with("| threads | f32, GFLOP/s | bf16 products"));
    let last = rows.by_ref().skip(2).take_while(|line| line.starts_with('|')).last()?;
    let mut cells = last.split('|').skip(2).map(|cell| cell.trim().parse().ok());
    Some([cells.next()??, cells.next()??])
}

/// Our GFLOP/s by the FLOPs formula, and the part of the peak of its dtype: of training steps, whose model the name tells.
fn speed(r: &Value, peaks: Option<[f64; 2]>) -> Option<String> {
    let parts: Vec<&str> = text(r, "name").strip_prefix("train.")?.split('.').collect();
    let size = |letter| parts.iter().find_map(|part| part.strip_prefix(letter)?.parse::<f64>().ok());
    let (depth, vocab) = (size('d')?, size('v')?);
    let flops = match parts.contains(&"current") {
        true => curves::flops_per_token_in_windows(depth, vocab, 512.0),
        false => curves::flops_per_token(depth, vocab, 512.0),
    };
    let speed = flops * number(r, "ours_tokens_per_s") / 1e9;
    let peak = peaks.map(|[wide, narrow]| if parts.contains(&"bf16") { narrow } else { wide });
    Some(match peak {
        Some(peak) if speed <= peak => format!("{speed:.0} ({:.0} %)", 100.0 * speed / peak),
        // more than the peak: the machine was not as it was when that was measured
        _ => format!("{speed:.0}"),
    })
}

const HEAD: &str = "| what | ours, tokens/s | ours, GFLOP/s (of peak) | PyTorch, tokens/s | ours / PyTorch: median (min to max) | rounds (quiet) | load by others, cores | peak memory, MB: ours / PyTorch |\n|---|---|---|---|---|---|---|---|\n";

/// The line of a configuration.
fn row(r: &Value, peaks: Option<[f64; 2]>) -> String {
    let [ratio, min, max] = ["median_ratio", "min_ratio", "max_ratio"].map(|key| number(r, key));
    let mut ratios = format!("**{ratio:.2}** ({min:.2} to {max:.2})");
    if let Some(quiet) = r["quiet_median_ratio"].as_f64() {
        ratios += &format!("; quiet {quiet:.2}");
    }
    let rounds = r["rounds"].as_array().map_or(0, Vec::len);
    let load = load(r).map_or("?".into(), |load| format!("{load:.2}"));
    format!(
        "| {} | {:.0} | {} | {:.0} | {ratios} | {rounds} ({}) | {load} | {} / {} |\n",
        text(r, "name"),
        number(r, "ours_tokens_per_s"),
        speed(r, peaks).unwrap_or_default(),
        number(r, "torch_tokens_per_s"),
        r["quiet_rounds"],
        megabytes(r, "ours_peak_mb"),
        megabytes(r, "torch_peak_mb"),
    )
}

fn megabytes(r: &Value, key: &str) -> String {
    r[key].as_f64().map_or("?".into(), |mb| format!("{mb:.0}"))
}

/// The mean over all rounds and both sides of what other programs used.
fn load(r: &Value) -> Option<f64> {
    let rounds = r["rounds"].as_array()?;
    let sides =
        rounds.iter().flat_map(|round| ["ours", "torch"].map(|side| round[side]["other_cores"].as_f64()));
    let loads: Vec<f64> = sides.collect::<Option<_>>()?;
    (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64)
}

/// How time grows: a line per length and depth, with the speed by the FLOPs formula, and the gain of a second thread.
pub fn scaling(results: &[Value]) -> String {
    let mut out = String::from(
        "| what | ours, ms per 1000 tokens | GFLOP/s | PyTorch, ms per 1000 tokens | GFLOP/s |\n|---|---|---|---|---|\n",
    );
    for (_, points) in curves::series(results) {
        for Point { name, flops_per_token, ours, torch, .. } in points {
            let speed = |ms_per_1000: f64| flops_per_token / ms_per_1000 / 1e3;
            out +=
                &format!("| {name} | {ours:.1} | {:.0} | {torch:.1} | {:.0} |\n", speed(ours), speed(torch));
        }
    }
    let of = |name: &str| results.iter().find(|r| text(r, "name").starts_with(name));
    if let (Some(one), Some(two)) = (of("scaling.threads1."), of("scaling.threads2.")) {
        let [ours, torch] =
            ["ours_tokens_per_s", "torch_tokens_per_s"].map(|key| number(two, key) / number(one, key));
        out += &format!("\nA second thread makes ours {ours:.2} times as fast, PyTorch {torch:.2} times.\n");
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A result of `paired.py`.
    pub fn result(name: &str, ours: f64, torch: f64) -> Value {
        json!({
            "name": name, "machine": "a machine", "torch_version": "2.9", "date": "2026-01-02",
            "ours_tokens_per_s": ours, "torch_tokens_per_s": torch, "median_ratio": ours / torch, "min_ratio": 0.5, "max_ratio": 4.0,
            "quiet_rounds": 1, "quiet_median_ratio": 2.5, "ours_peak_mb": 100.0, "torch_peak_mb": null,
            "rounds": [{ "ours": { "other_cores": 0.1 }, "torch": { "other_cores": 0.3 } }],
        })
    }

    #[test]
    fn a_configuration_has_its_ratios_its_load_and_its_memory() {
        let table = renewed("", &[result("decode.d4.b1.f32.eager", 300.0, 150.0)]);
        assert!(table.starts_with("a machine; PyTorch 2.9; 2026-01-02.\n"), "{table}");
        let line = "| decode.d4.b1.f32.eager | 300 |  | 150 | **2.00** (0.50 to 4.00); quiet 2.50 | 1 (1) | 0.20 | 100 / ? |";
        assert!(table.contains(line), "{table}");
    }

    #[test]
    fn a_training_step_is_measured_against_the_peak_of_its_dtype() {
        let kernels = "text\n| threads | f32, GFLOP/s | bf16 products, GFLOP/s | more |\n|---|---|---|---|\n| 1 | 100 | 200 | 1 |\n\
                       | 2 | 200 | 400 | 2 |\n\n| 9 | 9 | 9 | 9 |\n";
        assert_eq!(peaks(kernels), Some([200.0, 400.0]));
        assert_eq!(peaks("| 2 | 200 | 400 |"), None);
        // 6·(V·C + L·12·C²) + 12·L·C·T = 31,457,280 operations for a token of this model.
        let results =
            ["f32", "bf16"].map(|dtype| result(&format!("train.d4.v4096.b8.{dtype}.best"), 5000.0, 1.0));
        let table = renewed(kernels, &results);
        assert!(table.contains(".f32.best | 5000 | 157 (79 %) |"), "{table}");
        assert!(table.contains(".bf16.best | 5000 | 157 (39 %) |"), "{table}");
    }

    #[test]
    fn a_windowed_model_has_fewer_operations() {
        // Three layers of four see 128 positions, the last always 512: 12·C·(3·128 + 512) for attention.
        let flops = 6.0 * (4096.0 * 256.0 + 4.0 * 12.0 * 65536.0) + 12.0 * 256.0 * 896.0;
        assert_eq!(curves::flops_per_token_in_windows(4.0, 4096.0, 512.0), flops);
        let result = result("train.current.d4.v4096.b8.f32.best", 5000.0, 1.0);
        assert_eq!(speed(&result, None).unwrap(), format!("{:.0}", 5e-6 * flops));
    }

    #[test]
    fn rows_without_a_new_result_stay_and_dates_add_up() {
        let of =
            |body: &str| format!("<!-- begin versus -->\n{body}<!-- end versus -->\n| not.this | row |\n");
        let first = renewed("", &["a.b", "c.d"].map(|name| result(name, 100.0, 50.0)));
        let mut later = result("c.d", 300.0, 50.0);
        later["date"] = "2026-02-03".into();
        let both = renewed(&of(&first), &[later]);
        assert!(both.starts_with("a machine; PyTorch 2.9; 2026-01-02; 2026-02-03.\n\n| what |"), "{both}");
        let rows: Vec<&str> = both.lines().skip(4).collect();
        assert!(
            rows.len() == 2 && rows[0].starts_with("| a.b | 100 |") && rows[1].starts_with("| c.d | 300 |"),
            "{both}"
        );
        assert_eq!(renewed(&of(&both), &[]), both);
    }

    #[test]
    fn growth_is_told_for_lengths_depths_and_threads() {
        let names = ["scaling.t512.compiled", "scaling.d2.compiled", "scaling.threads1.compiled"];
        let mut results = names.map(|name| result(name, 1000.0, 500.0)).to_vec();
        results.push(result("scaling.threads2.compiled", 1900.0, 800.0));
        let text = scaling(&results);
        assert!(text.contains("ours 1.90 times as fast, PyTorch 1.60 times"), "{text}");
        // 6·(V·C + L·12·C²) + 12·L·C·T at V 4096, T 512: 1000 tokens in a second.
        let flops = 6.0 * (4096.0 * 256.0 + 4.0 * 12.0 * 65536.0) + 12.0 * 4.0 * 256.0 * 512.0;
        assert!(
            text.contains(&format!("| depth 4, T 512 | 1000.0 | {:.0} | 2000.0 |", flops / 1e6)),
            "{text}"
        );
        assert!(text.contains("| depth 2, T 512 | 1000.0 |"), "{text}");
    }
}
