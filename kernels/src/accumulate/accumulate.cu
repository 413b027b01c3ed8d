// Adding into an array on CUDA: y += alpha·x, elementwise. x and y may differ in dtype: a bf16 gradient is added to an f32
// total. alpha is an argument, or one number in device memory, which the host then need not wait for. Each element of x is
// read once, each of y read and written once.

template <class X, class Y>
__device__ void packs(float alpha, const X* x, Y* y, u32 n) {
    const u32 N = Width<X, Y>::of;
    u32 i = thread_index(), whole = n / N;
    if (i < whole) {
        float in[N], out[N];
        load<X, N>(x, i, in);
        load<Y, N>(y, i, out);
#pragma unroll
        for (u32 j = 0; j < N; j++) out[j] = fmaf(alpha, in[j], out[j]);
        store<Y, N>(y, i, out);
    } else if (i - whole < n - whole * N) {
        u32 at = whole * N + (i - whole);
        narrow(fmaf(alpha, widen(x[at]), widen(y[at])), y[at]);
    }
}

template <class X, class Y>
__device__ void strided(float alpha, const X* x, Y* y, Strided xs, Strided ys, u32 n) {
    u32 i = thread_index();
    if (i >= n) return;
    Y* out = y + ys.position(i);
    narrow(fmaf(alpha, widen(x[xs.position(i)]), widen(*out)), *out);
}

#define ACCUMULATE(SUFFIX, X, Y)                                                                                  \
    extern "C" __global__ void accumulate_##SUFFIX##_packs(float alpha, const X* x, Y* y, u32 n) {                \
        packs(alpha, x, y, n);                                                                                    \
    }                                                                                                             \
    extern "C" __global__ void accumulate_##SUFFIX##_strided(float alpha, const X* x, Y* y, Strided xs,           \
                                                             Strided ys, u32 n) {                                 \
        strided(alpha, x, y, xs, ys, n);                                                                          \
    }                                                                                                             \
    extern "C" __global__ void accumulate_scaled_##SUFFIX##_packs(const float* alpha, const X* x, Y* y, u32 n) {  \
        packs(*alpha, x, y, n);                                                                                   \
    }                                                                                                             \
    extern "C" __global__ void accumulate_scaled_##SUFFIX##_strided(const float* alpha, const X* x, Y* y,         \
                                                                    Strided xs, Strided ys, u32 n) {              \
        strided(*alpha, x, y, xs, ys, n);                                                                         \
    }

ACCUMULATE(f32_f32, float, float)
ACCUMULATE(f32_bf16, float, bf16)
ACCUMULATE(bf16_f32, bf16, float)
ACCUMULATE(bf16_bf16, bf16, bf16)
