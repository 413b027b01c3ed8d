//! Every instruction and modifier against its definition in the PTX manual, written again here over wide integers and f64:
//! NaN, infinities, denormals, ties, shifts beyond the width, overflow; fragments of matrices against closed forms.
#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

mod approx;
mod atomics;
mod bench;
mod bits;
mod convert;
mod data;
mod exchange;
mod float;
mod half;
mod hardware;
mod integer;
mod kernel;
mod matrix;
mod memory;
mod refused;
