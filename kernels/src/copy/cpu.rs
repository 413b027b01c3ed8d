//! Copies on the CPU. Where input and output agree on the densest axis, whole runs are copied or converted. Where they
//! disagree (a transpose), both axes are cut into square tiles.

use super::CopyCast;
use super::turn::{Tile, turn};
use crate::check::host;
use crate::runs::Runs;
use crate::{Bf16, Cpu, DType, Element, Result, View, ViewMut, par, planted, simd};

impl CopyCast for Cpu {
    fn copy(&self, x: View, mut y: ViewMut) -> Result<()> {
        match (x.dtype(), y.dtype()) {
            (DType::F32, DType::F32) => run::<f32, f32>(&x, &mut y, |v| v),
            (DType::Bf16, DType::Bf16) => run::<Bf16, Bf16>(&x, &mut y, |v| v),
            (DType::I32, DType::I32) => run::<i32, i32>(&x, &mut y, |v| v),
            (DType::F32, DType::Bf16) => run::<f32, Bf16>(&x, &mut y, Bf16::from_f32),
            (DType::Bf16, DType::F32) => run::<Bf16, f32>(&x, &mut y, Bf16::to_f32),
            _ => by_f64(&x, &mut y),
        }
    }
    fn fill(&self, value: f64, mut y: ViewMut) -> Result<()> {
        match y.dtype() {
            DType::F32 => fill::<f32>(value, &mut y),
            DType::Bf16 => fill::<Bf16>(value, &mut y),
            DType::I32 => fill::<i32>(value, &mut y),
            DType::F64 => fill::<f64>(value, &mut y),
        }
    }
}

/// The rare conversions, element by element: every f32, bf16 and i32 is an f64, so going through it rounds once.
fn by_f64(x: &View, y: &mut ViewMut) -> Result<()> {
    match x.dtype() {
        DType::F32 => from::<f32>(x, y),
        DType::Bf16 => from::<Bf16>(x, y),
        DType::I32 => from::<i32>(x, y),
        DType::F64 => from::<f64>(x, y),
    }
}

fn from<X: Element>(x: &View, y: &mut ViewMut) -> Result<()> {
    let layout = *x.layout();
    let x = host("copy", "x", x.base::<X>())?;
    let read = |index: usize| x[layout.position(index)].to_f64();
    match y.dtype() {
        DType::F32 => to::<f32>(&read, y),
        DType::Bf16 => to::<Bf16>(&read, y),
        DType::I32 => to::<i32>(&read, y),
        DType::F64 => to::<f64>(&read, y),
    }
}

fn to<Y: Element>(read: &(dyn Fn(usize) -> f64 + Sync), y: &mut ViewMut) -> Result<()> {
    let (layout, n) = (*y.layout(), y.numel());
    let y = par::SharedPtr::new(host("copy", "y", y.base_mut::<Y>())?);
    let per_task = par::rows_per_task(1);
    par::for_each_task(n.div_ceil(per_task), |task| {
        for index in task * per_task..((task + 1) * per_task).min(n) {
            // SAFETY: elements of an output are disjoint (checked), in bounds, and each belongs to one task.
            unsafe { *y.get().add(layout.position(index)) = Y::from_f64(read(index)) };
        }
    });
    Ok(())
}

fn fill<Y: Element>(value: f64, y: &mut ViewMut) -> Result<()> {
    let value = Y::from_f64(value);
    let runs = Runs::new([y.layout()]);
    let y = par::SharedPtr::new(host("fill", "y", y.base_mut::<Y>())?);
    runs.for_each(|run| {
        let (step, n) = (run.step[0], run.len);
        // SAFETY: runs of an output are disjoint (it is injective, checked), in bounds, and each belongs to one task.
        let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(run.at[0]), (n - 1) * step + 1) };
        match planted!("copy.fills_between_elements", step => 1) {
            1 => y.fill(value),
            _ => y.iter_mut().step_by(step).for_each(|y| *y = value),
        }
    });
    Ok(())
}

fn run<X: Element, Y: Element>(
    x: &View,
    y: &mut ViewMut,
    f: impl Fn(X) -> Y + Copy + Sync + Send,
) -> Result<()> {
    let runs = Runs::new([y.layout(), x.layout()]);
    if x.numel() == 0 {
        return Ok(());
    }
    let x = host("copy", "x", x.base::<X>())?;
    let y = par::SharedPtr::new(host("copy", "y", y.base_mut::<Y>())?);
    let innermost = runs.dims().len() - 1;
    // The axis along which the input is dense, if it is not the one along which the output is.
    let other = (0..innermost).find(|&axis| runs.strides()[axis][1] == 1);
    if let (Some(axis), [1, step]) = (other, runs.strides()[innermost])
        && step > 1
    {
        transpose(&runs, axis, x, y, f);
        return Ok(());
    }
    runs.for_each(|run| {
        let ([at, at_x], [step, step_x], n) = (run.at, run.step, run.len);
        // SAFETY: runs of an output are disjoint (it is injective, checked), in bounds, and each belongs to one task.
        let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(at), (n - 1) * step + 1) };
        let x = &x[at_x..=at_x + (n - 1) * step_x];
        simd::vectorize(
            #[inline(always)]
            move || match (step, step_x) {
                (1, 1) => y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x)),
                (1, 0) => y.fill(f(x[0])),
                _ => (0..n).for_each(|i| y[i * step] = f(x[i * step_x])),
            },
        );
    });
    Ok(())
}

/// Side of a tile: two cache lines of f32.
pub(super) const TILE: usize = 32;
/// Tiles in a row that make one piece of work.
const TILES: usize = 16;

/// `y = f(x)` where `y` is dense along the innermost axis and `x` along `axis`. A tile is read along the one, turned in a
/// buffer, and written along the other: whole cache lines on both sides, whatever the strides.
fn transpose<X: Element, Y: Element>(
    runs: &Runs<2>,
    axis: usize,
    x: &[X],
    y: par::SharedPtr<Y>,
    f: impl Fn(X) -> Y + Copy + Sync + Send,
) {
    let (runs, columns) = (runs.with_axis_second_last(axis), runs.dims()[runs.dims().len() - 1]);
    let rank = runs.dims().len();
    let (lead, rows) = (runs.dims()[..rank - 2].iter().product::<usize>(), runs.dims()[rank - 2]);
    let ([step, _], [_, step_x]) = (runs.strides()[rank - 2], runs.strides()[rank - 1]);
    let (bands, pieces) = (rows.div_ceil(TILE), columns.div_ceil(TILE * TILES));
    par::for_each_task(lead * bands * pieces, |task| {
        let (row, first_column) = (task / pieces % bands * TILE, task % pieces * TILE * TILES);
        let [at, at_x] = runs.start(task / pieces / bands * rows);
        let height = TILE.min(rows - row);
        let (mut tile, mut turned): (Tile<Y>, Tile<Y>) =
            ([[Y::default(); TILE]; TILE], [[Y::default(); TILE]; TILE]);
        let end = planted!("copy.ragged_tile_lost", columns => columns / TILE * TILE);
        for column in (first_column..end.min(first_column + TILE * TILES)).step_by(TILE) {
            let width = TILE.min(columns - column);
            let read = &mut tile;
            simd::vectorize(
                #[inline(always)]
                || {
                    for (i, read) in read[..width].iter_mut().enumerate() {
                        let from = &x[at_x + row + (column + i) * step_x..][..height];
                        // The row of the next tile: rows far apart are not what the processor expects.
                        simd::prefetch_row::<{ simd::FIRST }, _>(
                            from.as_ptr().wrapping_add(TILE * step_x),
                            TILE,
                        );
                        match from.first_chunk::<TILE>() {
                            Some(from) => read.iter_mut().zip(from).for_each(|(to, x)| *to = f(*x)),
                            None => read.iter_mut().zip(from).for_each(|(to, x)| *to = f(*x)),
                        }
                    }
                },
            );
            if (height, width) == (TILE, TILE) {
                // SAFETY: pieces of rows of an output are disjoint (it is injective, checked), lie in bounds, and each belongs
                // to one task.
                unsafe { turn(&tile, y.get().add(at + row * step + column), step) };
                continue;
            }
            // SAFETY: a tile of our own.
            unsafe { turn(&tile, turned.as_mut_ptr().cast(), TILE) };
            for (i, turned) in turned[..height].iter().enumerate() {
                let to = at + (row + i) * step + column;
                // SAFETY: as above.
                let y = unsafe { std::slice::from_raw_parts_mut(y.get().add(to), width) };
                y.copy_from_slice(&turned[..width]);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::{Bf16, Cpu, Layout, View, ViewMut, copy};

    #[test]
    fn a_transpose_with_ragged_tiles_moves_every_element() {
        let (rows, columns) = (100, 1100);
        let x: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let mut y = vec![Bf16(0); x.len()];
        let transposed = Layout::strided(&[columns, rows], &[1, columns], 0).unwrap();
        let view = View::from_slice_strided(&x, transposed).unwrap();
        copy::copy(&Cpu, view, ViewMut::from_slice(&mut y, &[columns, rows]).unwrap()).unwrap();
        for (i, y) in y.iter().enumerate() {
            assert_eq!(*y, Bf16::from_f32(x[i % rows * columns + i / rows]));
        }
    }

    #[test]
    fn conversions_to_integers_truncate_and_saturate() {
        let x = [1.9f32, -1.9, 3e9, -3e9, f32::NAN];
        let mut y = [7i32; 5];
        copy::copy(&Cpu, View::from_slice(&x, &[5]).unwrap(), ViewMut::from_slice(&mut y, &[5]).unwrap())
            .unwrap();
        assert_eq!(y, [1, -1, i32::MAX, i32::MIN, 0]);
    }

    #[test]
    fn only_the_elements_of_a_strided_output_are_written() {
        let mut y = [0i32; 8];
        let every_third = Layout::strided(&[2], &[3], 1).unwrap();
        copy::fill(&Cpu, 5.0, ViewMut::from_slice_strided(&mut y, every_third).unwrap()).unwrap();
        assert_eq!(y, [0, 5, 0, 0, 5, 0, 0, 0]);
    }
}
