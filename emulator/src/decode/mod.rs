//! From the parsed text to the compact form. Every mnemonic has one place that lists the modifiers it accepts, as slice
//! patterns: what matches none of them is an error that quotes the whole opcode. The width of every operand is compared
//! with the type of the instruction.
//!
//! Read next: `symbols.rs` (names to slots), `arithmetic.rs` (the longest list of opcodes), `allocate.rs` (slots shared
//! by registers that are never alive together).

mod allocate;
mod arithmetic;
mod control;
mod data;
mod liveness;
mod matrix;
mod memory;
mod operands;
mod symbols;
mod types;

use crate::code::{Global, Inst, Op, Program, Where};
use crate::parse::{Kernel, Refusal, Space, Statement, Text};
use symbols::Symbols;

/// Everything a module has.
pub(crate) struct Decoded {
    pub programs: Vec<Program>,
    pub globals: Vec<Global>,
}

/// Decodes every kernel.
pub(crate) fn decode(text: &Text) -> Result<Decoded, Refusal> {
    let memory = |space| matches!(space, Space::Global | Space::Const);
    let globals = text.variables.iter().filter(|v| memory(v.space)).map(|v| Global {
        name: v.name.into(),
        align: v.align,
        bytes: v.bytes,
        initial: v.initial.clone(),
        read_only: v.space == Space::Const,
    });
    let globals = globals.collect();
    let mut programs: Vec<Program> = Vec::new();
    for kernel in &text.kernels {
        if programs.iter().any(|p| p.name == kernel.name) {
            return Err((kernel.line, format!("the kernel `{}` is defined twice", kernel.name)));
        }
        programs.push(program(text, kernel)?);
    }
    Ok(Decoded { programs, globals })
}

fn program(text: &Text, kernel: &Kernel) -> Result<Program, Refusal> {
    let mut symbols = Symbols::new(text, kernel)?;
    let mut insts = Vec::with_capacity(kernel.statements.len() + 1);
    let mut places = Vec::with_capacity(kernel.statements.len() + 1);
    for statement in &kernel.statements {
        let inst = inst(&mut symbols, statement).map_err(|message| (statement.line, message))?;
        insts.push(inst);
        places.push(Where { line: statement.line, file: statement.loc.0, cuda_line: statement.loc.1 });
    }
    // Falling off the end is returning.
    insts.push(Inst { op: Op::Exit, guard: None });
    places.push(places.last().copied().unwrap_or(Where { line: kernel.line, file: 0, cuda_line: 0 }));
    let shared_granule = memory::shared_granule(&insts);
    let allocated = allocate::allocate(&mut insts, symbols.constants(), symbols.counts());
    Ok(Program {
        name: kernel.name.into(),
        params: kernel.params.iter().map(|p| crate::code::Param { bytes: p.1, offset: p.2 }).collect(),
        insts,
        places,
        constants: allocated.constants,
        slots: allocated.slots,
        watched: allocated.watched,
        max_threads: kernel.max_threads,
        exact_threads: kernel.exact_threads,
        shared_bytes: symbols.shared_bytes(),
        dynamic_align: symbols.dynamic_align(),
        local_bytes: symbols.local_bytes(),
        shared_granule,
        live_words: allocated.live_words,
    })
}

/// The statement being decoded.
struct At<'s, 'a> {
    symbols: &'s mut Symbols<'a>,
    statement: &'s Statement<'a>,
    /// The opcode's parts after the mnemonic.
    mods: &'s [&'a str],
}

fn inst<'a>(symbols: &mut Symbols<'a>, statement: &Statement<'a>) -> Result<Inst, String> {
    let mut parts = [""; 16];
    let mut count = 0;
    for part in statement.opcode.split('.') {
        *parts.get_mut(count).ok_or("the opcode has too many parts")? = part;
        count += 1;
    }
    let (mnemonic, mods) = (parts[0], &parts[1..count]);
    let mut at = At { symbols, statement, mods };
    let guard = match statement.guard {
        Some((negate, name)) => Some((at.predicate_named(name)?, negate)),
        None => None,
    };
    let op = match mnemonic {
        "add" | "sub" | "mul" | "mad" | "fma" | "div" | "rem" | "min" | "max" | "neg" | "abs" | "and"
        | "or" | "xor" | "not" | "shl" | "shr" | "popc" | "clz" | "brev" | "bfind" | "bfe" | "bfi"
        | "lop3" | "prmt" | "shf" | "sqrt" | "rcp" | "rsqrt" | "ex2" | "lg2" | "sin" | "cos" | "tanh" => {
            at.arithmetic(mnemonic)
        }
        "mov" | "cvt" | "cvta" | "selp" | "setp" => at.data(mnemonic),
        "ld" | "ldu" | "st" | "atom" | "red" => at.memory(mnemonic),
        "cp" | "ldmatrix" | "mma" => at.matrix(mnemonic),
        "bra" | "ret" | "exit" | "bar" | "barrier" | "membar" | "fence" | "nanosleep" | "shfl" | "vote"
        | "redux" | "match" | "activemask" => at.control(mnemonic),
        _ => Err(at.unknown()),
    }?;
    Ok(Inst { op, guard })
}

impl At<'_, '_> {
    /// "not supported", with the whole opcode.
    fn unknown(&self) -> String {
        format!("the instruction `{}` is not supported", self.statement.opcode)
    }
}
