//! What kinds of runs side by side say: results by seed, differences with their spread, curves in one picture.

use super::pace::Pace;
use super::trial::{ManyArgs, Outcome};
use serde_json::{Value, json};
use std::fmt::Write;
use train::report::chart::{Axis, Line, Scale, chart};
use train::trials::paired::{Spread, spread};

/// Runs with the same options, one for each seed.
#[derive(Clone, Debug)]
pub struct Kind {
    /// What they have of their own.
    pub options: String,
    /// In the order of the seeds.
    pub runs: Vec<Outcome>,
}

impl Kind {
    fn name(&self) -> &str {
        if self.options == "." { "as all" } else { &self.options }
    }
    /// Results minus those of `first`, seed by seed.
    fn minus(&self, first: &Kind) -> Option<Spread> {
        let pairs = self.runs.iter().zip(&first.runs);
        spread(&pairs.map(|(own, first)| own.bpb - first.bpb).collect::<Vec<_>>())
    }
}

/// What a difference of bits per byte says, where less is better.
fn verdict(s: &Spread) -> &'static str {
    match (s.n, s.mean < 0.0) {
        (1, _) => "one seed says little",
        (_, true) if s.is_clear() => "better",
        (_, false) if s.is_clear() => "worse",
        _ => "may be chance",
    }
}

/// For people.
pub fn table(seeds: &[u64], kinds: &[Kind]) -> String {
    let mut out = String::from("\nvalidation, bits per byte\n");
    let width = kinds.iter().map(|k| k.name().chars().count()).max().unwrap_or(0);
    let _ = write!(out, "{:width$}  {:>7}", "", "steps");
    seeds.iter().for_each(|seed| out += &format!("{:>12}", format!("seed {seed}")));
    out += "    minus the first: mean ± deviation, 95 % interval\n";
    for (i, kind) in kinds.iter().enumerate() {
        let steps = kind.runs.first().map_or(0, |o| o.steps);
        let _ = write!(out, "{:width$}  {steps:>7}", kind.name());
        kind.runs.iter().for_each(|o| out += &format!("{:>12.4}", o.bpb));
        if let Some(s) = kind.minus(&kinds[0]).filter(|_| i > 0) {
            let _ = write!(out, "    {:+.4} ± {:.4}", s.mean, s.deviation);
            if s.n > 1 {
                let _ = write!(out, ", {:+.4} to {:+.4}", s.mean - s.margin, s.mean + s.margin);
            }
            let _ = write!(out, ": {}", verdict(&s));
        }
        out.push('\n');
    }
    out
}

/// For programs.
pub fn report(args: &ManyArgs, kinds: &[Kind], paces: &[Pace]) -> Value {
    let run = |o: &Outcome| json!({"bpb": o.bpb, "steps": o.steps, "tokens": o.tokens, "flops": o.flops, "seconds": o.seconds, "params": o.params});
    let finite = |v: f64| v.is_finite().then_some(v); // JSON has no infinity
    let kind = |kind: &Kind| {
        let minus = kind.minus(&kinds[0]);
        json!({
            "options": kind.options, "runs": kind.runs.iter().map(run).collect::<Vec<_>>(),
            "minus_first": minus.map(|s| json!({"mean": s.mean, "deviation": s.deviation, "margin": finite(s.margin)})),
        })
    };
    json!({
        "seeds": args.seeds, "options": args.options, "paces": paces,
        "kinds": kinds.iter().map(kind).collect::<Vec<_>>(),
    })
}

/// Validation on the way, a colour for each kind.
pub fn picture(kinds: &[Kind]) -> String {
    let lines = kinds.iter().enumerate().flat_map(|(colour, kind)| {
        kind.runs.iter().enumerate().map(move |(i, run)| {
            let name = if i == 0 { kind.name().to_string() } else { String::new() };
            Line { name, points: run.curve.clone(), colour }
        })
    });
    let x = Axis { name: "tokens", scale: Scale::Linear };
    let y = Axis { name: "validation, bits per byte", scale: Scale::Log };
    chart(x, y, &lines.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(options: &str, results: &[f64]) -> Kind {
        let run = |&bpb: &f64| Outcome {
            bpb,
            curve: vec![[100.0, 2.0 * bpb], [200.0, bpb]],
            steps: 2,
            tokens: 200.0,
            flops: 1e6,
            params: 10,
            scaling_params: 5,
            seconds: 1.0,
        };
        Kind { options: options.into(), runs: results.iter().map(run).collect() }
    }

    #[test]
    fn differences_are_taken_within_seeds() {
        // Seeds differ by 0.3, kinds by 0.01: the pairs see it.
        let kinds =
            [kind(".", &[1.0, 1.3, 1.6]), kind("x=1", &[0.99, 1.291, 1.589]), kind("y=1", &[1.1, 1.2, 1.7])];
        let text = table(&[1, 2, 3], &kinds);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[4].contains("-0.0100 ± 0.0010") && lines[4].ends_with("better"), "{text}");
        assert!(lines[5].ends_with("may be chance") && lines[3].ends_with("1.6000"), "{text}");
        let json = report(&ManyArgs { seeds: vec![1, 2, 3], ..ManyArgs::default() }, &kinds, &[]);
        assert!((json["kinds"][1]["minus_first"]["mean"].as_f64().unwrap() + 0.01).abs() < 1e-12, "{json}");
        let svg = picture(&kinds);
        assert_eq!((svg.matches("stroke-width=\"2\"").count(), svg.matches(">x=1<").count()), (9, 1));
    }

    #[test]
    fn one_seed_has_no_interval() {
        let kinds = [kind("a", &[1.0]), kind("b", &[0.5])];
        assert!(table(&[1], &kinds).contains("one seed says little"));
        assert!(report(&ManyArgs::default(), &kinds, &[])["kinds"][1]["minus_first"]["margin"].is_null());
    }
}
