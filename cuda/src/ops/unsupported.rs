//! The operations without a CUDA kernel yet: each method refuses by its own name. A new operation begins here; its lines go when
//! its kernel comes.

#[allow(unused_imports)] // where the list is empty
use crate::{Cuda, Driver};
#[allow(unused_imports)]
use kernels::{Result, View, ViewMut};

/// An implementation of each trait whose methods all refuse, and the list of their folders.
macro_rules! unsupported {
    ($($folder:ident::$op:ident { $($method:ident($($ty:ty),*);)* })*) => {
        $(
            impl<D: Driver> kernels::$folder::$op for Cuda<D> {
                $(unsupported! { @method $method [$($ty),*] })*
            }
        )*

        /// The operations that have no CUDA kernel yet, by their folders in `kernels/src/`.
        pub const MISSING: &[&str] = &[$(stringify!($folder)),*];
    };
    (@method $method:ident [$a:ty, $b:ty $(, $rest:ty)*]) => {
        fn $method(&self, _: $a, _: $b $(, _: $rest)*) -> Result<()> {
            self.unsupported(stringify!($method))
        }
    };
}

unsupported! {}
