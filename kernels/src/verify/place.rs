//! Arguments in memory: the layouts a kernel is tried with, and buffers that notice stray writes.
//!
//! Every argument lives in a buffer that is larger than its view. What the view does not cover (before, behind and
//! between its rows) is *slack*. Around inputs it is NaN, so that reading it spoils the result; around outputs it is one
//! particular large number (arithmetic on a NaN would leave the same NaN), so that writing it is seen.

use super::case::Case;
use crate::Result;
use crate::element::{Bf16, DType, Element};
use crate::pages;
use crate::registry::{Arg, Draw, Layouts, Role, Sample};
use crate::view::{Layout, View, ViewMut};

/// How arguments are laid out in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Row-major from the first element.
    Contiguous,
    /// Row-major from an odd offset.
    Offset,
    /// Unit last stride, gaps between rows.
    Padded,
    /// Axes stored in another order, the last one never the densest (a vector: every second element).
    Permuted,
    /// Inputs that repeat along their first axis, with stride 0; the rest permuted, or padded where rows must be dense.
    Repeated,
    /// Every argument another one of the kinds above.
    Mixed,
}

impl Kind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Contiguous => "contiguous",
            Kind::Offset => "offset",
            Kind::Padded => "padded rows",
            Kind::Permuted => "permuted",
            Kind::Repeated => "repeated",
            Kind::Mixed => "mixed",
        }
    }
    /// The kinds an op must accept.
    pub fn accepted(layouts: Layouts) -> &'static [Kind] {
        use Kind::*;
        match layouts {
            Layouts::Any => &[Contiguous, Offset, Padded, Permuted, Repeated, Mixed],
            Layouts::Rows => &[Contiguous, Offset, Padded, Repeated, Mixed],
            Layouts::Contiguous => &[Contiguous, Offset],
        }
    }
    /// The kind of argument number `arg`: only arguments that the op's [`Layouts`] speak of are strided.
    fn of(self, arg: usize, draw: &Draw, layouts: Layouts) -> Kind {
        let kind = match (self, layouts) {
            (Kind::Mixed, Layouts::Any) => [Kind::Permuted, Kind::Contiguous, Kind::Padded][arg % 3],
            (Kind::Repeated, Layouts::Rows) => Kind::Padded,
            (Kind::Mixed, _) => [Kind::Padded, Kind::Contiguous, Kind::Offset][arg % 3],
            (kind, _) => kind,
        };
        if kind == Kind::Offset || may_be_strided(draw, layouts) { kind } else { Kind::Contiguous }
    }
}

/// Does the op's declaration of layouts cover an argument drawn like this?
pub fn may_be_strided(draw: &Draw, layouts: Layouts) -> bool {
    match draw {
        Draw::Normal | Draw::DerivedRounded(_) => true,
        Draw::NormalF32 => layouts == Layouts::Any,
        _ => false,
    }
}

/// Elements of slack in front of an offset view, behind every view, and between padded rows. Odd, so that alignment is bad.
const SLACK: usize = 5;

/// Strides and offset of `dims` under `kind`; `salt` varies the order of permuted axes.
pub fn layout(kind: Kind, dims: &[usize], repeats: bool, salt: usize) -> Result<Layout> {
    let rank = dims.len();
    if kind == Kind::Contiguous || rank == 0 && kind != Kind::Offset {
        return Layout::contiguous(dims);
    }
    // Axes from the densest to the sparsest.
    let mut order: Vec<usize> = (0..rank).rev().collect();
    if kind == Kind::Permuted || kind == Kind::Repeated {
        order.rotate_left(1 + if rank > 2 { salt % (rank - 1) } else { 0 });
    }
    let mut strides = vec![0; rank];
    let mut step = if rank == 1 && kind == Kind::Permuted { 2 } else { 1 };
    for (place, &axis) in order.iter().enumerate() {
        strides[axis] = step;
        step *= dims[axis].max(1);
        if kind == Kind::Padded && place + 1 < rank {
            step += 3;
        }
    }
    if repeats {
        strides[0] = 0;
    }
    Layout::strided(dims, &strides, if kind == Kind::Offset { SLACK } else { 0 })
}

/// Host memory of one dtype.
#[derive(Clone, Debug)]
enum Data {
    F32(Vec<f32>),
    Bf16(Vec<Bf16>),
    I32(Vec<i32>),
    F64(Vec<f64>),
}

macro_rules! each {
    ($data:expr, $v:ident => $do:expr) => {
        match $data {
            Data::F32($v) => $do,
            Data::Bf16($v) => $do,
            Data::I32($v) => $do,
            Data::F64($v) => $do,
        }
    };
}

impl Data {
    /// Everything slack: a quiet NaN or a large number (for integers one that no id can be), each with recognisable bits.
    fn slack(dtype: DType, len: usize, nan: bool) -> Data {
        match dtype {
            DType::F32 => {
                Data::F32(pages::filled(len, f32::from_bits(if nan { 0x7fc5_a5a5 } else { 0x7a5a_5a5a })))
            }
            DType::Bf16 => Data::Bf16(pages::filled(len, Bf16(if nan { 0x7fda } else { 0x7a5a }))),
            DType::I32 => Data::I32(pages::filled(len, -0x5a5a_5a5b)),
            DType::F64 => Data::F64(pages::filled(len, if nan { f64::NAN } else { 1.234_567e300 })),
        }
    }
    fn bits(&self) -> Vec<u64> {
        match self {
            Data::F32(v) => v.iter().map(|v| v.to_bits().into()).collect(),
            Data::Bf16(v) => v.iter().map(|v| v.0.into()).collect(),
            Data::I32(v) => v.iter().map(|v| *v as u32 as u64).collect(),
            Data::F64(v) => v.iter().map(|v| v.to_bits()).collect(),
        }
    }
}

/// One argument in memory.
#[derive(Clone, Debug)]
pub struct Placed {
    data: Data,
    layout: Layout,
    role: Role,
}

impl Placed {
    /// `values` under `layout` with slack around. An output (`values` is empty for `Out`) is NaN where it has no values.
    pub fn new(dtype: DType, layout: Layout, role: Role, values: &[f64]) -> Placed {
        fn set<T: Element>(data: &mut [T], layout: &Layout, values: &[f64]) {
            for i in 0..layout.numel() {
                data[layout.position(i)] = T::from_f64(values.get(i).copied().unwrap_or(f64::NAN));
            }
        }
        let mut data = Data::slack(dtype, layout.span().max(layout.offset()) + SLACK, role == Role::In);
        each!(&mut data, v => set(v, &layout, values));
        Placed { data, layout, role }
    }
    /// To be read.
    pub fn view(&self) -> Result<View<'_>> {
        each!(&self.data, v => View::from_slice_strided(v, self.layout))
    }
    /// To be written.
    pub fn view_mut(&mut self) -> Result<ViewMut<'_>> {
        each!(&mut self.data, v => ViewMut::from_slice_strided(v, self.layout))
    }
    /// Logical elements, widened.
    pub fn values(&self) -> Vec<f64> {
        let at = |i| self.layout.position(i);
        each!(&self.data, v => (0..self.layout.numel()).map(|i| v[at(i)].to_f64()).collect())
    }
    /// Bits of the logical elements.
    pub fn bits(&self) -> Vec<u64> {
        let all = self.data.bits();
        (0..self.layout.numel()).map(|i| all[self.layout.position(i)]).collect()
    }
    /// Bits of the whole buffer, slack and all.
    pub fn buffer_bits(&self) -> Vec<u64> {
        self.data.bits()
    }
    /// Bits of the buffer, without what the view covers.
    pub fn slack_bits(&self) -> Vec<u64> {
        let mut all = self.data.bits();
        (0..self.layout.numel()).for_each(|i| all[self.layout.position(i)] = 0);
        all
    }
    /// Element type.
    pub fn dtype(&self) -> DType {
        each!(&self.data, v => dtype_of(v))
    }
    /// Strides and offset.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

fn dtype_of<T: Element>(_: &[T]) -> DType {
    T::DTYPE
}

/// All arguments of one call in memory, in the kernel's order.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// One per argument of the sample.
    pub placed: Vec<Placed>,
}

impl Arguments {
    /// `case` under `kind`; floats are stored as f64 if `wide` (for the reference).
    pub fn place(
        sample: &Sample,
        case: &Case,
        kind: Kind,
        layouts: Layouts,
        wide: bool,
    ) -> Result<Arguments> {
        let one = |(i, arg): (usize, &Arg)| {
            let repeats = kind == Kind::Repeated
                && arg.role == Role::In
                && may_be_strided(&arg.draw, layouts)
                && (layouts == Layouts::Any || arg.dims.len() > 1)
                && case.repeats_along_first_axis(i, &arg.dims);
            let layout = layout(kind.of(i, &arg.draw, layouts), &arg.dims, repeats, i)?;
            Ok(Placed::new(widened(case.dtypes[i], wide), layout, arg.role, &case.values[i]))
        };
        let placed = sample.args.iter().enumerate().map(one).collect::<Result<_>>()?;
        Ok(Arguments { placed })
    }
    /// Argument `i` under another layout, filled with `values`; NaN where there are none.
    pub fn replace(&mut self, i: usize, layout: Layout, values: &[f64]) {
        self.placed[i] = Placed::new(self.placed[i].dtype(), layout, self.placed[i].role, values);
    }
}

/// f64 for the reference, where it is a float.
fn widened(dtype: DType, wide: bool) -> DType {
    if wide && dtype.is_float() { DType::F64 } else { dtype }
}
