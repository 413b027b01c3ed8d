//! From text to a tree of names: declarations, kernels, statements. Nothing is known here about what an instruction
//! means; but every directive, every symbol and every bracket is accounted for, and what is not understood is an error
//! with its line.
//!
//! The tree borrows from the text. Read next: `lex.rs` (tokens), `module.rs` (declarations), `body.rs` (statements).

mod body;
mod cursor;
pub(crate) mod lex;
mod module;

pub(crate) use module::parse;

/// A refusal: line and message. The file's name is added by `Module::load`.
pub(crate) type Refusal = (u32, String);

/// A whole PTX text.
#[derive(Debug, Default)]
pub(crate) struct Text<'a> {
    /// `.target`: 80 for `sm_80`.
    pub target: u32,
    /// `.file`: number and path.
    pub files: Vec<(u32, &'a str)>,
    /// Variables at module level: `.global`, `.const`, `.shared`.
    pub variables: Vec<Variable<'a>>,
    pub kernels: Vec<Kernel<'a>>,
}

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Global,
    Const,
    Shared,
    Local,
    Param,
    Generic,
}

/// `.shared .align 4 .b8 name[128];`
#[derive(Debug)]
pub(crate) struct Variable<'a> {
    pub space: Space,
    pub name: &'a str,
    pub align: u64,
    pub bytes: u64,
    /// `.extern .shared name[]`: its size comes with the launch.
    pub dynamic: bool,
    /// Initial bytes, zero where shorter than `bytes`.
    pub initial: Vec<u8>,
}

/// `.entry`
#[derive(Debug)]
pub(crate) struct Kernel<'a> {
    pub name: &'a str,
    /// Name, bytes, offset in parameter memory.
    pub params: Vec<(&'a str, u64, u64)>,
    /// `.maxntid` or `.reqntid`: product of the three sizes.
    pub max_threads: Option<u64>,
    /// `.reqntid`: the exact block shape.
    pub exact_threads: Option<[u64; 3]>,
    pub variables: Vec<Variable<'a>>,
    /// Registers in order of declaration; scopes are resolved by `Statement::scope`.
    pub registers: Vec<RegisterDecl<'a>>,
    /// The parent of each scope; 0 is the body itself and its own parent.
    pub scopes: Vec<u32>,
    /// Label, scope, index of the statement that follows.
    pub labels: Vec<(&'a str, u32, u32)>,
    pub statements: Vec<Statement<'a>>,
    pub line: u32,
}

/// `.reg .b32 %r<77>;` or `.reg .b32 c;`
#[derive(Debug)]
pub(crate) struct RegisterDecl<'a> {
    pub name: &'a str,
    /// How many, for the numbered form.
    pub count: Option<u32>,
    /// `pred`, `b32` …
    pub class: &'a str,
    pub scope: u32,
    pub line: u32,
}

/// One instruction.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    pub line: u32,
    /// `.loc`: file number and line; (0, 0) before the first.
    pub loc: (u32, u32),
    /// `@%p1` or `@!%p1`: negated, name.
    pub guard: Option<(bool, &'a str)>,
    /// `ld.global.nc.v4.u32`
    pub opcode: &'a str,
    pub operands: Vec<Operand<'a>>,
    pub scope: u32,
}

/// What stands between the commas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand<'a> {
    /// A register, label, variable or special register; which one is decided by lookup.
    Name(&'a str),
    /// `name+offset`
    NamePlus(&'a str, i64),
    Number(Number),
    /// `{a, b}`
    Pack(Vec<Operand<'a>>),
    /// `[base+offset]`
    Address(Base<'a>, i64),
    /// `%r1|%p1`
    Pair(&'a str, &'a str),
    /// `!%p1`
    Not(&'a str),
    /// `_`
    Sink,
}

/// What an address starts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Base<'a> {
    Name(&'a str),
    Absolute,
}

/// A literal, with its spelling's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    /// `0f3F800000`
    F32(u32),
    /// `0d3FF0000000000000`
    F64(u64),
}
