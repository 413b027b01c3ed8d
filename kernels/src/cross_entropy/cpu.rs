//! The cross entropy on the CPU.

use super::CrossEntropy;
use crate::{Cpu, Reference, Result, View, ViewMut};

impl CrossEntropy for Cpu {
    fn softcap_cross_entropy_fwd(
        &self,
        z: ViewMut,
        targets: View,
        softcap: f32,
        loss: ViewMut,
        lse: ViewMut,
    ) -> Result<()> {
        Reference.softcap_cross_entropy_fwd(z, targets, softcap, loss, lse)
    }
    fn softcap_cross_entropy_bwd(
        &self,
        z: ViewMut,
        targets: View,
        softcap: f32,
        lse: View,
        weight: View,
    ) -> Result<()> {
        Reference.softcap_cross_entropy_bwd(z, targets, softcap, lse, weight)
    }
}
