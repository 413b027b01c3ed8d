//! Reads of registers that were never written. Liveness has found the few registers for which that is possible at all;
//! for those each lane remembers here whether it has written them.

use crate::check::Trap;
use crate::code::{Bank, Inst, Program, Reg, Role};
use crate::error::FaultKind;
use std::collections::HashMap;

/// A watched register that an instruction names.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    /// Its place in `Program::watched`.
    at: usize,
    role: Role,
    /// It is the guard, which all lanes of the fragment read.
    guard: bool,
}

/// For each instruction the watched registers that it names, reads first.
pub(crate) fn instructions(program: &Program) -> Vec<Vec<Named>> {
    let places: HashMap<(Bank, Reg), usize> =
        program.watched.iter().enumerate().map(|(at, register)| (*register, at)).collect();
    let of_inst = |inst: &Inst| {
        let mut found = Vec::new();
        if places.is_empty() {
            return found;
        }
        let guard = inst.guard.map(|g| g.0);
        inst.clone().visit(&mut |bank, role, reg| {
            if let Some(&at) = places.get(&(bank, *reg)) {
                let guard = bank == Bank::Pred && role == Role::Read && guard == Some(*reg);
                found.push(Named { at, role, guard });
            }
        });
        found.sort_by_key(|named| named.role == Role::Write);
        found
    };
    program.insts.iter().map(of_inst).collect()
}

/// Checks the reads of an instruction and notes its writes. `written` has a mask of lanes per watched register; `mask` is
/// the lanes that execute, `here` those that evaluate the guard.
pub(crate) fn check(named: &[Named], written: &mut [u32], mask: u32, here: u32) -> Result<(), Box<Trap>> {
    for named in named {
        let written = &mut written[named.at];
        if named.role == Role::Write {
            *written |= mask;
            continue;
        }
        let missing = if named.guard { here } else { mask } & !*written;
        if missing != 0 {
            let message = "a register is read that this thread has not written";
            return Err(Trap::new(FaultKind::UninitRegister, Some(missing.trailing_zeros()), message));
        }
    }
    Ok(())
}
