//! The operations without a CUDA kernel yet: each method refuses by its own name. A line goes when its kernel comes.

use crate::Cuda;
use crate::driver::Driver;
use kernels::arg_reduce::{ArgOp, ArgReduce};
use kernels::attention::{Attention, AttentionParams};
use kernels::channel_gate::ChannelGate;
use kernels::compare::{Compare, CompareOp};
use kernels::cumsum::CumSum;
use kernels::dropout::{Dropout, DropoutMask};
use kernels::gated::{Activation, Gated};
use kernels::gated_add::GatedAdd;
use kernels::gather::Gather;
use kernels::gelu::{Gelu, GeluForm};
use kernels::layer_norm::LayerNorm;
use kernels::mix::Mix;
use kernels::normuon::{NorMuon, NorMuonParams};
use kernels::packed_linear::PackedLinear;
use kernels::paged_attention::PagedAttention;
use kernels::polar_express::PolarExpress;
use kernels::quantize_int8::QuantizeInt8;
use kernels::sample::Sample;
use kernels::select::Select;
use kernels::smear::Smear;
use kernels::sort::Sort;
use kernels::top_k::TopK;
use kernels::{Result, View, ViewMut};

/// An implementation of each trait whose methods all refuse.
macro_rules! unsupported {
    ($($op:path { $($method:ident($($ty:ty),*);)* })*) => {$(
        impl<D: Driver> $op for Cuda<D> {
            $(unsupported! { @method $method [$($ty),*] })*
        }
    )*};
    (@method $method:ident [$a:ty, $b:ty $(, $rest:ty)*]) => {
        fn $method(&self, _: $a, _: $b $(, _: $rest)*) -> Result<()> {
            self.unsupported(stringify!($method))
        }
    };
}

unsupported! {
    PolarExpress {
        polar_express(View, ViewMut, ViewMut, usize, bool);
    }
    NorMuon {
        normuon(View, ViewMut, ViewMut, NorMuonParams);
    }
    Compare {
        compare(CompareOp, View, View, ViewMut);
    }
    Select {
        select(View, View, View, ViewMut);
    }
    ArgReduce {
        arg_reduce(ArgOp, usize, View, ViewMut);
    }
    CumSum {
        cumsum(usize, bool, View, ViewMut);
    }
    Gather {
        gather_fwd(usize, View, View, ViewMut);
        gather_bwd(usize, View, View, ViewMut);
    }
    ChannelGate {
        channel_gate_fwd(View, View, f64, ViewMut);
        channel_gate_bwd_x(View, View, View, f64, ViewMut, bool);
        channel_gate_bwd_w(View, View, View, f64, ViewMut, bool);
    }
    GatedAdd {
        gated_add_fwd(View, View, View, ViewMut);
        gated_add_bwd_u(View, View, ViewMut, bool);
        gated_add_bwd_g(View, View, ViewMut, bool);
    }
    Smear {
        smear_fwd(View, View, Option<View>, ViewMut);
        smear_bwd_x(View, View, ViewMut, bool);
        smear_bwd_g(View, View, Option<View>, ViewMut, bool);
    }
    Mix {
        mix_fwd(View, View, View, View, ViewMut);
        mix_bwd_scalar(View, View, ViewMut, bool);
    }
    Attention {
        attention_fwd(View, View, View, AttentionParams, ViewMut, ViewMut);
        attention_bwd([View; 6], AttentionParams, [ViewMut; 3], bool);
    }
    PagedAttention {
        kv_append(View, View, View, ViewMut);
        paged_attention(View, [View; 2], View, View, AttentionParams, ViewMut);
    }
    Sort {
        sort(bool, View, ViewMut, ViewMut);
    }
    TopK {
        top_k(View, ViewMut, ViewMut);
    }
    Sample {
        sample(View, View, f64, Option<usize>, ViewMut);
    }
    LayerNorm {
        layer_norm_fwd(View, View, Option<View>, f64, ViewMut, [ViewMut; 2]);
        layer_norm_bwd(View, View, View, [View; 2], ViewMut, bool);
        layer_norm_bwd_weights(View, View, [View; 2], ViewMut, ViewMut);
    }
    Gelu {
        gelu_fwd(GeluForm, View, ViewMut);
        gelu_bwd(GeluForm, View, View, ViewMut, bool);
    }
    Gated {
        gated_fwd(Activation, View, View, ViewMut);
        gated_bwd(Activation, View, View, View, ViewMut, ViewMut);
    }
    Dropout {
        dropout(View, DropoutMask, ViewMut, bool);
    }
    PackedLinear {
        packed_linear(View, View, ViewMut);
        packed_linear_int8(View, View, View, ViewMut);
    }
    QuantizeInt8 {
        quantize_int8(View, ViewMut, ViewMut);
    }
}
