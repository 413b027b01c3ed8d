//! One thing that can be checked: a kernel, or a differentiable operation. The two registries differ in what they know;
//! what is printed of them is the same.

use checks::registry::{OPS, OpInfo};
use checks::verify_these;
use kernels::registry::Layouts;
use kernels::verify::{Budget, CheckResult, verify_kernels};
use kernels::{DType, KernelInfo};
use tensor::Device;

/// A row of one of the registries.
#[derive(Clone, Copy)]
pub enum Entry {
    /// Compared with its definition in f64.
    Kernel(&'static KernelInfo),
    /// Its value and its gradient.
    Op(&'static OpInfo),
}

impl Entry {
    /// All kernels, then all operations.
    pub fn all() -> Vec<Entry> {
        kernels::kernels().map(Entry::Kernel).chain(OPS.iter().copied().map(Entry::Op)).collect()
    }
    /// A kernel's folder under `kernels/src/`, an operation's file under `autograd/src/ops/`.
    pub fn place(self) -> &'static str {
        match self {
            Entry::Kernel(info) => folder_of(info.name),
            Entry::Op(info) => info.module,
        }
    }
    /// The shapes it is measured at, by their labels.
    pub fn measured(self) -> Vec<&'static str> {
        match self {
            Entry::Kernel(info) => (info.bench)().iter().map(|sample| sample.label).collect(),
            Entry::Op(_) => Vec::new(),
        }
    }
    /// `rms_norm_fwd`.
    pub fn name(self) -> &'static str {
        match self {
            Entry::Kernel(info) => info.name,
            Entry::Op(info) => info.name,
        }
    }
    /// The formula.
    pub fn doc(self) -> &'static str {
        match self {
            Entry::Kernel(info) => info.doc,
            Entry::Op(info) => info.doc,
        }
    }
    /// Which registry.
    pub fn kind(self) -> &'static str {
        match self {
            Entry::Kernel(_) => "kernel",
            Entry::Op(_) => "operation",
        }
    }
    /// Dtypes it is checked in.
    pub fn dtypes(self) -> &'static [DType] {
        match self {
            Entry::Kernel(info) => info.dtypes,
            Entry::Op(info) => info.dtypes,
        }
    }
    /// Layouts it accepts, in words.
    pub fn layouts(self) -> &'static str {
        let layouts = match self {
            Entry::Kernel(info) => info.layouts,
            Entry::Op(info) => info.layouts,
        };
        match layouts {
            Layouts::Any => "any",
            Layouts::Rows => "dense rows",
            Layouts::Contiguous => "contiguous",
        }
    }
    /// Check it on `device`.
    pub fn verify(self, device: Device, budget: Budget, on_result: &mut dyn FnMut(&CheckResult)) {
        match self {
            Entry::Kernel(info) => verify_kernels([info], device.backend(), budget, on_result),
            Entry::Op(info) => verify_these([info], device, budget, on_result),
        };
    }
    /// Has CUDA this kernel? Of an operation nothing is known before it runs.
    pub fn is_on_cuda(self) -> bool {
        matches!(self, Entry::Op(_)) || cuda::has_kernel(self.place())
    }
}

/// The folder whose table has this kernel.
fn folder_of(kernel: &str) -> &'static str {
    let has = |table: &[KernelInfo]| table.iter().any(|info| info.name == kernel);
    kernels::TABLES.iter().find(|(_, table)| has(table)).map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_kind_is_really_checked() {
        for name in ["relu_squared_fwd", "relu_squared"] {
            let entry = Entry::all().into_iter().find(|e| e.name() == name).unwrap();
            let (mut checks, mut failed) = (0, 0);
            let budget = Budget { max_elements: 64, ..Budget::default() };
            entry.verify(Device::Reference, budget, &mut |result| {
                checks += 1;
                failed += usize::from(!result.ok);
            });
            assert!(checks > 5 && failed == 0, "{name}: {failed} of {checks} failed");
        }
    }
}
