//! Checks of the operation `example_op` alone: its kernels and its gradient on the CPU. Written into the copy of the
//! repository in which `cargo xtask new-op --self-test` follows the book.

use kernels::verify::{Budget, CheckResult};

#[test]
fn the_kernels_agree_with_their_definition() {
    let (mut checks, mut failures) = (0, Vec::new());
    kernels::verify::verify(&kernels::Cpu, Some("example_op_"), Budget::default(), &mut |r: &CheckResult| {
        checks += 1;
        failures.extend((!r.ok).then(|| r.to_string()));
    });
    assert!(checks > 50, "only {checks} checks");
    assert!(failures.is_empty(), "{failures:#?}");
}
// BEGIN gradient

#[test]
fn the_operation_agrees_with_its_definition_and_with_differences() {
    let (mut checks, mut failures) = (Vec::new(), Vec::new());
    let device = tensor::Device::Cpu;
    checks::verify_ops(device, Some("example_op"), Budget::default(), &mut |r: &CheckResult| {
        checks.push(r.check);
        failures.extend((!r.ok).then(|| r.to_string()));
    });
    assert!(["value", "gradient", "differences", "composite"].iter().all(|name| checks.contains(name)));
    assert!(failures.is_empty(), "{failures:#?}");
}
// END gradient
