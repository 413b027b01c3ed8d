//! Mean and spread of several seeds: a column for each stage, a row for each figure.

use crate::output;
use train::report::{Line, Run};
use train::trials::paired;

/// The table.
pub fn print(lines: &[Line]) -> anyhow::Result<()> {
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
        task => run.scores.iter().find(|(name, _)| name == task).map(|&(_, a)| a),
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
}
