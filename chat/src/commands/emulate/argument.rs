//! Arguments of a kernel as a person writes them: `i32=128` is a number, `f32[128]` a buffer that nobody has written,
//! `f32[128]=iota` one that holds 0, 1, 2 …, `=random` numbers from -1 to 1, `=0.5` the same number everywhere.

use crate::globals::Usage;
use emulator::half::{Round, bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16};
use emulator::{Arg, Buffer, Device};
use std::str::FromStr;

/// The type of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Signed, of so many bytes.
    Signed(usize),
    /// Unsigned, of so many bytes.
    Unsigned(usize),
    /// binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

const TYPES: [(&str, Type); 12] = [
    ("u8", Type::Unsigned(1)),
    ("i8", Type::Signed(1)),
    ("u16", Type::Unsigned(2)),
    ("i16", Type::Signed(2)),
    ("u32", Type::Unsigned(4)),
    ("i32", Type::Signed(4)),
    ("u64", Type::Unsigned(8)),
    ("i64", Type::Signed(8)),
    ("f16", Type::F16),
    ("bf16", Type::Bf16),
    ("f32", Type::F32),
    ("f64", Type::F64),
];

impl Type {
    fn name(self) -> &'static str {
        TYPES.iter().find(|(_, ty)| *ty == self).map_or("", |(name, _)| name)
    }

    fn bytes(self) -> usize {
        match self {
            Type::Signed(bytes) | Type::Unsigned(bytes) => bytes,
            Type::F16 | Type::Bf16 => 2,
            Type::F32 => 4,
            Type::F64 => 8,
        }
    }

    /// A number's bytes; integers wrap.
    fn of_integer(self, x: i128) -> Vec<u8> {
        match self {
            Type::Signed(_) | Type::Unsigned(_) => x.to_le_bytes()[..self.bytes()].to_vec(),
            _ => self.of_float(x as f64),
        }
    }

    fn of_float(self, x: f64) -> Vec<u8> {
        match self {
            Type::F16 => f64_to_f16(x, Round::Nearest).to_le_bytes().to_vec(),
            Type::Bf16 => f64_to_bf16(x, Round::Nearest).to_le_bytes().to_vec(),
            Type::F32 => (x as f32).to_le_bytes().to_vec(),
            Type::F64 => x.to_le_bytes().to_vec(),
            _ => self.of_integer(x as i128),
        }
    }

    fn parse(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Type::Signed(bytes) | Type::Unsigned(bytes) => {
                let x: i128 = text.parse().ok()?;
                let bits = 8 * bytes as u32;
                let signed = matches!(self, Type::Signed(_));
                let range = if signed { -(1 << (bits - 1))..1 << (bits - 1) } else { 0..1 << bits };
                range.contains(&x).then(|| self.of_integer(x))
            }
            _ => text.parse().ok().map(|x| self.of_float(x)),
        }
    }

    fn show(self, bytes: &[u8]) -> String {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(wide);
        match self {
            Type::Unsigned(_) => bits.to_string(),
            Type::Signed(n) => ((bits << (64 - 8 * n)) as i64 >> (64 - 8 * n)).to_string(),
            Type::F16 => f16_to_f32(bits as u16).to_string(),
            Type::Bf16 => bf16_to_f32(bits as u16).to_string(),
            Type::F32 => f32::from_bits(bits as u32).to_string(),
            Type::F64 => f64::from_bits(bits).to_string(),
        }
    }
}

/// What a buffer holds before the launch.
#[derive(Clone, Debug, PartialEq)]
enum Fill {
    Unwritten,
    Iota,
    Random,
    Value(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Number(Vec<u8>),
    Buffer(usize, Fill),
}

/// One `--arg`.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    ty: Type,
    kind: Kind,
}

impl FromStr for Argument {
    type Err = Usage;

    fn from_str(text: &str) -> Result<Argument, Usage> {
        let wrong = |why: &str| Usage(format!("--arg {text}: {why}; try i32=128, f32[128] or f32[128]=iota"));
        let (left, value) = text.split_once('=').map_or((text, None), |(left, value)| (left, Some(value)));
        let (name, count) = match left.split_once('[') {
            Some((name, rest)) => {
                let count = rest.strip_suffix(']').and_then(|count| count.parse::<usize>().ok());
                (
                    name,
                    Some(
                        count
                            .filter(|n| *n <= 1 << 28)
                            .ok_or_else(|| wrong("no number of elements in []"))?,
                    ),
                )
            }
            None => (left, None),
        };
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let found = TYPES.iter().find(|(known, _)| *known == name).map(|(_, ty)| *ty);
        let ty = found.ok_or_else(|| wrong(&format!("types are {}", names.join(" "))))?;
        let number = |text: &str| ty.parse(text).ok_or_else(|| wrong(&format!("{text} is no {name}")));
        let kind = match (count, value) {
            (None, Some(value)) => Kind::Number(number(value)?),
            (None, None) => return Err(wrong("a number has a value")),
            (Some(count), None) => Kind::Buffer(count, Fill::Unwritten),
            (Some(count), Some("iota")) => Kind::Buffer(count, Fill::Iota),
            (Some(count), Some("random")) => Kind::Buffer(count, Fill::Random),
            (Some(count), Some(value)) => Kind::Buffer(count, Fill::Value(number(value)?)),
        };
        Ok(Argument { ty, kind })
    }
}

/// An argument on the device; a buffer can be looked at afterwards.
pub struct Placed {
    /// What the kernel gets.
    pub arg: Arg,
    ty: Type,
    buffer: Option<Buffer>,
}

impl Argument {
    /// Makes it on the device.
    pub fn place(&self, device: &mut Device, seed: u64) -> anyhow::Result<Placed> {
        let ty = self.ty;
        let (count, fill) = match &self.kind {
            Kind::Number(bytes) => return Ok(Placed { arg: Arg::raw(bytes), ty, buffer: None }),
            Kind::Buffer(count, fill) => (*count, fill),
        };
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f64 / f64::from(1 << 23) - 1.0
        };
        let bytes: Option<Vec<u8>> = match fill {
            Fill::Unwritten => None,
            Fill::Iota => Some((0..count).flat_map(|i| ty.of_integer(i as i128)).collect()),
            Fill::Random if matches!(ty, Type::Signed(_) | Type::Unsigned(_)) => {
                Some((0..count).flat_map(|_| ty.of_integer((random() * 1e6) as i128)).collect())
            }
            Fill::Random => Some((0..count).flat_map(|_| ty.of_float(random())).collect()),
            Fill::Value(value) => Some(value.repeat(count)),
        };
        let buffer = match bytes {
            Some(bytes) => device.upload(&bytes)?,
            None => device.alloc((count * ty.bytes()) as u64)?,
        };
        Ok(Placed { arg: buffer.into(), ty, buffer: Some(buffer) })
    }
}

impl Placed {
    /// The type, the number of elements and the first `most` of them, where it is a buffer.
    pub fn contents(
        &self,
        device: &mut Device,
        most: usize,
    ) -> anyhow::Result<Option<(&'static str, usize, Vec<String>)>> {
        let Some(buffer) = self.buffer else { return Ok(None) };
        let size = self.ty.bytes();
        let count = buffer.bytes as usize / size;
        let bytes: Vec<u8> = device.read(buffer, 0, most.min(count) * size)?;
        let shown = bytes.chunks(size).map(|bytes| self.ty.show(bytes)).collect();
        Ok(Some((self.ty.name(), count, shown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emulator::Config;

    fn shown(text: &str) -> Vec<String> {
        let mut device = Device::new(Config::default());
        let placed = text.parse::<Argument>().unwrap().place(&mut device, 1).unwrap();
        placed.contents(&mut device, 3).unwrap().unwrap().2
    }

    #[test]
    fn buffers_hold_what_was_asked_for() {
        assert_eq!(shown("f32[4]=iota"), ["0", "1", "2"]);
        assert_eq!(shown("bf16[2]=1.5"), ["1.5", "1.5"]);
        assert_eq!(shown("i8[3]=-3"), ["-3", "-3", "-3"]);
        assert_eq!(shown("u64[1]=18446744073709551615"), ["18446744073709551615"]);
        let random: Vec<f32> = shown("f32[3]=random").iter().map(|x| x.parse().unwrap()).collect();
        assert!(random.iter().all(|x| (-1.0..1.0).contains(x)) && random[0] != random[1]);
    }

    #[test]
    fn a_wrong_argument_is_refused_with_an_example() {
        for (text, why) in [
            ("i32", "has a value"),
            ("i33=1", "types are"),
            ("u8=256", "256 is no u8"),
            ("i32=1.5", "1.5 is no i32"),
            ("f32[x]=1", "number of elements"),
            ("f32[4]=x", "x is no f32"),
        ] {
            let Err(Usage(message)) = text.parse::<Argument>() else { panic!("{text} was accepted") };
            assert!(message.contains(why) && message.contains("try i32=128"), "{message}");
        }
    }
}
