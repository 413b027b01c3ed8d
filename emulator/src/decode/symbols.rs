//! Names to slots: registers by scope, constants by value, variables by address, labels by statement.

use super::types::{Kind, Ty};
use crate::code::{Bank, LaneMask, Reg, Source, Special};
use crate::parse::{Kernel, Refusal, Space, Text};
use std::collections::HashMap;

/// A register as declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Register {
    pub bank: Bank,
    /// 1 for predicates.
    pub bits: u8,
    pub id: Reg,
}

/// `.reg .b32 %r<77>`: prefix, count, bank, bits.
struct Family<'a> {
    prefix: &'a str,
    count: u32,
    class: (Bank, u8),
}

/// What a variable's name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Address {
    /// Offset in a window of the space.
    Fixed(Space, u64),
    /// The launch's dynamic shared memory.
    Dynamic,
    /// A variable of the module.
    Global(Space, u32),
}

/// The names of one kernel.
pub(super) struct Symbols<'a> {
    scopes: &'a [u32],
    exact: HashMap<(u32, &'a str), (Bank, u8)>,
    families: Vec<Vec<Family<'a>>>,
    known: HashMap<(u32, &'a str), Register>,
    labels: HashMap<(u32, &'a str), u32>,
    addresses: HashMap<&'a str, Address>,
    /// Module-level shared variables take room only in kernels that name them: align, bytes.
    lazy_shared: HashMap<&'a str, (u64, u64)>,
    params: HashMap<&'a str, (u64, u64)>,
    constants: Vec<(Bank, Reg, Source)>,
    interned: HashMap<(Bank, Source), Reg>,
    counts: [u32; 3],
    shared_bytes: u64,
    dynamic_align: u64,
    local_bytes: u64,
}

fn class_of(name: &str) -> Option<(Bank, u8)> {
    let name = name.strip_prefix('.')?;
    if name == "pred" {
        return Some((Bank::Pred, 1));
    }
    let ty = Ty::of(name).filter(|ty| ty.kind != Kind::Brain)?;
    Some((if ty.bits == 64 { Bank::Double } else { Bank::Word }, ty.bits))
}

impl<'a> Symbols<'a> {
    pub fn new(text: &'a Text<'a>, kernel: &'a Kernel<'a>) -> Result<Symbols<'a>, Refusal> {
        let mut symbols = Symbols {
            scopes: &kernel.scopes,
            exact: HashMap::new(),
            families: kernel.scopes.iter().map(|_| Vec::new()).collect(),
            known: HashMap::new(),
            labels: HashMap::new(),
            addresses: HashMap::new(),
            lazy_shared: HashMap::new(),
            params: kernel.params.iter().map(|&(name, bytes, offset)| (name, (bytes, offset))).collect(),
            constants: Vec::new(),
            interned: HashMap::new(),
            counts: [0; 3],
            shared_bytes: 0,
            dynamic_align: 1,
            local_bytes: 0,
        };
        for decl in &kernel.registers {
            let refuse = |message| Err((decl.line, message));
            let Some(class) = class_of(decl.class) else {
                return refuse(format!("registers of class `{}` are not supported", decl.class));
            };
            match decl.count {
                Some(count) => {
                    let family = Family { prefix: decl.name, count, class };
                    symbols.families[decl.scope as usize].push(family);
                }
                None => {
                    if symbols.exact.insert((decl.scope, decl.name), class).is_some() {
                        return refuse(format!("the register `{}` is declared twice", decl.name));
                    }
                }
            }
        }
        for &(name, scope, statement) in &kernel.labels {
            if symbols.labels.insert((scope, name), statement).is_some() {
                return Err((kernel.line, format!("the label `{name}` is defined twice")));
            }
        }
        symbols.variables(text, kernel);
        Ok(symbols)
    }

    fn variables(&mut self, text: &'a Text<'a>, kernel: &'a Kernel<'a>) {
        let mut global = 0;
        for variable in &text.variables {
            match variable.space {
                Space::Shared if variable.dynamic => {
                    self.addresses.insert(variable.name, Address::Dynamic);
                    self.dynamic_align = self.dynamic_align.max(variable.align);
                }
                Space::Shared => {
                    self.lazy_shared.insert(variable.name, (variable.align, variable.bytes));
                }
                space => {
                    self.addresses.insert(variable.name, Address::Global(space, global));
                    global += 1;
                }
            }
        }
        for variable in &kernel.variables {
            let end =
                if variable.space == Space::Local { &mut self.local_bytes } else { &mut self.shared_bytes };
            let offset = end.next_multiple_of(variable.align);
            *end = offset + variable.bytes;
            self.addresses.insert(variable.name, Address::Fixed(variable.space, offset));
        }
    }

    /// A register by its name, seen from a scope.
    pub fn register(&mut self, scope: u32, name: &'a str) -> Option<Register> {
        if let Some(found) = self.known.get(&(scope, name)) {
            return Some(*found);
        }
        let declared = self.exact.get(&(scope, name)).copied().or_else(|| {
            let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let number: u32 = name[prefix.len()..].parse().ok()?;
            let of_family = |f: &&Family| f.prefix == prefix && number < f.count;
            self.families[scope as usize].iter().find(of_family).map(|f| f.class)
        });
        let register = match declared {
            Some((bank, bits)) => Register { bank, bits, id: self.fresh(bank) },
            None if scope == 0 => return None,
            None => self.register(self.scopes[scope as usize], name)?,
        };
        self.known.insert((scope, name), register);
        Some(register)
    }

    fn fresh(&mut self, bank: Bank) -> Reg {
        let count = &mut self.counts[bank as usize];
        *count += 1;
        *count - 1
    }

    /// The slot that holds a constant.
    pub fn constant(&mut self, bank: Bank, source: Source) -> Reg {
        if let Some(reg) = self.interned.get(&(bank, source)) {
            return *reg;
        }
        let reg = self.fresh(bank);
        self.interned.insert((bank, source), reg);
        self.constants.push((bank, reg, source));
        reg
    }

    /// The statement a label stands before, seen from a scope.
    pub fn label(&self, mut scope: u32, name: &str) -> Option<u32> {
        loop {
            if let Some(found) = self.labels.get(&(scope, name)) {
                return Some(*found);
            }
            if scope == 0 {
                return None;
            }
            scope = self.scopes[scope as usize];
        }
    }

    /// A variable's address.
    pub fn address(&mut self, name: &'a str) -> Option<Address> {
        if let Some((align, bytes)) = self.lazy_shared.remove(name) {
            let offset = self.shared_bytes.next_multiple_of(align);
            self.shared_bytes = offset + bytes;
            self.addresses.insert(name, Address::Fixed(Space::Shared, offset));
        }
        self.addresses.get(name).copied()
    }

    /// A parameter's bytes and offset.
    pub fn param(&self, name: &str) -> Option<(u64, u64)> {
        self.params.get(name).copied()
    }

    pub fn constants(&self) -> &[(Bank, Reg, Source)] {
        &self.constants
    }

    pub fn counts(&self) -> [u32; 3] {
        self.counts
    }

    pub fn shared_bytes(&self) -> u64 {
        self.shared_bytes
    }

    pub fn dynamic_align(&self) -> u64 {
        self.dynamic_align
    }

    pub fn local_bytes(&self) -> u64 {
        self.local_bytes
    }
}

/// `%tid.x`, and its width in bits.
pub(super) fn special(name: &str) -> Option<(Special, u8)> {
    let axis = |axis: &str| match axis {
        "x" => Some(0),
        "y" => Some(1),
        "z" => Some(2),
        _ => None,
    };
    let found = match name.strip_prefix('%')? {
        "laneid" => Special::LaneId,
        "warpid" => Special::WarpId,
        "nwarpid" => Special::NWarpId,
        "lanemask_eq" => Special::LaneMask(LaneMask::Eq),
        "lanemask_lt" => Special::LaneMask(LaneMask::Lt),
        "lanemask_le" => Special::LaneMask(LaneMask::Le),
        "lanemask_gt" => Special::LaneMask(LaneMask::Gt),
        "lanemask_ge" => Special::LaneMask(LaneMask::Ge),
        "dynamic_smem_size" => Special::DynamicSharedSize,
        other => match other.split_once('.')? {
            ("tid", a) => Special::Tid(axis(a)?),
            ("ntid", a) => Special::Ntid(axis(a)?),
            ("ctaid", a) => Special::Ctaid(axis(a)?),
            ("nctaid", a) => Special::Nctaid(axis(a)?),
            _ => return None,
        },
    };
    Some((found, 32))
}
