//! A loaded module: what `Module::load` makes of a PTX text.

use crate::code::{Global, Program};
use crate::decode::decode;
use crate::error::{LoadError, Place};
use crate::memory::{Buffer, Device, MemoryError};
use crate::parse::parse;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Texts that are longer are refused.
const MAX_BYTES: usize = 1 << 26;

/// A PTX module, decoded and ready to run.
#[derive(Debug)]
pub struct Module {
    /// Tells modules apart on a device.
    identity: u64,
    name: String,
    text: String,
    target: u32,
    files: Vec<(u32, String)>,
    globals: Vec<Global>,
    programs: Vec<Program>,
}

/// A kernel, as its text declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Bytes of each parameter.
    pub params: Vec<u64>,
    /// Shared memory of a block, without the dynamic part.
    pub shared_bytes: u64,
    /// Local memory of a thread.
    pub local_bytes: u64,
    /// Threads of a block at most, where the kernel says so (`__launch_bounds__`).
    pub max_threads: Option<u64>,
    /// Registers of 32 bits alive at once: a lower bound of what a GPU needs.
    pub live_registers: u32,
}

static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(0);

impl Module {
    /// Reads and decodes a PTX text; `name` is what errors call it.
    ///
    /// # Errors
    /// Anything that is not understood completely: unknown directives, instructions, modifiers, types, undeclared names,
    /// operands of a wrong number or width. The error has the line.
    pub fn load(ptx: &str, name: &str) -> Result<Module, LoadError> {
        let refused = |(line, message)| LoadError { file: name.into(), line, message };
        if ptx.len() > MAX_BYTES {
            return Err(refused((0, format!("the text is longer than {MAX_BYTES} bytes"))));
        }
        let text = parse(ptx).map_err(refused)?;
        let decoded = decode(&text).map_err(refused)?;
        Ok(Module {
            identity: NEXT_IDENTITY.fetch_add(1, Relaxed),
            name: name.into(),
            text: ptx.into(),
            target: text.target,
            files: text.files.iter().map(|(number, path)| (*number, (*path).into())).collect(),
            globals: decoded.globals,
            programs: decoded.programs,
        })
    }

    /// The name given to `load`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the kernels, in the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(|p| p.name.as_str())
    }

    /// What a launch must know of a kernel.
    pub fn kernel(&self, name: &str) -> Option<Kernel> {
        let program = self.program(name)?;
        Some(Kernel {
            params: program.params.iter().map(|param| param.bytes).collect(),
            shared_bytes: program.shared_bytes,
            local_bytes: program.local_bytes,
            max_threads: program.max_threads,
            live_registers: program.live_words,
        })
    }

    /// A variable of the module on a device (`__device__`, `__constant__`), by its name in the PTX.
    ///
    /// # Errors
    /// The device is full.
    pub fn variable(&self, device: &mut Device, name: &str) -> Result<Option<Buffer>, MemoryError> {
        let Some(at) = self.globals.iter().position(|global| global.name == name) else { return Ok(None) };
        let address = self.place(device)?[at];
        Ok(Some(Buffer { address, bytes: self.globals[at].bytes }))
    }

    /// The architecture the text was compiled for: 80 for `sm_80`.
    pub fn target(&self) -> u32 {
        self.target
    }

    /// A line of the text, from 1, without white space around it.
    pub fn line(&self, line: u32) -> &str {
        self.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or("").trim()
    }

    /// Path of a file by its number in `.loc`.
    pub fn file(&self, number: u32) -> Option<&str> {
        self.files.iter().find(|f| f.0 == number).map(|f| f.1.as_str())
    }

    pub(crate) fn program(&self, kernel: &str) -> Option<&Program> {
        self.programs.iter().find(|p| p.name == kernel)
    }

    /// Addresses of the module's variables on a device, which are made there at the first launch.
    pub(crate) fn place(&self, device: &mut Device) -> Result<Vec<u64>, MemoryError> {
        if let Some(known) = device.variables.get(&self.identity) {
            return Ok(known.clone());
        }
        let mut addresses = Vec::new();
        for global in &self.globals {
            let buffer = device.alloc_aligned(global.bytes, global.align, global.read_only)?;
            let mut bytes = global.initial.clone();
            bytes.resize(global.bytes as usize, 0);
            device.write(buffer, 0, &bytes)?;
            addresses.push(buffer.address);
        }
        device.variables.insert(self.identity, addresses.clone());
        Ok(addresses)
    }

    /// Where an instruction stands.
    pub(crate) fn place_of(&self, program: &Program, pc: u32) -> Place {
        let Some(place) = program.places.get(pc as usize) else { return Place::default() };
        let file = self.file(place.file).map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path));
        Place {
            ptx_line: place.line,
            cuda: file.map(|file| (file.to_string(), place.cuda_line)),
            text: self.line(place.line).split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}
