//! Operating system, processor, memory and disk. Linux tells most of it in `/proc`; elsewhere less is known.

use super::{Fact, Section};
use crate::globals::Globals;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Processor features that matter to matrix products, in the order they are printed.
const FEATURES: &[&str] = &[
    "sse4_2",
    "avx",
    "f16c",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_bf16",
    "avx512_fp16",
    "avx512_vnni",
    "avx_vnni",
    "amx_bf16",
    "amx_tile",
    "amx_int8",
    "asimd",
    "asimdhp",
    "asimddp",
    "bf16",
    "sve",
    "sve2",
];

/// System and processor.
pub fn section() -> Section {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let logical = std::thread::available_parallelism().ok().map(usize::from);
    let physical = cores(&cpuinfo);
    let cores_text = match (physical, logical) {
        (Some(p), Some(l)) => format!("{p} (this process may use {l} hardware threads)"),
        (None, Some(l)) => format!("{l} hardware threads"),
        _ => "unknown".into(),
    };
    let features = features(&cpuinfo);
    let facts = vec![
        Fact::text("system", Some(system())),
        Fact::text("processor", processor(&cpuinfo)),
        Fact::new(
            "features",
            json!(features),
            if features.is_empty() { "unknown".into() } else { features.join(" ") },
        ),
        Fact::new("cores", json!({ "physical": physical, "usable_threads": logical }), cores_text),
    ];
    Section { title: "Machine", key: "machine", facts }
}

/// What the processor is called, read from `/proc/cpuinfo`'s text.
fn processor(cpuinfo: &str) -> Option<String> {
    field(cpuinfo, "model name").or_else(|| field(cpuinfo, "Model")).map(String::from)
}

/// This machine in a few words, to stand beside what was measured on it.
pub fn in_short() -> String {
    let name = processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", name.as_deref().unwrap_or(std::env::consts::ARCH))
}

/// Memory and disk.
pub fn memory(globals: &Globals) -> Section {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let base = globals.layout().ok().map(|layout| layout.base().to_path_buf());
    let facts = vec![
        Fact::bytes("memory", kilobytes(&meminfo, "MemTotal")),
        Fact::bytes("memory_available", kilobytes(&meminfo, "MemAvailable")),
        Fact::bytes("disk_free_at_base_folder", base.and_then(|base| free_disk(&base))),
    ];
    Section { title: "Memory and disk", key: "memory", facts }
}

/// Bytes that a new process could take without pushing others out, where the system tells.
pub fn available_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")
}

/// `Debian GNU/Linux 12, kernel 6.1.0`, or the bare name.
fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).map(|n| n.trim_matches('"'));
    let mut system = name.unwrap_or(std::env::consts::OS).to_string();
    if let Ok(kernel) = fs::read_to_string("/proc/sys/kernel/osrelease") {
        system += &format!(", kernel {}", kernel.trim());
    }
    system
}

/// The value of the first `name : value` line.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let values = text.lines().filter_map(|l| l.split_once(':')).filter(|(key, _)| key.trim() == name);
    values.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
}

/// `MemTotal:  16 kB` in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    Some(field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Those features of `FEATURES` that the processor reports.
fn features(cpuinfo: &str) -> Vec<&'static str> {
    let flags = field(cpuinfo, "flags").or_else(|| field(cpuinfo, "Features")).unwrap_or_default();
    let flags: BTreeSet<&str> = flags.split_whitespace().collect();
    FEATURES.iter().copied().filter(|f| flags.contains(f)).collect()
}

/// Different pairs of socket and core.
fn cores(cpuinfo: &str) -> Option<usize> {
    let processors = cpuinfo.split("\n\n");
    let pairs: BTreeSet<_> =
        processors.filter_map(|p| Some((field(p, "physical id")?, field(p, "core id")?))).collect();
    if pairs.is_empty() { None } else { Some(pairs.len()) }
}

/// Free bytes on the disk that holds `path`, or that would hold it: the standard library cannot ask, `df` can.
fn free_disk(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|p| p.exists())?;
    let mut df = Command::new("df");
    let out = df.arg("-Pk").arg(there).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    available(&String::from_utf8_lossy(&out.stdout))
}

/// The fourth column of `df -Pk`, whose first (a device) and last (a folder) may contain spaces: counted from the column
/// that ends in `%`.
fn available(df: &str) -> Option<u64> {
    let words: Vec<&str> = df.lines().nth(1)?.split_whitespace().collect();
    let percent = words.iter().position(|w| w.ends_with('%'))?;
    Some(words.get(percent.checked_sub(1)?)?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nphysical id\t: 0\ncore id\t\t: 0\n\
                           flags\t\t: fpu avx2 fma avx512f\n\nprocessor\t: 1\nmodel name\t: Some CPU @ 2.0GHz\n\
                           physical id\t: 0\ncore id\t\t: 0\n\nprocessor\t: 2\nphysical id\t: 0\ncore id\t\t: 1\n";

    #[test]
    fn the_processor_is_read_from_what_the_kernel_prints() {
        assert_eq!(field(CPUINFO, "model name"), Some("Some CPU @ 2.0GHz"));
        assert_eq!(features(CPUINFO), ["avx2", "fma", "avx512f"]);
        assert_eq!(cores(CPUINFO), Some(2), "two hardware threads share a core");
        assert_eq!((field("", "model name"), cores("")), (None, None));
    }

    #[test]
    fn memory_is_in_bytes() {
        let meminfo = "MemTotal:       24654252 kB\nMemFree:        1 kB\n";
        assert_eq!(kilobytes(meminfo, "MemTotal"), Some(24_654_252 * 1024));
        assert_eq!(kilobytes(meminfo, "MemAvailable"), None);
    }

    #[test]
    fn the_free_column_is_found_whatever_the_names() {
        let header = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        assert_eq!(
            available(&format!("{header}/dev/vda 264212084 23718308 71567580 25% /\n")),
            Some(71_567_580 * 1024)
        );
        assert_eq!(available(&format!("{header}map auto home 10 4 6 40% /my disk\n")), Some(6 * 1024));
        assert_eq!(available(header), None);
    }
}
