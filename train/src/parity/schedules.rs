//! The tables of learning rate multipliers, momentum and weight decay of both generations.

use super::input::json;
use super::report::{Checked, Reporter, Stop, Tolerance, fail};
use crate::schedule::{
    SftLr, Trapezoid, classic_mid_lr_multiplier, classic_muon_momentum, current_muon_momentum,
    current_muon_weight_decay, linear_lr_multiplier,
};
use serde_json::{Map, Value};
use std::path::Path;

const TOLERANCE: Tolerance = Tolerance::MaxAbs(1e-12);

/// One line of a table: numbers by column.
type Line = Map<String, Value>;
/// What a column should hold, from the rest of its line.
type Formula = Box<dyn Fn(&Line) -> Checked<f64>>;

pub(super) fn check(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let tables: Map<String, Value> = json(file)?;
    if tables.is_empty() {
        return fail("no tables");
    }
    for (name, value) in &tables {
        match (name.as_str(), value) {
            ("g1" | "g2" | "g2_chat_sft", Value::Object(by_settings)) => {
                for (key, table) in by_settings {
                    let outcome = compare(name, key, table, report);
                    outcome.unwrap_or_else(|stop| report.stop(&format!("{name} {key}"), stop));
                }
            }
            _ => compare(name, "", value, report).unwrap_or_else(|stop| report.stop(name, stop)),
        }
    }
    Ok(())
}

/// All columns of one table.
fn compare(generation: &str, key: &str, table: &Value, report: &mut Reporter<'_>) -> Checked {
    let lines: Vec<Line> = serde_json::from_value(table.clone())?;
    if lines.is_empty() {
        return fail("an empty table");
    }
    let columns: Vec<(&str, Formula)> = match (generation, key) {
        ("g1", _) => {
            let get = settings(key);
            let lr = Trapezoid::classic(
                get("N")? as u64,
                get("warmup_ratio")?,
                get("warmdown_ratio")?,
                get("final_lr_frac")?,
            );
            vec![
                ("lr_multiplier", Box::new(move |l| Ok(lr.lr_multiplier(it(l)?)))),
                ("muon_momentum", Box::new(move |l| Ok(classic_muon_momentum(it(l)?)))),
            ]
        }
        ("g2", _) => {
            let get = settings(key);
            let (n, warmup) = (get("N")? as u64, get("warmup_steps")? as u64);
            let lr = Trapezoid::current(n, warmup, get("warmdown_ratio")?, get("final_lr_frac")?);
            let decay = get("weight_decay_scaled")?;
            vec![
                ("lr_multiplier", Box::new(move |l| Ok(lr.lr_multiplier(it(l)?)))),
                ("muon_momentum", Box::new(move |l| Ok(current_muon_momentum(it(l)?, &lr)))),
                ("weight_decay", Box::new(move |l| Ok(current_muon_weight_decay(it(l)?, n, decay)))),
            ]
        }
        ("g2_chat_sft", "muon_momentum") => vec![("v", Box::new(move |l| Ok(classic_muon_momentum(it(l)?))))],
        ("g2_chat_sft", _) => {
            let lr = sft(key)?;
            vec![("lr_multiplier", Box::new(move |l| Ok(lr.multiplier_unclamped(number(l, "progress")?))))]
        }
        ("g1_mid_train", _) => {
            vec![("lr_multiplier", Box::new(|l| Ok(classic_mid_lr_multiplier(number(l, "progress")?))))]
        }
        ("g2_chat_rl", _) => vec![("lr_multiplier", linear("num_steps"))],
        ("g1_chat_sft", _) => vec![("lr_multiplier", linear("num_iterations"))],
        _ => return fail("a table that is not understood"),
    };
    for (column, formula) in columns {
        let ours = lines.iter().map(formula).collect::<Checked<Vec<f64>>>()?;
        let theirs = lines.iter().map(|l| number(l, column)).collect::<Checked<Vec<f64>>>()?;
        let name = format!("{generation} {key} {column}").replace("  ", " ");
        report.numbers(&name, &ours, &theirs, TOLERANCE);
    }
    Ok(())
}

fn linear(total: &'static str) -> Formula {
    Box::new(move |l| Ok(linear_lr_multiplier(number(l, "it")? as u64, number(l, total)? as u64)))
}

fn it(line: &Line) -> Checked<u64> {
    Ok(number(line, "it")? as u64)
}

fn number(line: &Line, column: &str) -> Checked<f64> {
    let value = line.get(column).and_then(Value::as_f64);
    value.ok_or_else(|| Stop::Fail(format!("a line has no number {column}")))
}

/// `N=7,warmup_ratio=0.05,…` by name.
fn settings(key: &str) -> impl Fn(&str) -> Checked<f64> {
    move |name: &str| {
        let found = key.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let number = found.and_then(|text| text.parse().ok());
        number.ok_or_else(|| Stop::Fail(format!("the table's name has no {name}")))
    }
}

/// `warmup0.1_warmdown0.3_final0.1`.
fn sft(key: &str) -> Checked<SftLr> {
    let part = |name: &str| key.split('_').find_map(|p| p.strip_prefix(name)?.parse().ok());
    match (part("warmup"), part("warmdown"), part("final")) {
        (Some(warmup_ratio), Some(warmdown_ratio), Some(final_lr_frac)) => {
            Ok(SftLr { warmup_ratio, warmdown_ratio, final_lr_frac })
        }
        _ => fail("a table that is not understood"),
    }
}
