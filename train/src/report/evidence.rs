//! Does each stage earn its place? A line of runs as comparisons: pretraining beside counting, fine-tuning beside the model it began
//! with, reinforcement beside the same and beside a control, in which fine-tuning goes on for the computation that
//! reinforcement spent. Read next: `text.rs`, which writes them as a table.

use super::collect::{Line, Run};
use serde::Serialize;

/// The task that reinforcement is judged by.
const PROBLEMS: &str = "GSM8K";
/// Half the width of a normal distribution's middle 95 %, in standard deviations.
const NORMAL_95: f64 = 1.96;

/// What a stage achieves, beside something else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The stage.
    pub stage: String,
    /// What is measured.
    pub figure: String,
    /// What it is compared with.
    pub beside: String,
    /// The figure of that.
    pub there: f64,
    /// The figure of the stage.
    pub here: f64,
    /// How much better the stage is; below 0, worse.
    pub gain: f64,
    /// The gain is known to within this, 95 times of 100, as far as the number of problems goes; of accuracies only.
    pub margin: Option<f64>,
    /// Floating-point operations of the other and of the stage, where they are part of the comparison.
    pub flops: Option<[f64; 2]>,
}

/// All comparisons that the runs allow, in the order of the stages.
pub fn comparisons(line: &Line) -> Vec<Comparison> {
    let mut found: Vec<Comparison> = line.runs.iter().filter_map(beside_counting).collect();
    for (i, run) in line.runs.iter().enumerate() {
        let before = &line.runs[..i];
        match run.stage.as_str() {
            "sft" => found.extend(before.iter().rev().find_map(|b| chat_core(b, run))),
            "rl" => {
                found.extend(before.iter().rev().find_map(|b| problems(b, run, b.stage.clone(), false)));
                let controls = line.controls.iter().filter(|c| c.control_of.as_deref() == Some(&run.name));
                found.extend(
                    controls.filter_map(|c| problems(c, run, format!("control: more {}", c.stage), true)),
                );
            }
            _ => {}
        }
    }
    found
}

fn beside_counting(run: &Run) -> Option<Comparison> {
    let [here, there] = run.trigram?;
    Some(Comparison {
        stage: run.stage.clone(),
        figure: "bits per byte".into(),
        beside: "Kneser–Ney trigram, same tokens".into(),
        there,
        here,
        gain: there - here,
        margin: None,
        flops: None,
    })
}

fn chat_core(before: &Run, run: &Run) -> Option<Comparison> {
    let (there, here) = (before.chat_core?, run.chat_core?);
    Some(Comparison {
        stage: run.stage.clone(),
        figure: "ChatCORE".into(),
        beside: before.stage.clone(),
        there,
        here,
        gain: here - there,
        margin: None,
        flops: None,
    })
}

fn problems(other: &Run, run: &Run, beside: String, equal_flops: bool) -> Option<Comparison> {
    let of = |run: &Run| run.accuracy(PROBLEMS).zip(run.asked.get(PROBLEMS).copied());
    let ((there, n), (here, m)) = (of(other)?, of(run)?);
    let variance = |p: f64, n: usize| p * (1.0 - p) / n.max(1) as f64;
    Some(Comparison {
        stage: run.stage.clone(),
        figure: format!("{PROBLEMS}, {m} held-out problems"),
        beside,
        there,
        here,
        gain: here - there,
        margin: Some(NORMAL_95 * (variance(there, n) + variance(here, m)).sqrt()),
        flops: equal_flops.then_some([other.flops, run.flops]),
    })
}

impl Comparison {
    /// Cells of a row: stage, figure, beside what, its figure, the stage's, the gain with its margin, the operations of both.
    pub fn cells(&self) -> [String; 7] {
        let margin = self.margin.map_or(String::new(), |m| format!(" ± {m:.4}"));
        let flops = self.flops.map_or(String::new(), |[there, here]| format!("{there:.2e}, {here:.2e}"));
        let number = |x: f64| format!("{x:.4}");
        [
            self.stage.clone(),
            self.figure.clone(),
            self.beside.clone(),
            number(self.there),
            number(self.here),
            format!("{:+.4}{margin}", self.gain),
            flops,
        ]
    }
}

/// Above the columns of [`Comparison::cells`].
pub const HEADER: [&str; 7] = ["stage", "figure", "beside", "there", "here", "gain", "FLOPs there, here"];

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, stage: &str, chat_core: Option<f64>, right: Option<f64>) -> Run {
        let mut run = Run { name: name.into(), stage: stage.into(), chat_core, ..Run::default() };
        run.scores.extend(right.map(|p| (PROBLEMS.to_string(), p)));
        run.asked.extend(right.map(|_| (PROBLEMS.to_string(), 100)));
        run
    }

    #[test]
    fn each_stage_stands_beside_what_it_must_beat() {
        let mut base = run("b", "base", Some(0.01), Some(0.0));
        base.trigram = Some([0.25, 0.75]);
        let mut control = run("c", "sft", None, Some(0.6));
        (control.control_of, control.flops) = (Some("r".into()), 2e12);
        let stranger = Run { control_of: Some("other".into()), ..control.clone() };
        let line = Line {
            runs: vec![
                base,
                run("m", "mid", None, None),
                run("s", "sft", Some(0.41), Some(0.5)),
                run("r", "rl", Some(0.5), Some(0.9)),
            ],
            controls: vec![stranger, control],
        };
        let found = comparisons(&line);
        let gains: Vec<(&str, &str, f64)> = found
            .iter()
            .map(|c| (c.stage.as_str(), c.beside.as_str(), (c.gain * 1e6).round() / 1e6))
            .collect();
        assert_eq!(
            gains,
            [
                ("base", "Kneser–Ney trigram, same tokens", 0.5),
                ("sft", "base", 0.4),
                ("rl", "sft", 0.4),
                ("rl", "control: more sft", 0.3),
            ]
        );
        let margin = found[3].margin.unwrap();
        assert!((margin - 1.96 * ((0.6f64 * 0.4 + 0.9 * 0.1) / 100.0).sqrt()).abs() < 1e-12);
        assert_eq!(found[3].flops, Some([2e12, 0.0]));
        assert!(comparisons(&Line::default()).is_empty());
    }
}
