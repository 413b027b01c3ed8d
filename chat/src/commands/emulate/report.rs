//! What a launch cost, as tables for a person and as JSON.

use super::argument::Placed;
use emulator::{Device, Fault, Gpu, Launch, LineCount, Report, line_table, occupancy};
use serde_json::{Map, Value, json};

/// Elements of a buffer that are shown, and that JSON has.
const SHOWN: usize = 8;

/// Buffers after the launch, and the counters where asked for.
pub fn text(
    launch: &Launch,
    report: &Report,
    source: Option<&str>,
    counters: bool,
    device: &mut Device,
    placed: &[Placed],
) -> anyhow::Result<String> {
    let mut out = String::new();
    if counters {
        out += &format!("kernel {}, {} blocks\n{}\n", launch.kernel, report.blocks, report.counters);
        let mut files: Vec<u32> = report.counters.lines.keys().map(|(file, _)| *file).collect();
        files.dedup();
        for file in files.into_iter().filter(|file| *file > 0) {
            // the source at hand is that of the module's first file; of others only line numbers are known
            let known = if file == 1 { source.unwrap_or("") } else { "" };
            out += &format!("{}\n", line_table(&report.counters, launch.module, file, known));
        }
        out += &format!(
            "at least {} registers per thread, {} bytes of shared memory per block: at most\n",
            report.live_registers, report.shared_bytes
        );
        for (gpu, found) in each_gpu(launch, report) {
            out += &format!(
                "  {:<9} {:>2} blocks per multiprocessor, limited by {}\n",
                gpu.name, found.blocks, found.limit
            );
        }
        out.push('\n');
    }
    for (i, placed) in placed.iter().enumerate() {
        if let Some((ty, count, shown)) = placed.contents(device, SHOWN)? {
            let more = if count > shown.len() { " …" } else { "" };
            out += &format!("argument {i}  {ty}[{count}] = {}{more}\n", shown.join(" "));
        }
    }
    Ok(out)
}

fn each_gpu(launch: &Launch, report: &Report) -> Vec<(Gpu, emulator::Occupancy)> {
    let threads: u32 = launch.block.iter().product();
    let of = |gpu: Gpu| (gpu, occupancy(&gpu, threads, report.live_registers, report.shared_bytes as u32));
    Gpu::ALL.into_iter().map(of).collect()
}

fn line(count: &LineCount) -> Value {
    json!({
        "warp_instructions": count.warp_instructions,
        "lane_instructions": count.lane_instructions,
        "sectors": count.sectors,
        "fewest_sectors": count.min_sectors,
        "wavefronts": count.wavefronts,
        "requests": count.requests,
        "splits": count.splits,
    })
}

/// Everything, for programs.
pub fn json(
    launch: &Launch,
    result: &Result<Report, Box<Fault>>,
    device: &mut Device,
    placed: &[Placed],
) -> anyhow::Result<Value> {
    let mut buffers = Vec::new();
    for (i, placed) in placed.iter().enumerate() {
        if let Some((ty, count, first)) = placed.contents(device, SHOWN)? {
            buffers.push(json!({ "argument": i, "type": ty, "elements": count, "first": first }));
        }
    }
    let mut value = json!({
        "kernel": launch.kernel, "grid": launch.grid, "block": launch.block, "shared_bytes": launch.shared_bytes,
        "buffers": buffers,
    });
    match result {
        Ok(report) => {
            let counters = &report.counters;
            let classes: Map<String, Value> =
                counters.classes.iter().map(|(class, n)| (format!("{class:?}"), (*n).into())).collect();
            let lines: Vec<Value> = counters
                .lines
                .iter()
                .map(|((file, number), count)| {
                    let file = launch.module.file(*file).unwrap_or("");
                    json!({ "file": file, "line": number, "counts": line(count) })
                })
                .collect();
            let gpus: Vec<Value> = each_gpu(launch, report)
                .into_iter()
                .map(|(gpu, found)| json!({ "gpu": gpu.name, "blocks": found.blocks, "limit": found.limit }))
                .collect();
            value["report"] = json!({
                "total": line(&counters.total), "classes": classes, "barriers": counters.barriers, "lines": lines,
                "registers_at_least": report.live_registers, "shared_bytes": report.shared_bytes, "occupancy": gpus,
            });
        }
        Err(fault) => {
            value["fault"] = json!({
                "kind": format!("{:?}", fault.kind), "message": fault.message, "text": fault.to_string(),
                "ptx_line": fault.place.ptx_line,
                "cuda": fault.place.cuda.as_ref().map(|(file, line)| json!({ "file": file, "line": line })),
                "block": fault.block, "warp": fault.warp, "lane": fault.lane,
            });
        }
    }
    Ok(value)
}
