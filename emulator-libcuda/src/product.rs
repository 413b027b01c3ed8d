//! Matrix products on the host: `C = α·op(A)·op(B) + β·C` for matrices stored by columns, as cuBLAS has them. Products and sums
//! are in f64 and rounded once, to the type of C. That is more exact than any GPU, whose order of adding nobody knows, so what is
//! compared with it is compared within bounds; sums of small integers are exact everywhere.

use crate::failure::{Code, Failure};
use crate::memory;
use crate::state::State;
use emulator::half::{Round, bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16};

/// The type of a matrix's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    /// Of one number.
    pub fn bytes(self) -> usize {
        match self {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
        }
    }

    /// All numbers of a piece of memory, widened: exact.
    pub fn read(self, bytes: &[u8]) -> Vec<f64> {
        fn chunks<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| of(*chunk)).collect()
        }
        match self {
            Number::F16 => chunks(bytes, |b| f16_to_f32(u16::from_le_bytes(b)).into()),
            Number::Bf16 => chunks(bytes, |b| bf16_to_f32(u16::from_le_bytes(b)).into()),
            Number::F32 => chunks(bytes, |b| f32::from_le_bytes(b).into()),
            Number::F64 => chunks(bytes, f64::from_le_bytes),
        }
    }

    /// Rounds once.
    fn write(self, values: &[f64]) -> Vec<u8> {
        let each = |x: &f64| match self {
            Number::F16 => f64_to_f16(*x, Round::Nearest).to_le_bytes().to_vec(),
            Number::Bf16 => f64_to_bf16(*x, Round::Nearest).to_le_bytes().to_vec(),
            Number::F32 => (*x as f32).to_le_bytes().to_vec(),
            Number::F64 => x.to_le_bytes().to_vec(),
        };
        values.iter().flat_map(each).collect()
    }
}

/// A matrix of device memory: rows and columns as they are stored, the distance of columns, the distance of matrices of a
/// batch, both in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub name: &'static str,
    pub address: u64,
    pub number: Number,
    pub rows: usize,
    pub columns: usize,
    pub leading: usize,
    pub stride: i64,
}

impl Matrix {
    /// The address and the bytes of one matrix of the batch, from its first number to its last.
    fn span(&self, batch: usize) -> (u64, usize) {
        let count = match self.columns {
            0 => 0,
            columns => (columns - 1) * self.leading + self.rows,
        };
        let size = self.number.bytes();
        let offset = self.stride.wrapping_mul(batch as i64).wrapping_mul(size as i64);
        (self.address.wrapping_add_signed(offset), if self.rows == 0 { 0 } else { count * size })
    }

    fn read(&self, state: &mut State, batch: usize) -> Result<Vec<f64>, Failure> {
        let (address, bytes) = self.span(batch);
        let found = memory::read(state, address, bytes).map_err(|f| self.outside(f))?;
        Ok(self.number.read(&found))
    }

    fn outside(&self, failure: Failure) -> Failure {
        let Matrix { name, rows, columns, leading, .. } = self;
        let message =
            format!("matrix {name} of {rows} × {columns}, columns {leading} apart: {}", failure.message);
        Failure { code: Code::IllegalAddress, message, fatal: true, again: false }
    }
}

/// A product of a batch of matrices.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Is A transposed, is B?
    pub transposed: [bool; 2],
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub alpha: f64,
    pub beta: f64,
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
    pub batch: usize,
}

impl Product {
    /// Computes it.
    pub fn run(&self, state: &mut State) -> Result<(), Failure> {
        if self.m == 0 || self.n == 0 {
            return Ok(());
        }
        for batch in 0..self.batch {
            let (a, b) = (self.a.read(state, batch)?, self.b.read(state, batch)?);
            let before = if self.beta == 0.0 { Vec::new() } else { self.c.read(state, batch)? };
            // column by column, since the rows between them are not ours to write
            for j in 0..self.n {
                let mut sums = self.column(&a, &b, j);
                for (i, sum) in sums.iter_mut().enumerate() {
                    // without β nothing is read of C, not even NaN
                    let old = before.get(j * self.c.leading + i).map_or(0.0, |old| self.beta * old);
                    *sum = self.alpha * *sum + old;
                }
                let (start, _) = self.c.span(batch);
                let at = start + (j * self.c.leading * self.c.number.bytes()) as u64;
                memory::write(state, at, &self.c.number.write(&sums)).map_err(|f| self.c.outside(f))?;
            }
        }
        Ok(())
    }

    /// Column j of op(A)·op(B): a sum of columns of A, or a row of dot products with them where A is transposed.
    fn column(&self, a: &[f64], b: &[f64], j: usize) -> Vec<f64> {
        let factor = |l: usize| match self.transposed[1] {
            true => b[l * self.b.leading + j],
            false => b[j * self.b.leading + l],
        };
        let column: Vec<f64> = (0..self.k).map(factor).collect();
        if self.transposed[0] {
            let dot =
                |i: usize| a[i * self.a.leading..][..self.k].iter().zip(&column).map(|(a, b)| a * b).sum();
            return (0..self.m).map(dot).collect();
        }
        let mut sums = vec![0.0; self.m];
        for (l, factor) in column.iter().enumerate() {
            let terms = &a[l * self.a.leading..][..self.m];
            sums.iter_mut().zip(terms).for_each(|(sum, a)| *sum += a * factor);
        }
        sums
    }
}
