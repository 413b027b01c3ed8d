// GELU on CUDA, exact and with tanh; which is an argument. Every element is read and written once.
//
//   exact: y = x·Φ(x), Φ by erfc, which keeps its digits below zero
//   tanh:  (1 + tanh u)/2 = σ(2u), which keeps them too

struct Gelu {
    u32 tanh;

    // Φ(x), and Φ'(x)·x, which is 0 where Φ' is, also for infinite x
    __device__ void parts(float x, float& phi, float& slope) const {
        if (tanh) {
            float square = x * x, u = 0.797884561f * x * fmaf(0.044715f, square, 1.0f);
            float rest = expf(-fabsf(2.0f * u)), whole = 1.0f / (1.0f + rest);
            phi = u < 0.0f ? rest * whole : whole;
            float change = 2.0f * rest * whole * whole; // σ·(1 − σ)·2
            slope = change == 0.0f ? 0.0f : x * change * 0.797884561f * fmaf(0.134145f, square, 1.0f);
        } else {
            phi = 0.5f * erfcf(-0.707106781f * x);
            float density = expf(-0.5f * x * x);
            slope = density == 0.0f ? 0.0f : 0.398942280f * x * density;
        }
    }
    __device__ float operator()(float x) const {
        float phi, slope;
        parts(x, phi, slope);
        return x * phi;
    }
    __device__ float operator()(float x, float dy) const {
        float phi, slope;
        parts(x, phi, slope);
        return dy * (phi + slope);
    }
};

#define GELU(SUFFIX, T)                                                                                              \
    extern "C" __global__ void gelu_fwd_##SUFFIX##_packs(const T* x, T* y, u32 n, Gelu f) { map_packs(x, y, n, f); } \
    extern "C" __global__ void gelu_fwd_##SUFFIX##_strided(const T* x, T* y, Strided xs, Strided ys, u32 n, Gelu f) {  \
        map_strided(x, y, xs, ys, n, f);                                                                             \
    }

GELU(f32, float)
GELU(bf16, bf16)
ZIP(gelu_bwd_f32, float, Gelu{op})
ZIP(gelu_bwd_bf16, bf16, Gelu{op})
