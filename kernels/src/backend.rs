//! A backend: one implementation of every operation.
//!
//! `trait Backend` is only the list of the operations' own traits (see [`crate::ops`](crate)); the compiler refuses a
//! backend that lacks one. [`Reference`] is the definition of every operation, [`Cpu`] the fast version.

pub use crate::Backend;

/// Naive loops in f64, nothing but `std`: what every other backend is compared with. The only one that stores f64.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// The fast CPU version: SIMD chosen at run time, threads from [`crate::par`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu;
