//! What became of a run: one page for people, made of the files that the run left behind.
//!
//! A run's folder has its options, its metrics (a JSON object per line) and the results of evaluations. A line of runs (base,
//! mid, sft, rl) is followed back by the run that each one started from. Reading order: `collect.rs` (files to numbers),
//! `evidence.rs` (what each stage achieves), `answers.rs` (what
//! was rewarded), `svg.rs` (numbers to curves), `page.rs` (HTML), `text.rs` (Markdown); `chart.rs` draws what several runs have in common;
//! `tensorboard.rs` writes the curves for somebody else's page.

pub mod answers;
pub mod chart;
pub mod collect;
pub mod evidence;
pub mod page;
pub mod svg;
pub mod tensorboard;
pub mod text;

pub use collect::{Line, Machine, Run, collect};

/// 3 significant digits, or more where they are whole.
fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".into(),
        a if a >= 1000.0 => format!("{value:.0}"),
        a if a >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_say_something() {
        assert_eq!([0.12345, 12.345, 12345.6, f64::INFINITY].map(short), ["0.1235", "12.3", "12346", "-"]);
    }

    #[test]
    fn a_line_of_runs_becomes_a_page_that_needs_nothing_else() {
        let base = crate::data::scratch("report");
        let layout = crate::run::Layout::new(&base);
        let write = |run: &str, config: &str, metrics: &str| {
            let dir = layout.run(run).dir;
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("config.toml"), config).unwrap();
            std::fs::write(dir.join("metrics.jsonl"), metrics).unwrap();
        };
        let metrics = r#"{"kind":"train","stage":"base","step":0,"loss":5.0,"smooth_loss":5.0,"seconds":2.0,"tokens_per_second":100.0,"lr_multiplier":1.0}
{"kind":"train","stage":"base","step":1,"loss":4.0,"smooth_loss":4.5,"seconds":2.0,"tokens_per_second":100.0,"lr_multiplier":0.5}
{"kind":"eval","stage":"base","step":1,"val_bpb":1.25}
{"kind":"sample","step":1,"prompt":"<b>","text":" & so on"}
cut short"#;
        write("b", "stage = \"base\"\n", metrics);
        let metrics = r#"{"kind":"train","stage":"rl","step":0,"loss":0.1,"smooth_loss":0.1,"seconds":1.0,"reward":0.25,"flops":40.0}"#;
        write("r", "stage = \"rl\"\nfrom = \"b\"\n", metrics);
        write(
            "c",
            "stage = \"sft\"\nfrom = \"b\"\nflops_of = \"r\"\n",
            r#"{"kind":"train","step":0,"flops":50.0}"#,
        );
        write("d", "stage = \"sft\"\nfrom = \"b\"\nflops_of = \"elsewhere\"\n", "");
        let control = r#"{"run":"c","step":1,"tasks":[{"task":"GSM8K","asked":4,"right":1,"accuracy":0.25,"centred":0.25}]}"#;
        std::fs::write(layout.run("c").dir.join("chat_000001.json"), control).unwrap();
        let scores = r#"{"run":"r","step":1,"chat_core":0.4,"tasks":[{"task":"GSM8K","asked":4,"right":2,"accuracy":0.5,"centred":0.5}]}"#;
        std::fs::write(layout.run("r").dir.join("chat_000001.json"), scores).unwrap();

        let line = collect(&layout, "r").unwrap();
        assert_eq!(line.runs.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["b", "r"]);
        assert_eq!((line.seconds(), line.runs[0].val_bpb, line.runs[0].steps), (5.0, Some(1.25), 2));
        assert_eq!(
            line.controls.iter().map(|c| (c.name.as_str(), c.flops)).collect::<Vec<_>>(),
            [("c", 50.0)]
        );
        assert_eq!((line.runs[1].flops, line.runs[1].asked["GSM8K"]), (40.0, 4));
        let machine = Machine { cpu: "x".into(), threads: 2, simd: "avx2".into(), system: "linux".into() };
        let html = page::html(&line, &machine, Some(3.6));
        for wanted in [
            "<svg",
            "GSM8K",
            "0.5000",
            "1.2500",
            "&lt;b&gt;</b> &amp; so on",
            "$0.005",
            "reward",
            "control: more sft",
        ] {
            assert!(html.contains(wanted), "{wanted}");
        }
        for outside in ["http://", "https://", "<script", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
        let text = text::markdown(&line, &machine, None);
        assert!(text.contains("| 0.2500 | 0.5000 | +0.2500 ± 0.6482 | 5.00e1, 4.00e1 |"), "{text}");
        assert!(text.contains("| base | b | 2 |") && text.contains("GSM8K"), "{text}");
        assert!(collect(&layout, "nobody").unwrap_err().to_string().contains("nobody"));
    }
}
