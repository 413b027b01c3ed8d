//! The operations without a CUDA kernel yet: each method refuses by its own name. A line goes when its kernel comes.

use crate::Cuda;
use crate::driver::Driver;
use kernels::arg_reduce::ArgOp;
use kernels::dropout::DropoutMask;
use kernels::gated::Activation;
use kernels::gelu::GeluForm;
use kernels::normuon::NorMuonParams;
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

unsupported! {
    normuon::NorMuon {
        normuon(View, ViewMut, ViewMut, NorMuonParams);
    }
    arg_reduce::ArgReduce {
        arg_reduce(ArgOp, usize, View, ViewMut);
    }
    cumsum::CumSum {
        cumsum(usize, bool, View, ViewMut);
    }
    gather::Gather {
        gather_fwd(usize, View, View, ViewMut);
        gather_bwd(usize, View, View, ViewMut);
    }
    channel_gate::ChannelGate {
        channel_gate_fwd(View, View, f64, ViewMut);
        channel_gate_bwd_x(View, View, View, f64, ViewMut, bool);
        channel_gate_bwd_w(View, View, View, f64, ViewMut, bool);
    }
    gated_add::GatedAdd {
        gated_add_fwd(View, View, View, ViewMut);
        gated_add_bwd_u(View, View, ViewMut, bool);
        gated_add_bwd_g(View, View, ViewMut, bool);
    }
    smear::Smear {
        smear_fwd(View, View, Option<View>, ViewMut);
        smear_bwd_x(View, View, ViewMut, bool);
        smear_bwd_g(View, View, Option<View>, ViewMut, bool);
    }
    mix::Mix {
        mix_fwd(View, View, View, View, ViewMut);
        mix_bwd_scalar(View, View, ViewMut, bool);
    }
    sort::Sort {
        sort(bool, View, ViewMut, ViewMut);
    }
    layer_norm::LayerNorm {
        layer_norm_fwd(View, View, Option<View>, f64, ViewMut, [ViewMut; 2]);
        layer_norm_bwd(View, View, View, [View; 2], ViewMut, bool);
        layer_norm_bwd_weights(View, View, [View; 2], ViewMut, ViewMut);
    }
    gelu::Gelu {
        gelu_fwd(GeluForm, View, ViewMut);
        gelu_bwd(GeluForm, View, View, ViewMut, bool);
    }
    gated::Gated {
        gated_fwd(Activation, View, View, ViewMut);
        gated_bwd(Activation, View, View, View, ViewMut, ViewMut);
    }
    dropout::Dropout {
        dropout(View, DropoutMask, ViewMut, bool);
    }
    packed_linear::PackedLinear {
        packed_linear(View, View, ViewMut);
        packed_linear_int8(View, View, View, ViewMut);
    }
    quantize_int8::QuantizeInt8 {
        quantize_int8(View, ViewMut, ViewMut);
    }
}
