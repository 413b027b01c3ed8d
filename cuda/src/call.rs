//! One call of an operation: its arguments, copied to the device if they are the host's, launches, its outputs copied back.

use crate::bundle::Bundled;
use crate::driver::{Driver, DriverError, Launch, Value};
use crate::gemm::Gemm;
use crate::{Cuda, signature};
use kernels::check::host;
use kernels::{Bf16, Buffer, DType, KernelError, Layout, Result, Space, View, ViewMut};

/// An argument on the device.
#[derive(Clone, Copy)]
pub struct Operand {
    base: u64,
    bytes: u64,
    /// Its elements' type.
    pub dtype: DType,
    /// Its layout; the offset is in the address already.
    pub layout: Layout,
    traffic: f64,
}

impl Operand {
    /// The address of its first element.
    pub fn address(&self) -> Value {
        Value::Address(self.first())
    }
    pub(crate) fn first(&self) -> u64 {
        self.base + (self.layout.offset() * self.dtype.size()) as u64
    }
    /// The same memory, seen as numbers of another type in another layout.
    pub fn holding(self, dtype: DType, layout: Layout) -> Operand {
        Operand { dtype, layout, ..self }
    }
    /// Memory that begins at this operand's first element, in another layout.
    pub fn at_first(self, layout: Layout) -> Operand {
        let skipped = self.first() - self.base;
        Operand { base: self.first(), bytes: self.bytes.saturating_sub(skipped), layout, ..self }
    }
    /// All axes but the last `dropped`, as the kernels' `Strided`.
    pub fn strided(&self, dropped: usize) -> Value {
        self.axes(self.layout.rank().saturating_sub(dropped), |_| true)
    }
    /// The first `rank` axes as the kernels' `Strided`; those that are not `chosen` have length 1.
    pub fn axes(&self, rank: usize, chosen: impl Fn(usize) -> bool) -> Value {
        let (mut dims, mut strides) = ([1_u32; 6], [0_u64; 5]);
        for axis in (0..rank).filter(|axis| chosen(*axis)) {
            // lengths that do not fit were refused by `count`
            dims[5 - rank + axis] = self.layout.dims()[axis] as u32;
            strides[5 - rank + axis] = self.layout.strides()[axis] as u64;
        }
        let dims = dims.iter().flat_map(|d| d.to_le_bytes());
        Value::Bytes(dims.chain(strides.iter().flat_map(|s| s.to_le_bytes())).collect())
    }
    /// Contiguous, from a 16-byte boundary on.
    pub fn is_packed(&self) -> bool {
        self.layout.is_contiguous() && self.first().is_multiple_of(16)
    }
    /// Does every row begin on a 16-byte boundary and have a whole number of packs?
    pub fn has_packed_rows(&self) -> bool {
        let Some((last, leading)) = self.layout.dims().split_last() else { return false };
        let whole = |elements: usize| (elements * self.dtype.size()).is_multiple_of(16);
        let steps = leading.iter().zip(self.layout.strides()).all(|(&d, &s)| d == 1 || whole(s));
        steps && whole(*last) && self.first().is_multiple_of(16)
    }
}

/// The operands' addresses, then their layouts, each without so many last axes.
pub fn arguments(operands: &[(Operand, usize)]) -> Vec<Value> {
    let addresses = operands.iter().map(|(o, _)| o.address());
    addresses.chain(operands.iter().map(|(o, dropped)| o.strided(*dropped))).collect()
}

/// What the call is about, and what is allocated for it; freed with it.
pub struct Call<'d, D: Driver> {
    gpu: &'d Cuda<D>,
    op: &'static str,
    operands: Vec<Operand>,
    owned: Vec<(u64, u64)>,
}

impl<D: Driver> Cuda<D> {
    pub(crate) fn call(&self, op: &'static str) -> Call<'_, D> {
        Call { gpu: self, op, operands: Vec::new(), owned: Vec::new() }
    }
    /// The refusal of an operation, or of a case of it, that has no kernel.
    pub(crate) fn unsupported<T>(&self, op: &'static str) -> Result<T> {
        Err(KernelError::Unsupported { op, device: self.driver().name() })
    }
}

/// The name of a dtype in the kernels' names.
pub fn suffix(dtype: DType) -> &'static str {
    match dtype {
        DType::Bf16 => "bf16",
        DType::F64 => "f64",
        DType::I32 => "i32",
        _ => "f32",
    }
}

/// A number of elements as the kernels count them.
pub fn count(op: &'static str, elements: usize) -> Result<u32> {
    // one block beyond the last element must be countable too
    u32::try_from(elements).ok().filter(|n| *n <= u32::MAX - 1024).ok_or_else(|| KernelError::Parameter {
        op,
        what: format!("{elements} elements are more than one launch counts; split the call"),
    })
}

impl<D: Driver> Call<'_, D> {
    fn failed(&self, error: DriverError) -> KernelError {
        KernelError::Device { op: self.op, what: error.to_string() }
    }
    /// A number of elements as the kernels count them.
    pub fn count(&self, elements: usize) -> Result<u32> {
        count(self.op, elements)
    }
    /// Where an argument is. The host's is copied to the device, from its buffer's beginning to its own last element.
    pub fn place(&mut self, arg: &'static str, x: &View<'_>) -> Result<Operand> {
        count(self.op, x.numel())?;
        self.place_large(arg, x)
    }
    /// The same for an argument whose elements no kernel counts: a cache, of which it computes addresses in 64 bits.
    pub fn place_large(&mut self, arg: &'static str, x: &View<'_>) -> Result<Operand> {
        if let Buffer { address, bytes, space: Space::Device(_) } = x.buffer() {
            let (base, bytes, dtype, layout) = (address as u64, bytes as u64, x.dtype(), *x.layout());
            let operand = Operand { base, bytes, dtype, layout, traffic: x.traffic() };
            self.operands.push(operand);
            return Ok(operand);
        }
        let data: Vec<u8> = match x.dtype() {
            DType::F32 => bytes(host(self.op, arg, x.base::<f32>())?, |v| v.to_le_bytes()),
            DType::Bf16 => bytes(host(self.op, arg, x.base::<Bf16>())?, |v| v.0.to_le_bytes()),
            DType::I32 => bytes(host(self.op, arg, x.base::<i32>())?, |v| v.to_le_bytes()),
            _ => return self.gpu.unsupported(self.op),
        };
        let length = data.len() as u64;
        let base = self.alloc(length)?;
        let (dtype, layout) = (x.dtype(), *x.layout());
        let operand = Operand { base, bytes: length, dtype, layout, traffic: x.traffic() };
        self.operands.push(operand);
        if length > 0 {
            self.gpu.driver.upload(base, &data).map_err(|e| self.failed(e))?;
        }
        Ok(operand)
    }
    /// The same for an argument that may be missing: its address is then null, its layout and type another's.
    pub fn place_or_null(
        &mut self,
        arg: &'static str,
        x: Option<&View<'_>>,
        like: Operand,
    ) -> Result<Operand> {
        x.map_or(
            Ok(Operand { base: 0, bytes: 0, traffic: 0.0, layout: Layout::contiguous(&[0])?, ..like }),
            |x| self.place(arg, x),
        )
    }
    fn alloc(&mut self, bytes: u64) -> Result<u64> {
        let base =
            self.gpu.pool.alloc(&self.gpu.driver, bytes, self.gpu.reclaim).map_err(|e| self.failed(e))?;
        self.owned.push((base, bytes));
        Ok(base)
    }
    /// Memory for what one launch leaves to the next: `n` doubles.
    pub fn scratch(&mut self, n: usize) -> Result<Operand> {
        count(self.op, n)?;
        let (layout, bytes) = (Layout::contiguous(&[n])?, n as u64 * 8);
        let base = self.alloc(bytes)?;
        let operand = Operand { base, bytes, dtype: DType::F64, layout, traffic: bytes as f64 };
        self.operands.push(operand);
        Ok(operand)
    }
    /// The product by the driver's own library, if it has one for it.
    pub fn multiplied(&self, operands: [&Operand; 3], alpha: f32, beta: f32) -> Result<bool> {
        let Some(product) = Gemm::of(operands, alpha, beta) else { return Ok(false) };
        self.gpu.driver.gemm(self.op, &product).map_err(|e| self.failed(e))
    }
    /// Runs `kernel` with one thread for each of `threads`, 256 to a block.
    pub fn launch(&self, module: &'static Bundled, kernel: &str, threads: u32, args: &[Value]) -> Result<()> {
        self.launch_blocks(module, kernel, (threads.div_ceil(256), 256, 0), args)
    }
    /// Runs `kernel` with so many blocks, threads in each, and bytes of shared memory in each.
    pub fn launch_blocks(
        &self,
        module: &'static Bundled,
        kernel: &str,
        (grid, block, shared_bytes): (u32, u32, u32),
        args: &[Value],
    ) -> Result<()> {
        let named = |o: &&Operand| args.contains(&o.address());
        let moved = self.operands.iter().filter(named).map(|o| o.traffic).sum();
        let launch = Launch { op: self.op, module, kernel, grid, block, shared_bytes, args, bytes: moved };
        signature::check(&launch).map_err(|e| self.failed(e))?;
        if grid == 0 {
            return Ok(());
        }
        self.gpu.driver.launch(&launch).map_err(|e| self.failed(e))
    }
    /// Copies an output back, if it is the host's. Memory between its elements is as it was copied there.
    pub fn fetch(&self, arg: &'static str, y: &Operand, out: &mut ViewMut<'_>) -> Result<()> {
        if y.bytes == 0 || out.buffer().space != Space::Host {
            return Ok(());
        }
        let data = self.gpu.driver.download(y.base, y.bytes).map_err(|e| self.failed(e))?;
        let Some(data) = data else { return Ok(()) };
        let (words, halves) = (data.as_chunks::<4>().0, data.as_chunks::<2>().0);
        match y.dtype {
            DType::Bf16 => {
                copy(host(self.op, arg, out.base_mut::<Bf16>())?, halves, |b| Bf16(u16::from_le_bytes(b)))
            }
            DType::I32 => copy(host(self.op, arg, out.base_mut::<i32>())?, words, i32::from_le_bytes),
            _ => copy(host(self.op, arg, out.base_mut::<f32>())?, words, f32::from_le_bytes),
        }
        Ok(())
    }
}

fn copy<T, const N: usize>(out: &mut [T], data: &[[u8; N]], of: impl Fn([u8; N]) -> T) {
    out.iter_mut().zip(data).for_each(|(out, bytes)| *out = of(*bytes));
}

impl<D: Driver> Drop for Call<'_, D> {
    fn drop(&mut self) {
        for &(base, bytes) in &self.owned {
            // nothing can be done about memory that the driver does not take back
            let _ = self.gpu.pool.free(&self.gpu.driver, base, bytes);
        }
    }
}

fn bytes<T: Copy, const N: usize>(data: &[T], of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    data.iter().flat_map(|v| of(*v)).collect()
}
