//! What a grid of runs says: the table, the picture, the optimum of each number that was varied.
//!
//! An optimum is fitted along one option with all others held, where at least three values were tried. For depths it is a number
//! of parameters; if compute was varied, too, the optima of the budgets give the exponent of a scaling law.

use super::trial::Outcome;
use serde_json::{Value, json};
use std::fmt::Write;
use train::report::chart::{Axis, Line, Scale, chart};
use train::trials::fit::{Optimum, optimum, power};
use train::trials::paired::{Spread, spread};

/// A combination of values and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// One for each option.
    pub values: Vec<f64>,
    /// Bits per byte over the seeds.
    pub bpb: Option<Spread>,
    /// Of the first seed; all have the same.
    pub first: Outcome,
    /// Seconds of all seeds.
    pub seconds: f64,
}

impl Row {
    /// From the runs of all seeds, at least one.
    pub fn new(values: Vec<f64>, outcomes: &[Outcome]) -> Row {
        let bpb = spread(&outcomes.iter().map(|o| o.bpb).collect::<Vec<_>>());
        let seconds = outcomes.iter().map(|o| o.seconds).sum();
        Row { values, bpb, first: outcomes[0].clone(), seconds }
    }
    fn mean(&self) -> f64 {
        self.bpb.map_or(f64::NAN, |s| s.mean)
    }
}

/// The optimum along one option, the others held.
struct Fitted {
    /// Which option.
    along: usize,
    /// Values of all options; that of `along` does not count.
    at: Vec<f64>,
    /// Of the option, or of the parameters if it is the depth.
    optimum: Optimum,
    /// Compute of the runs, if it is the same in all.
    flops: Option<f64>,
}

/// Is it the depth? Then parameters are what is compared.
fn is_depth(name: &str) -> bool {
    matches!(name, "depth" | "n-layer")
}

fn fits(names: &[&str], rows: &[Row]) -> Vec<Fitted> {
    let mut fitted = Vec::new();
    for (along, name) in names.iter().enumerate() {
        let others = |row: &Row| -> Vec<f64> {
            row.values.iter().enumerate().filter(|(i, _)| *i != along).map(|(_, v)| *v).collect()
        };
        let mut done: Vec<Vec<f64>> = Vec::new();
        for row in rows {
            if done.contains(&others(row)) {
                continue;
            }
            done.push(others(row));
            let same: Vec<&Row> = rows.iter().filter(|r| others(r) == others(row)).collect();
            let x = |r: &Row| if is_depth(name) { r.first.scaling_params as f64 } else { r.values[along] };
            let points: Vec<[f64; 2]> = same.iter().map(|r| [x(r), r.mean()]).collect();
            let Some(optimum) = optimum(&points) else { continue };
            let flops = row.first.flops;
            let equal = same.iter().all(|r| (r.first.flops / flops - 1.0).abs() < 0.1);
            fitted.push(Fitted { along, at: row.values.clone(), optimum, flops: equal.then_some(flops) });
        }
    }
    fitted
}

/// `N ∝ Cᵖ` through the optima of several budgets.
fn law(names: &[&str], fitted: &[Fitted]) -> Option<(f64, f64)> {
    let points = fitted.iter().filter(|f| is_depth(names[f.along])).filter_map(|f| match f.optimum {
        Optimum::Inside(lowest) => Some([f.flops?, lowest.x]),
        Optimum::Edge(_) => None,
    });
    power(&points.collect::<Vec<_>>())
}

/// For people.
pub fn table(names: &[&str], rows: &[Row]) -> String {
    let mut out = String::from("\n");
    names.iter().for_each(|name| out += &format!("{name:>16}"));
    out += &format!(
        "{:>12}{:>10}{:>12}{:>10}{:>16}{:>9}\n",
        "parameters", "steps", "tokens", "FLOPs", "bpb", "seconds"
    );
    for row in rows {
        row.values.iter().for_each(|v| out += &format!("{v:>16}"));
        let (o, bpb) = (&row.first, row.bpb);
        let shown = match bpb {
            Some(s) if s.n > 1 => format!("{:.4} ± {:.4}", s.mean, s.deviation),
            _ => format!("{:.4}", row.mean()),
        };
        let _ = writeln!(
            out,
            "{:>12}{:>10}{:>12.0}{:>10.2e}{shown:>16}{:>9.0}",
            o.params, o.steps, o.tokens, o.flops, row.seconds
        );
    }
    let fitted = fits(names, rows);
    for f in &fitted {
        let what = if is_depth(names[f.along]) { "parameters (matrices and head)" } else { names[f.along] };
        let held: Vec<String> = names
            .iter()
            .zip(&f.at)
            .enumerate()
            .filter(|(i, _)| *i != f.along)
            .map(|(_, (name, v))| format!("{name} {v}"))
            .collect();
        let held = if held.is_empty() { String::new() } else { format!(" at {}", held.join(", ")) };
        let _ = match f.optimum {
            Optimum::Inside(l) => {
                writeln!(out, "best {what}{held}: {:.3e}, with {:.4} bits per byte by the fit", l.x, l.y)
            }
            Optimum::Edge(l) => {
                writeln!(out, "best {what}{held}: {:.3e}, at the edge of what was tried; try further", l.x)
            }
        };
    }
    if let Some((p, _)) = law(names, &fitted) {
        let _ = writeln!(out, "best parameters grow as compute to the power of {p:.2}");
    }
    out
}

/// For programs.
pub fn report(names: &[&str], rows: &[Row]) -> Value {
    let fitted = fits(names, rows);
    let row = |r: &Row| {
        let o = &r.first;
        json!({
            "values": r.values, "bpb": r.mean(), "deviation": r.bpb.map(|s| s.deviation), "seeds": r.bpb.map(|s| s.n),
            "params": o.params, "scaling_params": o.scaling_params, "steps": o.steps, "tokens": o.tokens, "flops": o.flops,
            "seconds": r.seconds,
        })
    };
    let fit = |f: &Fitted| {
        let (inside, l) = match f.optimum {
            Optimum::Inside(l) => (true, l),
            Optimum::Edge(l) => (false, l),
        };
        json!({"along": names[f.along], "at": f.at, "x": l.x, "bpb": l.y, "inside": inside, "flops": f.flops})
    };
    json!({
        "options": names, "runs": rows.iter().map(row).collect::<Vec<_>>(), "optima": fitted.iter().map(fit).collect::<Vec<_>>(),
        "params_exponent": law(names, &fitted).map(|(p, _)| p),
    })
}

/// Bits per byte against compute: a line for each value of the first option.
pub fn picture(names: &[&str], rows: &[Row]) -> String {
    let mut lines: Vec<(f64, Line)> = Vec::new();
    for row in rows {
        let (key, point) = (row.values[0], [row.first.flops, row.mean()]);
        match lines.iter_mut().find(|(k, _)| *k == key) {
            Some((_, line)) => line.points.push(point),
            None => {
                let line =
                    Line { name: format!("{} {key}", names[0]), points: vec![point], colour: lines.len() };
                lines.push((key, line));
            }
        }
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a[0].total_cmp(&b[0])));
    let x = Axis { name: "training, FLOPs", scale: Scale::Log };
    let y = Axis { name: "validation, bits per byte", scale: Scale::Linear };
    chart(x, y, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run whose loss is a parabola in the logarithm of its parameters, lowest at √C.
    fn row(depth: f64, flops: f64) -> Row {
        let params = 1e6 * depth * depth * depth;
        let bpb = 1.0 + 0.1 * (params / flops.sqrt()).ln().powi(2);
        let outcome = Outcome {
            bpb,
            curve: Vec::new(),
            steps: 1,
            tokens: flops / params,
            flops,
            params: params as u64,
            scaling_params: params as u64,
            seconds: 1.0,
        };
        Row::new(vec![depth, flops], &[outcome])
    }

    #[test]
    fn budgets_and_depths_give_the_exponent_of_the_law() {
        let names = ["depth", "target-flops"];
        let budgets = [1e15, 4e15, 1.6e16];
        let rows: Vec<Row> =
            [2.0, 3.0, 4.0, 6.0].iter().flat_map(|d| budgets.map(|flops| row(*d, flops))).collect();
        let found = report(&names, &rows);
        assert!((found["params_exponent"].as_f64().unwrap() - 0.5).abs() < 1e-3, "{found}");
        let text = table(&names, &rows);
        assert!(
            text.contains("to the power of 0.50") && text.contains("at target-flops 4000000000000000"),
            "{text}"
        );
        let svg = picture(&names, &rows);
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 4);
    }

    #[test]
    fn two_values_have_no_optimum() {
        let rows = [row(2.0, 1e15), row(3.0, 1e15)];
        assert!(report(&["depth", "target-flops"], &rows)["optima"].as_array().unwrap().is_empty());
    }
}
