//! The tables at the end: what each stage achieves, of one seed or as mean and spread of several, and the scores of all stages.

use crate::output;
use serde_json::{Value, json};
use train::report::evidence::{Comparison, HEADER, comparisons};
use train::report::{Line, Run};
use train::trials::paired::{self, Spread};

/// What became of a seed.
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Seconds of all its steps, of data and evaluations, too.
    pub seconds: f64,
    /// Its runs.
    pub line: Line,
}

/// Both tables.
pub fn print(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let rows = rows(outcomes);
    if !rows.is_empty() {
        let seeds = match outcomes {
            [one] => format!("seed {}", one.seed),
            more => format!("mean ± standard deviation of {} seeds", more.len()),
        };
        output::line(&format!("\nwhat each stage achieves, {seeds}"))?;
        let mut table = vec![HEADER.map(String::from)];
        table.extend(rows.iter().map(Row::cells));
        aligned(&table).iter().try_for_each(|line| output::line(line))?;
    }
    if outcomes.len() > 1 {
        scores(outcomes)?;
    }
    Ok(())
}

/// Both, and what every seed had.
pub fn as_json(name: &str, outcomes: &[Outcome]) -> Value {
    let of = |s: Spread| json!({"mean": s.mean, "deviation": s.deviation});
    let table: Vec<Value> = rows(outcomes)
        .iter()
        .map(|row| {
            let [there, here, gain] = row.spreads();
            json!({"stage": row.0[0].stage, "figure": row.0[0].figure, "beside": row.0[0].beside,
                "there": of(there), "here": of(here), "gain": of(gain)})
        })
        .collect();
    let seeds: Vec<Value> = outcomes
        .iter()
        .map(|o| json!({"seed": o.seed, "seconds": o.seconds, "stages": comparisons(&o.line)}))
        .collect();
    json!({"name": name, "table": table, "seeds": seeds})
}

/// The same comparison of every seed.
struct Row(Vec<Comparison>);

/// Comparisons that no seed lacks.
fn rows(outcomes: &[Outcome]) -> Vec<Row> {
    let of_seeds: Vec<Vec<Comparison>> = outcomes.iter().map(|o| comparisons(&o.line)).collect();
    let same =
        |a: &Comparison, b: &Comparison| (&a.stage, &a.figure, &a.beside) == (&b.stage, &b.figure, &b.beside);
    let Some(first) = of_seeds.first() else { return Vec::new() };
    let row = |c: &Comparison| {
        let found = of_seeds.iter().map(|seed| seed.iter().find(|other| same(c, other)).cloned());
        found.collect::<Option<Vec<_>>>().map(Row)
    };
    first.iter().filter_map(row).collect()
}

impl Row {
    /// Of the other's figure, the stage's, and the gain.
    fn spreads(&self) -> [Spread; 3] {
        let of = |value: fn(&Comparison) -> f64| {
            let values: Vec<f64> = self.0.iter().map(value).collect();
            paired::spread(&values).unwrap_or(Spread {
                n: 0,
                mean: f64::NAN,
                deviation: f64::NAN,
                margin: f64::NAN,
            })
        };
        [of(|c| c.there), of(|c| c.here), of(|c| c.gain)]
    }
    fn cells(&self) -> [String; 7] {
        let mut cells = self.0[0].cells();
        if self.0.len() > 1 {
            let [there, here, gain] = self.spreads();
            cells[3] = format!("{:.4} ± {:.4}", there.mean, there.deviation);
            cells[4] = format!("{:.4} ± {:.4}", here.mean, here.deviation);
            cells[5] = format!("{:+.4} ± {:.4}", gain.mean, gain.deviation);
            if self.0[0].flops.is_some() {
                let mean = |i: usize| {
                    self.0.iter().filter_map(|c| c.flops).map(|f| f[i]).sum::<f64>() / self.0.len() as f64
                };
                cells[6] = format!("{:.2e}, {:.2e}", mean(0), mean(1));
            }
        }
        cells
    }
}

/// Lines with their columns below each other.
fn aligned(table: &[[String; 7]]) -> Vec<String> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &w)| format!("{cell:<w$}")).collect();
        cells.join("  ").trim_end().to_string()
    };
    table.iter().map(line).collect()
}

/// A column for each stage, a row for each figure.
fn scores(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let lines: Vec<&Line> = outcomes.iter().map(|o| &o.line).collect();
    let stages = lines.iter().map(|l| l.runs.len()).min().unwrap_or(0);
    let Some(first) = lines.first() else { return Ok(()) };
    output::line(&format!("\nmean ± standard deviation of {} seeds", lines.len()))?;
    let names: Vec<String> = first.runs.iter().take(stages).map(|r| format!("{:>17}", r.stage)).collect();
    output::line(&format!("{:<18}{}", "", names.concat()))?;
    let mut figures: Vec<String> = vec!["val bpb".into(), "CORE".into(), "ChatCORE".into()];
    figures.extend(first.tasks());
    for figure in figures {
        let cells: Vec<Option<(f64, f64)>> = (0..stages)
            .map(|s| mean_and_spread(&lines.iter().map(|l| value(&l.runs[s], &figure)).collect::<Vec<_>>()))
            .collect();
        if cells.iter().any(Option::is_some) {
            let shown =
                |c: &Option<(f64, f64)>| c.map_or("-".to_string(), |(m, d)| format!("{m:.4} ± {d:.4}"));
            let row: String = cells.iter().map(|c| format!("{:>17}", shown(c))).collect();
            output::line(&format!("{figure:<18}{row}"))?;
        }
    }
    Ok(())
}

fn value(run: &Run, figure: &str) -> Option<f64> {
    match figure {
        "val bpb" => run.val_bpb,
        "CORE" => run.core,
        "ChatCORE" => run.chat_core,
        task => run.accuracy(task),
    }
}

/// Of all values, if none is missing.
fn mean_and_spread(values: &[Option<f64>]) -> Option<(f64, f64)> {
    let values: Vec<f64> = values.iter().copied().collect::<Option<_>>()?;
    paired::spread(&values).map(|s| (s.mean, s.deviation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_a_sample() {
        assert_eq!(mean_and_spread(&[Some(1.0), Some(3.0)]), Some((2.0, 2f64.sqrt())));
        assert_eq!(mean_and_spread(&[Some(1.0), None]), None);
    }

    #[test]
    fn seeds_are_joined_row_by_row_and_a_row_that_one_of_them_lacks_is_left_out() {
        let outcome = |seed: u64, here: f64, core: Option<f64>| {
            let base = Run {
                stage: "base".into(),
                trigram: Some([here, 1.0]),
                chat_core: Some(0.0),
                ..Run::default()
            };
            let sft = Run { stage: "sft".into(), chat_core: core, ..Run::default() };
            Outcome { seed, seconds: 1.0, line: Line { runs: vec![base, sft], controls: vec![] } }
        };
        let two = [outcome(1, 0.25, Some(0.5)), outcome(2, 0.75, None)];
        let found = rows(&two);
        assert_eq!(found.len(), 1);
        let [there, here, gain] = found[0].spreads();
        assert_eq!((there.mean, here.mean, gain.mean, there.deviation), (1.0, 0.5, 0.5, 0.0));
        assert_eq!(gain.deviation, 0.125f64.sqrt());
        let said = as_json("tiny", &two);
        assert_eq!((&said["table"][0]["gain"]["mean"], &said["seeds"][1]["seed"]), (&json!(0.5), &json!(2)));
        assert_eq!(said["seeds"][0]["stages"][1]["gain"], json!(0.5));
        assert_eq!(rows(&two[..1]).len(), 2);
        assert!(rows(&[]).is_empty());
    }
}
