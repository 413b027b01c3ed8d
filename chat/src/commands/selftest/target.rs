//! Where entries are checked: on a device, or on the emulator of a GPU, which has not all kernels.

use super::entry::Entry;
use crate::globals::{DeviceArg, Globals};
use cuda::{Cuda, Emulated, Hardware};
use emulator::Options;
use kernels::Backend;
use kernels::verify::{Budget, CheckResult};
use serde_json::{Value, json};
use tensor::Device;

/// What runs the kernels.
pub enum Target {
    /// Kernels and operations on a device whose backend is complete.
    Device(Device),
    /// Kernels in CUDA C++. Every checker is on, blocks and warps run in an order that the seed shuffles, and approximate
    /// instructions are moved within their documented error. Operations are checked without that, as models run there.
    Emulated(Box<Cuda<Emulated>>),
    /// The same kernels on a GPU.
    Gpu(&'static Cuda<Hardware>),
}

impl Target {
    /// The one that was asked for.
    pub fn of(device: DeviceArg, globals: &Globals) -> anyhow::Result<Target> {
        Ok(match device {
            DeviceArg::Cpu => Target::Device(Device::Cpu),
            DeviceArg::Reference => Target::Device(Device::Reference),
            DeviceArg::Cuda(number) => Target::Gpu(tensor::open_gpu(number)?),
            DeviceArg::Emulated => {
                let (order, perturb) = (Some(globals.seed), Some(globals.seed));
                let options = Options { order, perturb, threads: globals.threads, ..Options::default() };
                Target::Emulated(Box::new(Cuda::new(Emulated::new(options))))
            }
        })
    }
    /// What another is compared with: the emulator keeps its order, and approximations where they are.
    pub fn beside(device: DeviceArg, globals: &Globals) -> anyhow::Result<Target> {
        if device != DeviceArg::Emulated {
            return Target::of(device, globals);
        }
        let options = Options { threads: globals.threads, ..Options::default() };
        Ok(Target::Emulated(Box::new(Cuda::new(Emulated::new(options)))))
    }
    /// What computes its kernels.
    pub fn backend(&self) -> &dyn Backend {
        match self {
            Target::Device(device) => device.backend(),
            Target::Emulated(gpu) => &**gpu,
            Target::Gpu(gpu) => *gpu,
        }
    }
    /// What a report says of the GPU; null where it is none.
    pub fn json(&self) -> Value {
        let Target::Gpu(gpu) = self else { return Value::Null };
        let Ok(facts) = gpu.driver().facts() else { return Value::Null };
        json!({
            "name": facts.name, "compute_capability": [facts.capability.0, facts.capability.1], "driver": facts.driver,
            "bytes": facts.memory, "cublas": gpu.driver().blas().is_ok(), "nvrtc": gpu.driver().compiles(),
        })
    }
    /// What `--max-elements` is where nothing is said: the emulator takes a thousand times as long as the CPU.
    pub fn max_elements(&self) -> usize {
        if matches!(self, Target::Emulated(_)) { 3_000 } else { usize::MAX }
    }
    /// What it can check, and the names of the kernels that it does not have.
    pub fn split(&self, entries: Vec<Entry>) -> (Vec<Entry>, Vec<&'static str>) {
        if let Target::Device(_) = self {
            return (entries, Vec::new());
        }
        let (there, not) = entries.into_iter().partition::<Vec<_>, _>(|entry| entry.is_on_cuda());
        (there, not.into_iter().map(Entry::name).collect())
    }
    /// Check an entry; how many of its checks were refused as not supported.
    pub fn verify(&self, entry: Entry, budget: Budget, on_result: &mut dyn FnMut(&CheckResult)) -> usize {
        match (self, entry) {
            (Target::Emulated(gpu), Entry::Kernel(info)) => cuda::verify(info, gpu, budget, on_result),
            (Target::Gpu(gpu), Entry::Kernel(info)) => cuda::verify(info, gpu, budget, on_result),
            (Target::Device(device), _) => {
                entry.verify(*device, budget, on_result);
                0
            }
            (Target::Emulated(_) | Target::Gpu(_), Entry::Op(_)) => {
                let (mut refused, on_gpu) = (0, matches!(self, Target::Gpu(_)));
                let device = if on_gpu { Device::Cuda } else { Device::Emulated };
                let refusal = format!("is not supported on device {device}");
                entry.verify(device, budget, &mut |result| {
                    if result.detail.contains(&refusal) {
                        refused += 1;
                    } else {
                        on_result(result);
                    }
                });
                refused
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::selftest::Args;
    use crate::globals::parsed;

    #[test]
    fn the_emulated_device_has_every_kernel_and_checks_it() {
        let (_, globals) = parsed::<Args>(&["--device", "emulated"]);
        let target = Target::of(globals.device, &globals).unwrap();
        let (there, without) = target.split(Entry::all());
        assert!(without.is_empty() && there.len() == Entry::all().len(), "{without:?}");
        let norm = there.into_iter().find(|entry| entry.name() == "rms_norm_fwd").unwrap();
        let budget = Budget { max_elements: 600, ..Budget::default() };
        let (mut checks, mut failures) = (0, Vec::new());
        let refused = target.verify(norm, budget, &mut |result| {
            checks += 1;
            failures.extend((!result.ok).then(|| result.to_string()));
        });
        assert!(checks > 20 && refused == 0 && failures.is_empty(), "{checks} checks, {failures:#?}");
    }
}
