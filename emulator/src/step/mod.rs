//! A launch as text that a student can follow: one warp, instruction by instruction, under the lines of the CUDA source;
//! and the counters beside the source.
//!
//! Read next: the example `step`, which prints both for a kernel.

mod lines;
mod shared;

pub use lines::line_table;

use crate::error::Fault;
use crate::exec::{Launch, Report, Step};
use crate::memory::Device;
use crate::module::Module;
use shared::SharedBefore;
use std::fmt::Write;

/// What to tell of a launch.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// Number of the block in the grid, x fastest.
    pub block: u64,
    /// The warp in it.
    pub warp: u32,
    /// Lanes whose values are shown.
    pub lanes: usize,
    /// Instructions to show at most.
    pub steps: usize,
    /// The CUDA source, to show its lines.
    pub source: Option<&'a str>,
}

impl Default for Story<'_> {
    fn default() -> Self {
        Story { block: 0, warp: 0, lanes: 4, steps: 1000, source: None }
    }
}

/// How the bits of a register are shown.
#[derive(Clone, Copy, PartialEq)]
enum View {
    F32,
    F64,
    Signed,
    Unsigned,
    Bits,
}

fn view(opcode: &str) -> View {
    let mut types = opcode.split('.').skip(1);
    match types.find(|ty| matches!(*ty, "f32" | "f64" | "s32" | "s64" | "u16" | "u32" | "u64" | "s16")) {
        Some("f32") => View::F32,
        Some("f64") => View::F64,
        Some("s16" | "s32" | "s64") => View::Signed,
        Some(_) => View::Unsigned,
        None => View::Bits,
    }
}

fn shown(view: View, bits: u64) -> String {
    match view {
        View::F32 => format!("{}", f32::from_bits(bits as u32)),
        View::F64 => format!("{}", f64::from_bits(bits)),
        View::Signed if bits <= u64::from(u32::MAX) => format!("{}", bits as u32 as i32),
        View::Signed if (1 << 40..1 << 48).contains(&bits) => format!("{bits:#x}"),
        View::Signed => format!("{}", bits as i64),
        // as good as always an address
        View::Unsigned if bits > u64::from(u32::MAX) => format!("{bits:#x}"),
        View::Unsigned => format!("{bits}"),
        View::Bits => format!("{bits:#x}"),
    }
}

/// The words of an instruction's statement, and which of them is the opcode.
fn statement<'m>(module: &'m Module, step: &Step) -> (Vec<&'m str>, &'m str) {
    let statement = module.line(step.ptx_line());
    let words: Vec<&str> = statement.trim_start_matches('{').split_whitespace().collect();
    let opcode = words.iter().find(|word| !word.starts_with('@')).copied().unwrap_or("");
    (words, opcode)
}

/// One instruction: line, statement, lanes, and what it wrote.
fn sentence(module: &Module, step: &Step, lanes: usize) -> String {
    let (words, opcode) = statement(module, step);
    let text = words.join(" ");
    let mut line = format!("  {:>5}  {text:<58}", step.ptx_line());
    let _ = match step.mask {
        0 => write!(line, "  no lane"),
        mask if mask == step.here && mask == u32::MAX => write!(line, "  all"),
        mask => write!(line, "  {mask:08x}"),
    };
    for values in step.written() {
        let view = if opcode.starts_with("setp") { View::Unsigned } else { view(opcode) };
        let mut active = (0..32).filter(|lane| step.mask >> lane & 1 == 1);
        let first: Vec<String> = active.by_ref().take(lanes).map(|lane| shown(view, values[lane])).collect();
        if !first.is_empty() {
            let more = if active.next().is_some() { " …" } else { "" };
            let _ = write!(line, "  = {}{more}", first.join(" "));
        }
    }
    line
}

/// Runs a kernel and tells what one warp did. The text is complete up to the instruction before a fault, whose report is
/// then its end.
pub fn narrate(device: &mut Device, launch: &Launch, story: &Story) -> (String, Result<Report, Box<Fault>>) {
    let module = launch.module;
    let mut text = format!("kernel {}, block {}, warp {}\n", launch.kernel, story.block, story.warp);
    let (mut at, mut told, mut memory) = ((0, 0), 0, SharedBefore::default());
    let mut observer = |step: &Step| {
        if step.block != story.block || told > story.steps {
            return;
        }
        let (_, opcode) = statement(module, step);
        let changes = memory.changes(step.shared, view(opcode), story.lanes);
        if step.warp != story.warp {
            return;
        }
        told += 1;
        if told > story.steps {
            return;
        }
        let here = step.cuda_line();
        if here != at && here.1 > 0 {
            at = here;
            let file = module.file(here.0).map_or("", |path| path.rsplit('/').next().unwrap_or(path));
            let source = story.source.and_then(|s| s.lines().nth(here.1 as usize - 1)).map_or("", str::trim);
            let _ = writeln!(text, "{file}:{}  {source}", here.1);
        }
        let _ = writeln!(text, "{}", sentence(module, step, story.lanes));
        if let Some(changes) = changes {
            let _ = writeln!(text, "         shared memory:{changes}");
        }
    };
    let result = device.trace(launch, &mut observer);
    if told > story.steps {
        let _ = writeln!(text, "  … (more than {} instructions)", story.steps);
    }
    if let Err(fault) = &result {
        let _ = writeln!(text, "{fault}");
    }
    (text, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arg, Config, Device};

    const PTX: &str = ".version 8.8\n.target sm_80\n.address_size 64\n.entry k(.param .u64 out)\n{\n.reg .pred %p<2>;\n\
        .reg .b32 %r<4>;\n.reg .b64 %d<4>;\n.loc 1 2 0\nld.param.u64 %d1, [out];\nmov.u32 %r1, %tid.x;\n.loc 1 3 0\n\
        cvt.rn.f32.s32 %r2, %r1;\nsetp.lt.u32 %p1, %r1, 2;\n@%p1 add.f32 %r2, %r2, 0f3F000000;\n@!%p1 bra END;\n\
        st.global.f32 [%d1], 0f00000000;\nEND:\nret;\n}\n.file 1 \"/k.cu\"\n";

    fn told(device: &mut Device, out: Arg, story: &Story) -> (String, Result<Report, Box<Fault>>) {
        let module = Module::load(PTX, "k.ptx").unwrap();
        narrate(device, &Launch::of(&module, "k", &[out]), story)
    }

    #[test]
    fn a_story_has_the_source_the_statements_the_lanes_and_the_values() {
        let mut device = Device::new(Config::default());
        let out = device.alloc(4).unwrap();
        let story = Story { source: Some("one\ntwo\nthree\n"), ..Story::default() };
        let (text, result) = told(&mut device, out.into(), &story);
        result.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "kernel k, block 0, warp 0");
        assert_eq!(lines[1], "k.cu:2  two");
        assert!(
            lines[3].contains("mov.u32 %r1, %tid.x;") && lines[3].ends_with("all  = 0 1 2 3 …"),
            "{}",
            lines[3]
        );
        assert_eq!(lines[4], "k.cu:3  three");
        assert!(lines[7].ends_with("00000003  = 0.5 1.5"), "{}", lines[7]);
        assert!(lines.iter().any(|l| l.contains("st.global.f32") && l.ends_with("00000003")));
    }

    #[test]
    fn a_story_ends_with_the_fault_and_is_no_longer_than_asked() {
        let mut device = Device::new(Config::default());
        let story = Story { steps: 3, ..Story::default() };
        let (text, result) = told(&mut device, 0_u64.into(), &story);
        assert!(result.is_err() && text.contains("OutOfBounds") && text.contains("null"));
        assert!(text.contains("more than 3"));
    }
}
