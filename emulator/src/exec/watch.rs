//! Reads of registers that were never written. Liveness has found the few registers for which that is possible at all;
//! for those each lane remembers here whether it has written them.

use crate::check::Trap;
use crate::code::{Bank, Inst, Program, Reg, Role};
use crate::error::FaultKind;

/// Which instructions name a watched register.
pub(crate) fn instructions(program: &Program) -> Vec<bool> {
    let names = |inst: &Inst| {
        let mut found = false;
        inst.clone().visit(&mut |bank, _, reg| found |= program.watched.contains(&(bank, *reg)));
        found
    };
    let any = !program.watched.is_empty();
    program.insts.iter().map(|inst| any && names(inst)).collect()
}

/// Checks the reads of an instruction and notes its writes. `written` has a mask of lanes per watched register; `mask` is
/// the lanes that execute, `here` those that evaluate the guard.
pub(crate) fn check(
    program: &Program,
    inst: &Inst,
    written: &mut [u32],
    mask: u32,
    here: u32,
) -> Result<(), Box<Trap>> {
    let place = |bank: Bank, reg: Reg| program.watched.iter().position(|w| *w == (bank, reg));
    let mut bad = None;
    let guard = inst.guard.map(|g| g.0);
    inst.clone().visit(&mut |bank, role, reg| {
        let Some(at) = place(bank, *reg) else { return };
        match role {
            Role::Read => {
                let lanes = if bank == Bank::Pred && guard == Some(*reg) { here } else { mask };
                let missing = lanes & !written[at];
                if missing != 0 && bad.is_none() {
                    bad = Some(missing.trailing_zeros());
                }
            }
            Role::Write => written[at] |= mask,
        }
    });
    match bad {
        None => Ok(()),
        Some(lane) => {
            let message = "a register is read that this thread has not written";
            Err(Trap::new(FaultKind::UninitRegister, Some(lane), message))
        }
    }
}
