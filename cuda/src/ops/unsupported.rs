//! The operations without a CUDA kernel yet: each method refuses by its own name. A line goes when its kernel comes.

use crate::Cuda;
use crate::driver::Driver;
use kernels::accumulate::Accumulate;
use kernels::add_rms_norm::AddRmsNorm;
use kernels::arg_reduce::{ArgOp, ArgReduce};
use kernels::attention::{Attention, AttentionParams};
use kernels::channel_gate::ChannelGate;
use kernels::compare::{Compare, CompareOp};
use kernels::cross_entropy::CrossEntropy;
use kernels::cumsum::CumSum;
use kernels::dropout::{Dropout, DropoutMask};
use kernels::embedding::Embedding;
use kernels::gated::{Activation, Gated};
use kernels::gated_add::GatedAdd;
use kernels::gather::Gather;
use kernels::gelu::{Gelu, GeluForm};
use kernels::layer_norm::LayerNorm;
use kernels::matmul::Matmul;
use kernels::mix::Mix;
use kernels::muon::Muon;
use kernels::normuon::{NorMuon, NorMuonParams};
use kernels::packed_linear::PackedLinear;
use kernels::paged_attention::PagedAttention;
use kernels::polar_express::PolarExpress;
use kernels::quantize_int8::QuantizeInt8;
use kernels::random::Random;
use kernels::reduce::{Reduce, ReduceOp};
use kernels::rope::Rope;
use kernels::rope_norm::{RopeNorm, Rotation};
use kernels::sample::Sample;
use kernels::select::Select;
use kernels::smear::Smear;
use kernels::softmax::Softmax;
use kernels::sort::Sort;
use kernels::top_k::TopK;
use kernels::unary::{Unary, UnaryOp};
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
    Matmul {
        matmul(View, View, ViewMut, f32, f32);
    }
    Muon {
        muon_momentum(ViewMut, View, ViewMut, f64);
        newton_schulz(View, ViewMut, ViewMut, usize, bool);
    }
    PolarExpress {
        polar_express(View, ViewMut, ViewMut, usize, bool);
    }
    NorMuon {
        normuon(View, ViewMut, ViewMut, NorMuonParams);
    }
    Unary {
        unary(UnaryOp, View, ViewMut);
    }
    Compare {
        compare(CompareOp, View, View, ViewMut);
    }
    Select {
        select(View, View, View, ViewMut);
    }
    Accumulate {
        accumulate(f64, View, ViewMut);
        accumulate_scaled(View, View, ViewMut);
    }
    Reduce {
        reduce(ReduceOp, View, ViewMut);
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
    Softmax {
        softmax_fwd(View, ViewMut);
        softmax_bwd(View, View, ViewMut, bool);
        logsumexp_fwd(View, ViewMut);
        logsumexp_bwd(View, View, View, ViewMut, bool);
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
    Embedding {
        embedding_fwd(View, View, ViewMut);
        embedding_bwd(View, View, ViewMut);
    }
    CrossEntropy {
        softcap_cross_entropy_fwd(ViewMut, View, f32, ViewMut, ViewMut);
        softcap_cross_entropy_bwd(ViewMut, View, f32, View, View);
    }
    Rope {
        rope(View, View, View, View, ViewMut, bool, bool);
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
    Random {
        uniform(u64, u64, u64, ViewMut);
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
    AddRmsNorm {
        add_rms_norm_fwd(View, View, f64, ViewMut, ViewMut, ViewMut);
        add_rms_norm_bwd(View, View, View, View, ViewMut);
    }
    PackedLinear {
        packed_linear(View, View, ViewMut);
        packed_linear_int8(View, View, View, ViewMut);
    }
    QuantizeInt8 {
        quantize_int8(View, ViewMut, ViewMut);
    }
    RopeNorm {
        rope_norm_fwd(View, Rotation, f64, f64, ViewMut, ViewMut);
        rope_norm_bwd(View, View, View, Rotation, f64, ViewMut, bool);
    }
}
