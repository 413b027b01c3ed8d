//! [`Lanes`] of a NEON register, which every 64-bit ARM processor has.

use super::lanes::Lanes;
use crate::Bf16;
use std::arch::aarch64::*;

impl Lanes for float32x4_t {
    const WIDTH: usize = 4;
    const MANY: bool = true;
    #[inline(always)]
    fn splat(v: f32) -> Self {
        // SAFETY: part of the baseline, here and below.
        unsafe { vdupq_n_f32(v) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const Bf16) -> Self {
        // SAFETY: promised by the caller; a bf16 is the upper half of an f32.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { vst1q_f32(to, self) }
    }
    #[inline(always)]
    fn add_product(self, x: Self, y: Self) -> Self {
        // SAFETY: as above.
        unsafe { vfmaq_f32(self, x, y) }
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: as above.
        unsafe {
            let halves = vadd_f32(vget_low_f32(self), vget_high_f32(self));
            vget_lane_f32::<0>(halves) + vget_lane_f32::<1>(halves)
        }
    }
}
