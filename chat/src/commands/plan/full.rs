//! What `plan` would have said of a step that did not fit on the GPU: the end of that step's error.

use super::rows;
use crate::commands::bench::steps::Bench;
use crate::commands::shared::Generation;
use crate::globals::Globals;
use model::{Family, GptConfig, GptOptions};
use tensor::Device;
use train::TrainError;
use train::optim::NsDtype;

/// The same error, and beside it, if a GPU's memory was full, what a step of so many rows needs and which would fit.
pub fn explained(
    error: TrainError,
    config: &GptConfig,
    batch_rows: usize,
    ns: NsDtype,
    globals: &Globals,
) -> anyhow::Error {
    if globals.device() != Device::Cuda || !error.is_out_of_memory() {
        return error.into();
    }
    let room = tensor::open_gpu(0).and_then(|gpu| gpu.driver().room());
    let said = room.map_err(anyhow::Error::from).and_then(|(_, total)| {
        let options = GptOptions { device: Device::DryRun, ..globals.gpt_options() };
        let generation =
            if config.family == Family::Current { Generation::Current } else { Generation::Classic };
        let mut bench = Bench::with(config.clone(), generation, batch_rows, ns, globals.seed, options)?;
        let plan = rows::plan(&mut bench, batch_rows, total as f64)?;
        Ok(words(&plan, total as f64))
    });
    match said {
        Ok(words) => anyhow::Error::from(error).context(words),
        Err(_) => error.into(), // its own words must do
    }
}

fn words(plan: &rows::Plan, total: f64) -> String {
    let needs = format!(
        "a step of {} rows needs at least {:.3} GB of the GPU's {:.3} GB; the last checkpoint is as it was",
        plan.rows,
        1e-9 * plan.peak,
        1e-9 * total
    );
    match plan.most_rows {
        0 => needs + "; not even one row fits: use a smaller model or shorter rows",
        n => needs + &format!("; by itself at most {n} fit: use --device-batch-size {n} or fewer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_that_fit_are_named() {
        let plan = |most_rows| rows::Plan { rows: 8, peak: 5e9, memory: vec![], kernels: vec![], most_rows };
        assert!(words(&plan(3), 4e9).contains("8 rows needs at least 5.000 GB of the GPU's 4.000 GB"));
        assert!(words(&plan(3), 4e9).contains("--device-batch-size 3"));
        assert!(words(&plan(0), 4e9).contains("not even one row fits"));
    }
}
