// A gate per head from a row's first channels on CUDA: g = scale·σ(a), a = x[:n]·Wᵀ. So few channels that a thread computes a gate
// alone; the weights come from the caches.
//
// Backward first makes da = dg·scale·σ·(1 − σ), a thread per gate, in f32; dx[:n] += da·W is then a thread per element, and each
// element of dW = Σ da·x a block, which sums over the rows in f64, always in the same order.

template <class T>
__device__ float argument(const T* x, const float* w, u32 n) {
    float sum = 0.0f;
#pragma unroll 4
    for (u32 j = 0; j < n; j++) sum = fmaf(widen(x[j]), w[j], sum);
    return sum;
}

template <class T>
__device__ void forward(const T* x, const float* w, T* g, Strided xs, Strided ws, Strided gs, u32 count, u32 heads, u32 n,
                        float scale) {
    u32 i = thread_index(), row = i / heads, head = i % heads;
    if (i >= count) return;
    float a = argument(x + xs.position(row), w + ws.position(head), n);
    narrow(scale / (1.0f + expf(-a)), g[gs.position(row) + head]);
}

template <class T>
__device__ void slopes(const T* dg, const T* x, const float* w, float* da, Strided dgs, Strided xs, Strided ws, u32 count, u32 heads,
                       u32 n, float scale) {
    u32 i = thread_index(), row = i / heads, head = i % heads;
    if (i >= count) return;
    float a = argument(x + xs.position(row), w + ws.position(head), n);
    float rest = expf(-fabsf(a)), whole = 1.0f / (1.0f + rest); // σ(1 − σ) is even in a
    da[i] = widen(dg[dgs.position(row) + head]) * scale * rest * whole * whole;
}

template <class T>
__device__ void backward_x(const float* da, const float* w, T* dx, Strided ws, Strided dxs, u32 count, u32 c, u32 heads, u32 n,
                           u32 accumulate) {
    u32 i = thread_index(), row = i / c, column = i % c;
    if (i >= count || (accumulate && column >= n)) return;
    T* out = dx + dxs.position(row) + column;
    float sum = accumulate ? widen(*out) : 0.0f;
#pragma unroll 1
    for (u32 head = 0; column < n && head < heads; head++) sum = fmaf(da[row * heads + head], w[ws.position(head) + column], sum);
    narrow(sum, *out);
}

template <class T>
__device__ void backward_w(const float* da, const T* x, float* dw, Strided xs, Strided dws, u32 rows, u32 heads, u32 n,
                           u32 accumulate) {
    __shared__ double parts[8];
    u32 head = blockIdx.x / n, column = blockIdx.x % n;
    double sum = 0.0;
#pragma unroll 1
    for (u32 row = threadIdx.x; row < rows; row += 256) sum += (double)da[row * heads + head] * widen(x[xs.position(row) + column]);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (u32 warp = 1; warp < 8; warp++) sum += parts[warp];
    float* out = dw + dws.position(head) + column;
    *out = (float)(accumulate ? *out + sum : sum);
}

#define GATE(SUFFIX, T)                                                                                                    \
    extern "C" __global__ void channel_gate_fwd_##SUFFIX(const T* x, const float* w, T* g, Strided xs, Strided ws,         \
                                                         Strided gs, u32 count, u32 heads, u32 n, float scale) {           \
        forward(x, w, g, xs, ws, gs, count, heads, n, scale);                                                              \
    }                                                                                                                      \
    extern "C" __global__ void channel_gate_slopes_##SUFFIX(const T* dg, const T* x, const float* w, float* da,            \
                                                            Strided dgs, Strided xs, Strided ws, u32 count, u32 heads,     \
                                                            u32 n, float scale) {                                          \
        slopes(dg, x, w, da, dgs, xs, ws, count, heads, n, scale);                                                         \
    }                                                                                                                      \
    extern "C" __global__ void channel_gate_bwd_x_##SUFFIX(const float* da, const float* w, T* dx, Strided ws,             \
                                                           Strided dxs, u32 count, u32 c, u32 heads, u32 n,                \
                                                           u32 accumulate) {                                               \
        backward_x(da, w, dx, ws, dxs, count, c, heads, n, accumulate);                                                    \
    }                                                                                                                      \
    extern "C" __global__ void channel_gate_bwd_w_##SUFFIX(const float* da, const T* x, float* dw, Strided xs,             \
                                                           Strided dws, u32 rows, u32 heads, u32 n, u32 accumulate) {      \
        backward_w(da, x, dw, xs, dws, rows, heads, n, accumulate);                                                        \
    }

GATE(f32, float)
GATE(bf16, bf16)
