//! What each idea is worth, as Markdown: from the results of `nanochat train compare` and `nanochat train sweep`.
//!
//! Every idea has a table of its own between the anchors that its chapter of the book includes: the model with all of them, then the
//! same without this one, for each seed, and the difference within the seeds.

use crate::tables::number;
use serde_json::Value;

/// A table of the document.
struct Idea {
    /// Of the anchor, after `ablation-`.
    name: &'static str,
    /// Where its results are, without `.json`.
    file: &'static str,
    /// The kinds of runs that are shown beside the first.
    shows: fn(&str) -> bool,
}

const IDEAS: &[Idea] = &[
    Idea { name: "windows", file: "parts", shows: |kind| kind == "without=windows" },
    Idea { name: "value-embeddings", file: "parts", shows: |kind| kind == "without=value-embeds" },
    Idea {
        name: "mixing",
        file: "parts",
        shows: |kind| matches!(kind, "without=mixing" | "without=backout" | "without=mixing,without=backout"),
    },
    Idea { name: "smear", file: "parts", shows: |kind| kind == "without=smear" },
    Idea { name: "muon", file: "muon", shows: |_| true },
    Idea { name: "dial", file: "dial", shows: |_| true },
    Idea { name: "rates", file: "rates", shows: |_| true },
    Idea { name: "rates-classic", file: "rates-classic", shows: |_| true },
    Idea { name: "demo-rates", file: "demo-rates", shows: |_| true },
    Idea { name: "demo", file: "demo", shows: |_| true },
];

/// The section of the document: a table for each idea of which there are results, which `read` gives by name; those of which there are
/// none stay as they are in the `old` document.
pub fn section(read: impl Fn(&str) -> Option<Value>, date: &str, old: &str) -> String {
    let mut out = String::new();
    for idea in IDEAS {
        let table = read(idea.file).map(|results| comparison(&results, idea.shows));
        out += &dated(idea.name, table, date, old);
    }
    out + &dated("law", read("law").map(|results| law(&results)), date, old)
}

/// A table with its anchors and, before them, the date; or what the old document has of it.
fn dated(name: &str, table: Option<String>, date: &str, old: &str) -> String {
    let [begin, end] = ["ANCHOR", "ANCHOR_END"].map(|word| format!("<!-- {word}: ablation-{name} -->"));
    if let Some(table) = table {
        return format!("\n{date}:\n\n{begin}\n{table}{end}\n");
    }
    let (Some(start), Some(stop)) = (old.find(&begin), old.find(&end)) else { return String::new() };
    let before = old[..start].trim_end().rsplit('\n').next().filter(|line| line.ends_with(':'));
    let date = before.map_or(String::new(), |line| format!("{line}\n\n"));
    format!("\n{date}{}{end}\n", &old[start..stop])
}

/// The first kind and those that `shows` says.
fn comparison(results: &Value, shows: fn(&str) -> bool) -> String {
    let numbers = |values: &Value| -> Vec<f64> {
        values.as_array().map_or(Vec::new(), |v| v.iter().filter_map(Value::as_f64).collect())
    };
    let seeds: Vec<String> = numbers(&results["seeds"]).iter().map(|s| format!("seed {s}")).collect();
    let mut out = format!(
        "| model | steps | {} | minus the first: mean ± deviation (95 % interval) |\n",
        seeds.join(" | ")
    );
    out += &format!("|---|---|{}---|\n", "---|".repeat(seeds.len()));
    let kinds = results["kinds"].as_array().map_or(&[][..], Vec::as_slice);
    for (i, kind) in kinds.iter().enumerate() {
        let options = kind["options"].as_str().unwrap_or_default();
        if i > 0 && !shows(options) {
            continue;
        }
        let runs = kind["runs"].as_array().map_or(&[][..], Vec::as_slice);
        let bpb: Vec<String> = runs.iter().map(|run| format!("{:.4}", number(run, "bpb"))).collect();
        let steps = runs.first().map_or(0.0, |run| number(run, "steps"));
        let minus = if i == 0 { "–".into() } else { difference(&kind["minus_first"]) };
        out += &format!("| {} | {steps} | {} | {minus} |\n", named(options), bpb.join(" | "));
    }
    out
}

/// What kinds of runs are called: options as on the command line, without their signs.
fn named(options: &str) -> String {
    match options {
        "." => "unchanged".into(),
        _ => options.replace('=', " ").replace(',', ", "),
    }
}

fn difference(minus: &Value) -> String {
    let [mean, deviation] = ["mean", "deviation"].map(|key| number(minus, key));
    match minus["margin"].as_f64() {
        Some(margin) => {
            format!("{mean:+.4} ± {deviation:.4} ({:+.4} to {:+.4})", mean - margin, mean + margin)
        }
        None => format!("{mean:+.4}, one seed"),
    }
}

/// A grid of sizes and budgets, and the best size of each budget.
fn law(results: &Value) -> String {
    let mut out = String::from(
        "| depth | FLOPs | parameters that scale | tokens | bits per byte |\n|---|---|---|---|---|\n",
    );
    for run in results["runs"].as_array().into_iter().flatten() {
        out += &format!(
            "| {} | {:.1e} | {:.2} M | {:.2} M | {:.4} |\n",
            run["values"][0],
            number(run, "flops"),
            number(run, "scaling_params") / 1e6,
            number(run, "tokens") / 1e6,
            number(run, "bpb")
        );
    }
    out += "\n";
    for best in results["optima"].as_array().into_iter().flatten().filter(|o| o["along"] == "depth") {
        let flops = best["flops"].as_f64().map_or("?".into(), |f| format!("{f:.1e}"));
        let x = number(best, "x") / 1e6;
        out += &match best["inside"].as_bool() {
            Some(true) => format!("Best at {flops} FLOPs: {x:.2} M parameters, by the fit.\n"),
            _ => format!("Best at {flops} FLOPs: {x:.2} M parameters, the edge of what was tried.\n"),
        };
    }
    if let Some(power) = results["params_exponent"].as_f64() {
        out += &format!("\nThe best size grows as compute to the power of {power:.2}.\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds() -> Value {
        let kind = |options: &str, bpb: [f64; 2], minus: Value| json!({"options": options, "runs": [{"bpb": bpb[0], "steps": 9}, {"bpb": bpb[1], "steps": 9}], "minus_first": minus});
        json!({"seeds": [1, 2], "kinds": [
            kind(".", [1.0, 1.1], json!({"mean": 0.0, "deviation": 0.0, "margin": 0.0})),
            kind("without=smear", [1.01, 1.12], json!({"mean": 0.015, "deviation": 0.007, "margin": 0.06})),
            kind("without=windows", [1.02, 1.1], json!({"mean": 0.01, "deviation": 0.014, "margin": null})),
        ]})
    }

    #[test]
    fn every_idea_has_its_own_anchored_table_beside_the_whole() {
        let text = section(|name| (name == "parts").then(kinds), "2026-01-30", "");
        let smear = text.split("<!-- ANCHOR: ablation-smear -->").nth(1).unwrap();
        let smear = smear.split("<!-- ANCHOR_END: ablation-smear -->").next().unwrap();
        assert!(smear.contains("| unchanged | 9 | 1.0000 | 1.1000 | – |"), "{smear}");
        let row = "| without smear | 9 | 1.0100 | 1.1200 | +0.0150 ± 0.0070 (-0.0450 to +0.0750) |";
        assert!(smear.contains(row) && !smear.contains("windows"), "{smear}");
        assert!(text.contains("+0.0100, one seed") && !text.contains("ablation-muon"), "{text}");
    }

    #[test]
    fn tables_without_new_results_stay_with_their_date() {
        let first = section(|name| (name == "parts").then(kinds), "2026-01-30", "");
        let both = section(|name| (name == "muon").then(kinds), "2026-02-01", &format!("# Head\n{first}"));
        assert!(
            both.contains("2026-01-30:\n\n<!-- ANCHOR: ablation-smear -->") && both.contains(first.trim())
        );
        assert!(both.contains("2026-02-01:\n\n<!-- ANCHOR: ablation-muon -->"), "{both}");
        assert_eq!(section(|_| None, "2026-03-01", &both), both);
    }

    #[test]
    fn a_law_says_which_optima_are_inside() {
        let run =
            json!({"values": [4.0, 1e12], "flops": 1e12, "scaling_params": 2e6, "tokens": 3e5, "bpb": 1.5});
        let optimum = |inside| json!({"along": "depth", "flops": 1e12, "x": 2e6, "inside": inside});
        let results =
            json!({"runs": [run], "optima": [optimum(true), optimum(false)], "params_exponent": 0.512});
        let text = law(&results);
        assert!(text.contains("| 4.0 | 1.0e12 | 2.00 M | 0.30 M | 1.5000 |"), "{text}");
        assert!(text.contains("by the fit") && text.contains("the edge") && text.contains("0.51"), "{text}");
    }
}
