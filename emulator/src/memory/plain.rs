//! Numbers that are copied to and from device memory as they are.

/// A number with a fixed little-endian layout.
pub trait Plain: Copy {
    /// Bytes of one number.
    const BYTES: usize;
    /// Writes the number's bytes; `out` has exactly `BYTES`.
    fn write(self, out: &mut [u8]);
    /// Reads a number; `bytes` has exactly `BYTES`.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($ty:ty)*) => {$(
        impl Plain for $ty {
            const BYTES: usize = size_of::<$ty>();
            fn write(self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$ty>()];
                own.copy_from_slice(bytes);
                <$ty>::from_le_bytes(own)
            }
        }
    )*};
}

plain! { u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 }
