//! Reused buffers for packed blocks, aligned to cache lines.
//!
//! A product needs scratch memory that depends on its size; a training step runs the same products again and again.
//! Buffers come in powers of two, go back to a free list when dropped and are never returned to the system, so that the
//! second step allocates nothing.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// f32 per cache line.
const LINE: usize = 16;

/// Free buffers, one list per power of two.
static FREE: Mutex<[Vec<Vec<f32>>; 48]> = Mutex::new([const { Vec::new() }; 48]);

/// A borrowed buffer of f32, starting at a multiple of 64 bytes. What it holds is left over from its last use.
pub(crate) struct Buffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
    class: usize,
}

/// A buffer of `len` floats.
pub(crate) fn take(len: usize) -> Buffer {
    let class = (len.max(1024).next_power_of_two().trailing_zeros() as usize).min(47);
    let reused = FREE.lock().unwrap_or_else(PoisonError::into_inner)[class].pop();
    let memory = reused.unwrap_or_else(|| vec![0.0; (1 << class) + LINE]);
    let start = memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    Buffer { memory, start, len, class }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        FREE.lock().unwrap_or_else(PoisonError::into_inner)[self.class].push(memory);
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_comes_back() {
        // A size that nothing else in the test process asks for.
        let first = take(40_000_000);
        let address = first.as_ptr() as usize;
        assert_eq!(address % 64, 0);
        assert_eq!(first.len(), 40_000_000);
        drop(first);
        assert_eq!(take(39_999_999).as_ptr() as usize, address);
    }
}
