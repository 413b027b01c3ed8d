//! `y = x·Wᵀ` with a weight that was laid out in advance: the engine of [`crate::packed_linear`].
//!
//! The columns of the product (the rows of W) come in tiles of 32, and in a tile the 32 numbers of one k are adjacent. That is
//! the order in which the innermost kernels read, so nothing is packed or transposed any more, and memory is read in one
//! straight line. Numbers are stored as f32, bf16 or int8, and brought into the units of the kernel where they are used:
//!
//! - up to eight rows (drawing tokens; bound by reading W): by a kernel that does it in registers, where there is one;
//! - otherwise tile by tile, into a buffer in the second-level cache; f32 needs no buffer. All rows of x meet there.
//!
//! The sums are those of [`crate::matmul`], in its order and with its instructions: blocks of K, one multiply-add per unit.
//! So the bits are the bits of the product with the plain weight, for any number of rows.

use super::block::{Sums, chain, k_blocks};
use super::kernel::{self, Micro, Place, Tile};
use super::pack::{Cut, Side};
use super::pool;
use super::strided::{Lanes, Target};
use crate::par::{self, SharedPtr};
use crate::{Bf16, DType, Element, Float, planted, simd};
use std::marker::PhantomData;
use std::ops::Range;

/// Columns in a tile of a packed weight.
pub(crate) const COLS: usize = 32;
/// Bytes of W worth a task of their own, where reading them is the work.
const TASK_BYTES: usize = 1 << 15;
/// Most tasks per thread then.
const TASKS: usize = 8;
/// Multiply-adds worth a task of their own, where these are the work.
const TASK_WORK: usize = 1 << 20;
/// Units of x that are packed at a time: 1 MiB.
const CHUNK: usize = 1 << 18;

/// Few rows times one tile over one block of K: what to do (its `a` and `b` are not used), the first row of x at the block,
/// the bytes between rows, the tile at the block, the terms. Unsafe: x and W must have so many rows and terms, what the tile
/// says of C must be so, and the machine must have the instructions.
pub(super) type Few = unsafe fn(&Tile, *const u8, usize, *const u8, usize);

/// A packed weight.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    address: *const u8,
    /// Bytes of a number: 4 (f32), 2 (bf16) or 1 (int8).
    pub(super) bytes: usize,
    n: usize,
    k: usize,
    _borrow: PhantomData<&'a [u8]>,
}

// SAFETY: a shared borrow of plain numbers.
unsafe impl Sync for Packed<'_> {}

impl<'a> Packed<'a> {
    /// The weight (n, k) in `data`, whose numbers have so many bytes. Panics when there is too little data.
    pub fn new<T: Element>(data: &'a [T], (n, k): (usize, usize), bytes: usize) -> Self {
        assert!(size_of_val(data) >= n.div_ceil(COLS) * k * COLS * bytes, "packed_linear: w is too short");
        Packed { address: data.as_ptr().cast(), bytes, n, k, _borrow: PhantomData }
    }
    /// The numbers of one k in a tile; `T` must have the size of a number.
    fn row<T: Copy>(&self, tile: usize, k: usize) -> &'a [T; COLS] {
        assert!(size_of::<T>() == self.bytes && tile < self.n.div_ceil(COLS) && k < self.k);
        // SAFETY: `new` has seen that there are so many numbers; any bits are one.
        unsafe { &*self.at(tile, k).cast() }
    }
    /// Where the numbers of one k in a tile begin.
    fn at(&self, tile: usize, k: usize) -> *const u8 {
        self.address.wrapping_add((tile * self.k + k) * COLS * self.bytes)
    }
}

/// `y = x·Wᵀ`, each column times its scale if there are any. `x`: (m, k); `y`: (m, n).
pub(crate) fn run<T: Float, U: Float>(x: &[T], w: Packed<'_>, scale: Option<&[f32]>, m: usize, y: &mut [U]) {
    let n = w.n;
    assert!(scale.is_none_or(|s| s.len() == n), "packed_linear: a scale for each column");
    if m == 0 || n == 0 {
        return;
    }
    if w.k == 0 {
        let nothing = |j: usize| U::from_f32(scale.map_or(0.0, |scale| 0.0 * scale[j]));
        return y.iter_mut().enumerate().for_each(|(i, y)| *y = nothing(i % n));
    }
    let (x, micro) = (Lanes::new(x, m, w.k, w.k, 1), kernel::micro(T::DTYPE));
    // SAFETY: y is ours until the product is done.
    let c = unsafe { Target::from_raw(y.as_mut_ptr(), y.len(), (m, n), n, 1) };
    let Some(place) = c.place() else { return };
    let product = Product { x, w, scale, c, place, micro, blocks: k_blocks(w.k, micro.terms).collect() };
    match few_rows(&product) {
        Some(kernel) => product.few(kernel),
        None => product.many(),
    }
}

/// The kernel for few rows, if they are few and there is one.
fn few_rows(p: &Product<'_>) -> Option<Few> {
    #[cfg(target_arch = "x86_64")]
    if p.c.size.0 <= super::packed_avx512::ROWS && p.micro.cols == COLS {
        return super::packed_avx512::kernel(p.x.dtype, p.micro, p.w.bytes);
    }
    let _ = p;
    None
}

struct Product<'a> {
    x: Lanes<'a>,
    w: Packed<'a>,
    scale: Option<&'a [f32]>,
    c: Target<'a>,
    place: Place,
    micro: &'static Micro,
    blocks: Vec<Range<usize>>,
}

impl Product<'_> {
    /// Bound by reading W: tiles are shared out in long runs.
    fn few(&self, kernel: Few) {
        let (tiles, x_bytes) = (self.c.size.1.div_ceil(COLS), self.x.dtype.size());
        let tasks = tiles * self.w.k * COLS * self.w.bytes / TASK_BYTES;
        let cut = Cut::new(tiles, tasks.clamp(1, TASKS * par::threads()).min(tiles));
        par::for_each_task(cut.parts, |task| {
            for t in cut.part(task) {
                self.tile(0..self.c.size.0, t * COLS, |tile, index| {
                    let k = &self.blocks[index];
                    let x: *const u8 = match self.x.dtype {
                        DType::Bf16 => self.x.at::<Bf16>(0, k.start).cast(),
                        _ => self.x.at::<f32>(0, k.start).cast(),
                    };
                    // SAFETY: x has these rows, W this tile, both these terms; this part of C belongs to this task.
                    unsafe { kernel(tile, x, self.x.lane * x_bytes, self.w.at(t, k.start), k.len()) };
                });
            }
        });
    }
    /// Bound by arithmetic: x is packed, a chunk at a time, and every tile of W meets all of the chunk.
    fn many(&self) {
        let (rows, k) = (Side::rows(self.x, self.micro), self.w.k);
        let (units, cols) = (k.div_ceil(self.micro.terms), self.micro.cols);
        let distance = rows.distance(units);
        let chunk = (CHUNK / distance).max(1);
        let (tiles, direct) = (self.c.size.1.div_ceil(cols), self.w.bytes == 4 && cols == COLS);
        for first in (0..rows.tiles()).step_by(chunk) {
            let chunk = first..(first + chunk).min(rows.tiles());
            let mut packed = pool::take(chunk.len() * distance);
            let (a, len) = (SharedPtr::new(&mut packed), distance);
            par::for_each_task(chunk.len(), |i| {
                // SAFETY: each task has a row of tiles of its own, inside of the buffer.
                let a = unsafe { std::slice::from_raw_parts_mut(a.get().add(i * distance), len) };
                rows.pack(self.micro, chunk.start + i..chunk.start + i + 1, 0..k, a);
            });
            let tasks = rows.of_tiles(&chunk).len() * tiles * cols * k / TASK_WORK;
            let cut = Cut::new(tiles, tasks.clamp(1, TASKS * par::threads()).min(tiles));
            par::for_each_task(cut.parts, |task| {
                let mut buffer = pool::take(if direct { 0 } else { units * cols });
                for t in cut.part(task) {
                    let b = match direct {
                        true => self.w.at(t, 0).cast(),
                        false => self.expand(t * cols, &mut buffer),
                    };
                    for i in chunk.clone() {
                        let a = packed[(i - chunk.start) * distance..].as_ptr();
                        self.tile(rows.of_tiles(&(i..i + 1)), t * cols, |tile, index| {
                            let before = self.blocks[index].start / self.micro.terms;
                            let before = planted!("packed_linear.blocks_begin_anew", before => 0);
                            let a = a.wrapping_add(before * self.micro.lanes);
                            let tile = Tile { a, b: b.wrapping_add(before * cols), ..*tile };
                            // SAFETY: A and B hold all units; this part of C belongs to this task.
                            unsafe { (self.micro.run)(&tile) };
                        });
                    }
                }
            });
        }
    }
    /// One tile of C: `run` is called for each block of K.
    fn tile(&self, rows: Range<usize>, first: usize, run: impl FnMut(&Tile, usize)) {
        let cols = self.micro.cols.min(self.c.size.1 - first);
        let mut sums = None;
        let new = match self.scale {
            None => self.place.from(rows.start, first),
            Some(_) => sums.insert(Sums::zeros()).place(),
        };
        let nothing = std::ptr::null();
        let tile = Tile {
            rows: rows.len(),
            cols,
            units: 0,
            a: nothing,
            b: nothing,
            old: new,
            new,
            alpha: 1.0,
            beta: 0.0,
        };
        let units = self.blocks.iter().map(|k| k.len().div_ceil(self.micro.terms));
        chain(self.micro, tile, units, run);
        if let (Some(scale), Some(Sums(sums))) = (self.scale, &mut sums) {
            let scale = &scale[planted!("packed_linear.scale_of_the_tile", first => first / COLS)..][..cols];
            simd::vectorize(
                #[inline(always)]
                || {
                    sums.chunks_mut(Sums::ROW)
                        .for_each(|row| row.iter_mut().zip(scale).for_each(|(v, s)| *v *= s))
                },
            );
            // SAFETY: this part of C belongs to the calling task.
            unsafe { self.c.put((rows.start, first), (rows.len(), cols), sums, Sums::ROW, 0.0) };
        }
    }
    /// The columns from `first` on, as many as a tile of the kernel has, over all of K, in its units.
    fn expand(&self, first: usize, buffer: &mut [f32]) -> *const f32 {
        simd::vectorize(
            #[inline(always)]
            || match self.w.bytes {
                4 => self.expand_as(first, buffer, |v: f32| v),
                2 => self.expand_as(first, buffer, Bf16::to_f32),
                _ => self.expand_as(first, buffer, |v: i8| f32::from(v)),
            },
        );
        buffer.as_ptr()
    }
    #[inline(always)]
    fn expand_as<T: Copy>(&self, first: usize, buffer: &mut [f32], wide: impl Fn(T) -> f32) {
        let (width, terms) = (self.micro.cols, self.micro.terms);
        let mut done = 0; // columns; a tile of the kernel may lie in several of W
        while done < width && first + done < self.w.n {
            let (tile, offset) = ((first + done) / COLS, (first + done) % COLS);
            let count = (COLS - offset).min(width - done);
            for (unit, to) in buffer.chunks_mut(width).enumerate().take(self.w.k.div_ceil(terms)) {
                let to = &mut to[done..done + count];
                let row = &self.w.row::<T>(tile, unit * terms)[offset..offset + count];
                if terms == 1 {
                    to.iter_mut().zip(row).for_each(|(to, &v)| *to = wide(v));
                    continue;
                }
                // Numbers that are bf16, exactly: the upper halves of their f32.
                let low = |v: T| wide(v).to_bits() >> 16;
                match 2 * unit + 1 < self.w.k {
                    true => {
                        let next = &self.w.row::<T>(tile, 2 * unit + 1)[offset..offset + count];
                        let pairs = row.iter().zip(next);
                        let bits = |(&v, &next)| low(v) | wide(next).to_bits() & 0xFFFF_0000;
                        to.iter_mut().zip(pairs.map(bits)).for_each(|(to, bits)| *to = f32::from_bits(bits));
                    }
                    false => to.iter_mut().zip(row).for_each(|(to, &v)| *to = f32::from_bits(low(v))),
                }
            }
            done += count;
        }
    }
}
