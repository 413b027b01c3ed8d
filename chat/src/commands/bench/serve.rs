//! `bench kernels --serve`: kernels timed as standard input asks for them, so that another program can be measured in
//! alternation with them (`benches/torch/kernels.py`). The protocol is a line each way, as in `bench train --serve-steps`.

use crate::output;
use anyhow::{Context, anyhow};
use kernels::Cpu;
use kernels::measure::clock::Limits;
use kernels::measure::run::{Bench, Case};
use serde_json::{Value, json};
use std::io::BufRead;

/// Answer requests until `quit` or the end of input. A bad request is answered, too.
pub fn serve(cases: &[Case], requests: impl BufRead) -> anyhow::Result<()> {
    let mut latest: Option<(String, Bench)> = None; // arguments stay in memory while the same case is asked for
    for request in requests.lines() {
        let request = request.context("reading a request")?;
        if request.trim() == "quit" {
            break;
        }
        let reply = match answer(cases, &request, &mut latest) {
            Ok(reply) => reply,
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        output::line(&reply.to_string())?;
    }
    Ok(())
}

fn answer(cases: &[Case], request: &str, latest: &mut Option<(String, Bench)>) -> anyhow::Result<Value> {
    let ["time", name, dtype, seconds] = request.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(anyhow!("expected `time KERNEL/SHAPE DTYPE SECONDS` or `quit`, got {request:?}"));
    };
    let seconds: f64 = seconds.parse().context("SECONDS is a number")?;
    let key = format!("{name} {dtype}");
    if latest.as_ref().is_none_or(|(held, _)| *held != key) {
        let found = cases.iter().find(|case| case.name() == name && case.dtype.to_string() == dtype);
        let case = found.with_context(|| format!("there is no {key}"))?;
        *latest = None; // its memory first
        *latest = Some((key, Bench::new(case).map_err(|e| anyhow!(e))?));
    }
    let (_, bench) = latest.as_mut().context("no case")?;
    let timing = bench.time(&Cpu, Limits::seconds(seconds), || Ok(())).map_err(|e| anyhow!(e))?;
    Ok(json!({ "ms": 1e3 * timing.median, "min_ms": 1e3 * timing.min, "runs": timing.runs }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_case_is_timed_and_everything_else_is_refused() {
        let info = kernels::kernels().filter(|info| info.name == "unary_neg");
        let (cases, mut latest) = (kernels::measure::run::cases(info), None);
        let mut ask = |request: &str| answer(&cases, request, &mut latest);
        let reply = ask("time unary_neg/d12.hidden f32 0.001").unwrap();
        assert!(reply["ms"].as_f64().unwrap() > 0.0 && reply["runs"].as_u64().unwrap() > 0, "{reply}");
        for bad in ["time", "time unary_neg/d99 f32 1", "time unary_neg/d12.hidden f32 x"] {
            assert!(ask(bad).is_err(), "{bad}");
        }
    }
}
